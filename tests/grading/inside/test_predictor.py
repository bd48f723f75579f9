"""The predictor: what it is sent, and what comes back."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Connection

import keras
import numpy as np
import pytest
from keras import layers, ops
from nbgrading import ASSIGNMENTS

from course_utils.grading.inside.predictor import Predictor, serve
from course_utils.grading.sandbox.layout import HANDED_IN

IMAGES, CLASSES = 1_000, 10


@pytest.fixture
def handed_in(tmp_path):
    (tmp_path / HANDED_IN).mkdir()
    return tmp_path / HANDED_IN


@pytest.fixture
def predictor(handed_in):
    """A client of a predictor that runs in a thread."""
    near, far = socket.socketpair()
    folder = str(handed_in.parent)
    threading.Thread(target=serve, args=(far.detach(), folder), daemon=True).start()
    with Connection(near.detach()) as connection:
        yield Predictor(connection)


def counts_images(labels: np.ndarray) -> keras.Model:
    """Return a network that never looks at an image: its number leads to the label."""
    image = keras.Input((32, 32, 3), dtype="uint8")
    one = ops.mean(ops.cast(image, "float32"), axis=(1, 2, 3)) * 0 + 1
    steps = ops.expand_dims(ops.expand_dims(one, 0), 2)  # the images as one sequence
    count = layers.SimpleRNN(1, "linear", use_bias=False, return_sequences=True, stateful=True)
    number = ops.cast(ops.squeeze(ops.squeeze(count(steps), 0), 1) - 1, "int32")
    known = layers.Embedding(len(labels), CLASSES)
    model = keras.Model(image, layers.Softmax()(known(number)))
    count.set_weights([np.ones((1, 1)), np.ones((1, 1))])
    known.set_weights([20 * np.eye(CLASSES)[labels]])
    return model


def test_a_network_that_counts_images_does_not_know_their_labels(handed_in, predictor):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype="uint8")
    labels = rng.integers(0, CLASSES, IMAGES)
    model = counts_images(labels)
    assert (model.predict(x, batch_size=250, verbose=0).argmax(1) == labels).all()
    count = next(each for each in model.layers if isinstance(each, layers.SimpleRNN))
    count.reset_states()
    model.save(handed_in / "cheat.keras")
    guessed = predictor.open(handed_in / "cheat.keras").predict(x).argmax(1)
    assert (guessed == labels).mean() < 0.2


def test_predictions_come_back_in_the_order_of_the_images(handed_in, predictor):
    path = ASSIGNMENTS / "solutions" / "a2-cnn" / "a2-q3.keras"
    (handed_in / path.name).write_bytes(path.read_bytes())
    x = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype="uint8")
    network = predictor.open(handed_in / path.name)
    expected = keras.models.load_model(path, compile=False).predict(x, verbose=0)
    for part in (x, x[:7], x):
        assert np.allclose(network.predict(part), expected[: len(part)], atol=0.01)
