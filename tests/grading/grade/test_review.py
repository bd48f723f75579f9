"""Reasons to review a network: how it answers when it sees the same images again."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest
from nbgrading import ASSIGNMENTS

from course_utils import env
from course_utils.evaluation import score
from course_utils.grading import grade
from course_utils.grading.grade import networks
from course_utils.grading.grade.review import reasons_to_review
from course_utils.recipes import Recipe
from course_utils.submission.network import LoadedNetwork
from course_utils.submission.trained import Trained, load_trained

CLASSES = 10
SOLUTIONS = ASSIGNMENTS / "solutions"


class Pretender:
    """A network of the lecturer's whose answers come from elsewhere."""

    def __init__(self, network, answers) -> None:
        self._network, self._answers = network, answers

    def __getattr__(self, name):
        return getattr(self._network, name)

    def predict(self, x):
        return np.eye(CLASSES)[self._answers(x)]


def reasons(trained: Trained, data, answers=None) -> str:
    if answers:
        trained = Trained(trained.question, Pretender(trained.network, answers), trained.record)
    probabilities = trained.network.predict(data.x_test)
    scored = score(np.asarray(probabilities, "float32"), data.y_test, data.class_names)
    return reasons_to_review(trained, scored, 0.0, data)


@pytest.fixture
def trained(tmp_path, cifar10):
    for path in (SOLUTIONS / "a2-cnn").glob("a2-q3.*"):
        shutil.copy(path, tmp_path)
    return load_trained("a2-q3", tmp_path)


@pytest.fixture
def data(cifar10):
    return cifar10.limited(4_000)


def test_an_honest_network_answers_alike(trained, data):
    found = reasons(trained, data)
    assert "order" not in found
    assert "recognise" not in found
    assert "trained on" not in found


def test_a_network_that_only_recognises_the_test_images(trained, data):
    known = {image.tobytes(): label for image, label in zip(data.x_test, data.y_test)}
    found = reasons(trained, data, lambda x: [known.get(image.tobytes(), 0) for image in x])
    assert "100.0% of some test images are right" in found
    assert "shifted by a pixel: does it only recognise them?" in found
    assert "a little brighter: does it only recognise them?" in found


def test_a_network_whose_answer_changes_with_the_order(trained, data):
    """It counts its images: the first one is of class 0, the next of class 1."""
    found = reasons(trained, data, lambda x: np.arange(len(x)) % CLASSES)
    assert "of the images its answer changed with their order" in found


def test_only_a_network_that_earns_points_is_compared(trained, data, monkeypatch):
    """All networks that always answer with the same class make the same mistakes."""
    alone = Pretender(trained.network, lambda x: np.full(len(x), 3))
    alone.weights = "3" * 64
    useless = Trained(trained.question, alone, trained.record)
    for each, points, compared in ((trained, 1.0, {"a2-q3"}), (useless, 0.0, set())):
        monkeypatch.setattr(networks, "load_trained", lambda _, each=each: each)
        graded = grade.network("a2-q3", data.limited(500))
        assert (graded.fraction, set(graded.traces)) == (points, compared)


@pytest.mark.train
def test_a_step_of_a_log_is_trained_again(small_data, monkeypatch):
    def build():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), keras.layers.Flatten()])
        model.add(keras.layers.Dense(10, activation="softmax"))
        return LoadedNetwork(model)

    recipe = Recipe(epochs=1)
    logged = build().train_again(small_data, recipe, 0).predict(small_data.x_val).argmax(axis=1)
    right = float(np.mean(logged == small_data.y_val))

    def review(accuracy):
        return grade.train_again("a step", build, small_data, recipe, 0, accuracy)

    assert review(right + 0.5) == ""
    monkeypatch.setenv(env.TRAIN_AGAIN.name, "1")
    assert review(right) == ""
    expected = f"a step: trained again it reached {right:.1%}, not {right + 0.5:.1%}"
    assert review(right + 0.5) == expected


def test_a_network_that_does_not_know_its_training_images(trained, data):
    known = {image.tobytes(): label for image, label in zip(data.x_val, data.y_val)}
    known |= {image.tobytes(): label for image, label in zip(data.x_test, data.y_test)}
    found = reasons(trained, data, lambda x: [known.get(image.tobytes(), 0) for image in x])
    assert "of some training images and" in found
    assert "of the validation images are right: what was it trained on?" in found
