"""The predictor: what it is sent, and what comes back."""

from __future__ import annotations

import io
import os
import socket
import threading
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from nbgrading import ASSIGNMENTS

from course_utils.errors import SubmissionError
from course_utils.grading.inside.networks import Predictors
from course_utils.grading.inside.predictor import serve
from course_utils.grading.sandbox.layout import HANDED_IN
from course_utils.recipes import Recipe
from course_utils.submission.messages import ALL, ANSWERS, OpenedNetwork, PredictorRequest
from course_utils.submission.network import structure_of

IMAGES, CLASSES = 1_000, 10


@pytest.fixture
def handed_in(tmp_path):
    (tmp_path / HANDED_IN).mkdir()
    return tmp_path / HANDED_IN


class Grader:
    """Starts predictors in threads, as the grader starts them in sandboxes."""

    def __init__(self, folder, program=serve) -> None:
        self._folder, self._program = folder, program
        self.orders: list[tuple[str, str]] = []

    def carry_out(self, order):
        self.orders.append((order.command, order.name))
        if order.command == "forget":
            return None
        near, far = socket.socketpair()
        self._last = near.dup()
        threading.Thread(
            target=self._program, args=(far.detach(), str(self._folder)), daemon=True
        ).start()
        return Connection(near.detach())

    def end_last(self) -> None:
        """End the predictor that was started last."""
        self._last.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def grader(handed_in):
    return Grader(handed_in.parent)


@pytest.fixture
def predictors(grader, handed_in, monkeypatch):
    monkeypatch.chdir(handed_in)
    return Predictors(grader.carry_out)


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


def test_a_network_that_counts_images_does_not_know_their_labels(handed_in, predictors):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype="uint8")
    labels = rng.integers(0, CLASSES, IMAGES)
    model = counts_images(labels)
    assert (model.predict(x, batch_size=250, verbose=0).argmax(1) == labels).all()
    count = next(each for each in model.layers if isinstance(each, layers.SimpleRNN))
    count.reset_states()
    model.save(handed_in / "cheat.keras")
    guessed = predictors.open(Path("cheat.keras")).predict(x).argmax(1)
    assert (guessed == labels).mean() < 0.2


def test_predictions_come_back_in_the_order_of_the_images(handed_in, predictors):
    path = ASSIGNMENTS / "solutions" / "a2-cnn" / "a2-q3.keras"
    (handed_in / path.name).write_bytes(path.read_bytes())
    x = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype="uint8")
    network = predictors.open(Path(path.name))
    expected = keras.models.load_model(path, compile=False).predict(x, verbose=0)
    for part in (x, x[:7], x):
        assert np.allclose(network.predict(part), expected[: len(part)], atol=0.01)


def test_a_network_may_answer_in_bfloat16(handed_in, predictors):
    image = keras.Input((4,))
    scores = layers.Dense(CLASSES, "softmax", dtype="bfloat16")(image)
    model = keras.Model(image, scores)
    model.save(handed_in / "a1-q2.keras")
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    probabilities = predictors.open(Path("a1-q2.keras")).predict(x)
    assert probabilities.dtype == "float32"
    assert np.array_equal(probabilities, np.asarray(model(x)).astype("float32"))


@pytest.mark.train
def test_a_network_is_trained_again_from_its_structure(handed_in, predictors, small_data):
    image = keras.Input((32, 32, 3), dtype="uint8")
    keras.Model(image, layers.Dense(10, "softmax")(layers.Flatten()(image))).save(
        handed_in / "small.keras"
    )
    network = predictors.open(Path("small.keras"))
    recipe = Recipe(epochs=1)
    one, other = (network.train_again(small_data, recipe, seed=0) for _ in range(2))
    assert one.weights == other.weights != network.weights
    assert one.structure == network.structure
    assert one.predict(small_data.x_test).shape == (len(small_data.x_test), 10)


@pytest.fixture
def two_files(handed_in):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, "softmax")])
    for name in ("one", "other"):
        model.save(handed_in / f"{name}.keras")
    return model


def test_all_networks_of_a_submission_share_a_predictor(two_files, grader, predictors):
    for _ in range(2):
        assert predictors.open(Path("one.keras")).count_params() == 8
    built = [predictors.build(two_files.to_json(), "build") for _ in range(2)]
    assert predictors.open(Path("other.keras")).predict(np.zeros((2, 3))).shape == (2, 2)
    assert [network.output_shape for network in built] == [(None, 2)] * 2
    assert grader.orders == [("start", ALL)]


def test_after_the_predictor_has_ended_each_file_has_its_own(two_files, grader, predictors):
    x = np.random.default_rng(0).normal(size=(5, 3))
    one, other = (predictors.open(Path(f"{name}.keras")) for name in ("one", "other"))
    built = [predictors.build(two_files.to_json(), "build") for _ in range(2)]
    before = [network.predict(x) for network in (one, other)]
    grader.end_last()
    for _ in range(2):
        assert [np.allclose(n.predict(x), p) for n, p in zip((one, other), before)] == [True, True]
        assert [network.predict(x).shape for network in built] == [(5, 2)] * 2
    started = [name for command, name in grader.orders if command == "start"]
    assert started == [ALL, "one.keras", "other.keras", ANSWERS]
    assert ("forget", ALL) in grader.orders


def test_a_network_that_was_alone_when_its_predictor_ended_is_not_tried_again(
    two_files, grader, predictors
):
    one, other = (predictors.open(Path(f"{name}.keras")) for name in ("one", "other"))
    grader.end_last()
    assert one.predict(np.zeros((2, 3))).shape == (2, 2)
    grader.end_last()
    for _ in range(2):
        with pytest.raises(SubmissionError, match=r"one\.keras has ended"):
            one.predict(np.zeros((2, 3)))
    assert other.predict(np.zeros((2, 3))).shape == (2, 2)
    assert grader.orders == [
        ("start", ALL), ("forget", ALL), ("start", "one.keras"), ("forget", "one.keras"),
        ("start", "other.keras"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "cannot be used"),
        (b"+", "cannot be used"),
        (b"-No.", "^No.$"),
        (b'+{"name": "a", "structure": null, "weights": "", "architecture": ""}', "cannot be used"),
        (b"+" + b"[" * 100_000, "cannot be used"),
        (None, "has ended"),
    ],
)
def test_what_a_predictor_answers_is_checked(handed_in, answer, message):
    def forge(descriptor, folder):
        with Connection(descriptor) as connection:
            connection.recv_bytes()
            if answer is not None:
                connection.send_bytes(answer)

    grader = Grader(handed_in.parent, forge)
    with pytest.raises(SubmissionError, match=message):
        Predictors(grader.carry_out).open(Path("a.keras"))


def test_predictions_in_another_form_are_refused(handed_in):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, "softmax")])
    opened = OpenedNetwork(
        name="a.keras", structure=structure_of(model), weights="", architecture=""
    )
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}, {}]), allow_pickle=True)
    several = io.BytesIO()
    np.save(several, np.zeros((3, 2)))
    answers = [b"+" + opened.to_bytes()]
    for wrong in (b"", pickled.getvalue(), several.getvalue()):
        answers += [b"+", b"+" + wrong]

    def forge(descriptor, folder):
        with Connection(descriptor) as connection:
            for answer in answers:
                request = PredictorRequest.from_bytes(connection.recv_bytes())
                if request.command == "images":
                    os.close(recv_handle(connection))
                connection.send_bytes(answer)

    network = Predictors(Grader(handed_in.parent, forge).carry_out).open(Path("a.keras"))
    for number in range(3):
        with pytest.raises(SubmissionError, match="does not return"):
            network.predict(np.full((2, 3), number))


def test_after_a_bad_answer_has_ended_its_predictor_the_next_answer_has_a_new_one(handed_in):
    ends = iter([True, False])

    def sometimes_end(descriptor, folder):
        if next(ends):
            Connection(descriptor).close()
        else:
            serve(descriptor, folder)

    grader = Grader(handed_in.parent, sometimes_end)
    predictors = Predictors(grader.carry_out)
    structure = keras.Sequential([keras.Input((3,)), layers.Dense(2)]).to_json()
    with pytest.raises(SubmissionError, match="has ended"):
        predictors.build(structure, "bad")
    assert predictors.build(structure, "good").count_params() == 8
    assert [command for command, _ in grader.orders] == ["start", "forget", "start"]
