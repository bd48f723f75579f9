"""A training that is stopped goes on after its last epoch, as if it had never been stopped."""

import errno
import json
import math
import threading
import time

import keras
import numpy as np
import pytest
from keras import layers

from course_utils import checkpoint
from course_utils.checkpoint import Checkpoint, State, States, read_state
from course_utils.errors import RunError
from course_utils.recipes import EarlyStopping, Recipe
from course_utils.training import compile_model, train
from course_utils.zoo.blocks import class_probabilities, scaled_input

NETWORK = "small"
RECIPE = Recipe(epochs=4, batch_size=64, schedule="cosine", optimizer="adamw")

pytestmark = pytest.mark.train


class Killed(BaseException):
    """Stands for the end of the process: nothing after it is executed."""


class DiesAfter(Checkpoint):
    """Ends the training once an epoch is saved."""

    def __init__(self, folder, epochs):
        super().__init__(folder)
        self.left = epochs

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.left -= 1
        if not self.left:
            raise Killed


@pytest.fixture(scope="module")
def images(small_data):
    return small_data.limited(320)


def network(rate=0.3):
    """Everything that has a state: weights, moving averages, an optimizer's moments, dropout."""
    return keras.Sequential(
        [
            *scaled_input(),
            layers.Conv2D(4, 3, strides=4),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(rate),
            layers.Flatten(),
            class_probabilities(),
        ]
    )


def trained(images, recipe=RECIPE, saved=None, seed=1):
    keras.utils.set_random_seed(seed)
    model = network()
    return model, train(model, images, recipe, seed=seed, verbose=False, checkpoint=saved)


def stopped_after(epochs, images, folder, recipe=RECIPE):
    with pytest.raises(Killed):
        trained(images, recipe, DiesAfter(folder, epochs))


def test_it_ends_as_an_uninterrupted_training(images, tmp_path):
    straight, expected = trained(images)
    stopped_after(1, images, tmp_path)
    stopped_after(2, images, tmp_path)
    model, history = trained(images, saved=Checkpoint(tmp_path))
    assert history.loss == pytest.approx(expected.loss, rel=1e-3)
    assert history.val_loss == pytest.approx(expected.val_loss, rel=1e-3)
    for ours, theirs in zip(model.get_weights(), straight.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert history.resumed == 2
    assert expected.resumed == 0


def test_a_finished_training_is_not_repeated(images, tmp_path):
    first, history = trained(images, saved=Checkpoint(tmp_path))
    again, same = trained(images, saved=Checkpoint(tmp_path))
    assert (same.loss, same.seconds, same.resumed) == (history.loss, history.seconds, 0)
    for ours, theirs in zip(again.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_early_stopping_remembers_what_it_saw(images, tmp_path):
    # No epoch after the first one counts as better.
    stopping = EarlyStopping(patience=2, min_delta=1.0)
    recipe = RECIPE.replace(early_stopping=stopping, schedule="constant")
    best, expected = trained(images, recipe)
    assert expected.epochs == 3
    stopped_after(2, images, tmp_path, recipe)
    model, history = trained(images, recipe, Checkpoint(tmp_path))
    assert history.epochs == 3
    for ours, theirs in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    again, _ = trained(images, recipe, Checkpoint(tmp_path))
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


OTHERS = {
    "recipe": lambda settings: settings | {"recipe": RECIPE.replace(epochs=2)},
    "seed": lambda settings: settings | {"seed": 2},
    "fewer images": lambda settings: settings | {"data": settings["data"].limited(160)},
    "network": lambda settings: settings | {"model": network(rate=0.8)},
    "nothing": lambda settings: settings,
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_state_of_another_training_is_neither_used_nor_replaced(images, tmp_path, other):
    stopped_after(1, images, tmp_path)
    settings = {"model": network(), "recipe": RECIPE, "seed": 1, "data": images}
    settings = OTHERS[other](settings)
    compile_model(settings["model"], RECIPE, steps=10)
    if other == "nothing":
        assert Checkpoint(tmp_path).restore(**settings, others=[]).epochs == 1
        return
    with pytest.raises(RunError, match="another recipe, network or data set"):
        Checkpoint(tmp_path).restore(**settings, others=[])
    assert read_state(tmp_path).epochs == 1


def test_a_training_that_diverged_is_read_again(tmp_path):
    state = State(recipe=RECIPE, seed=0, images="", network="", logs={"loss": [math.nan, math.inf]})
    (tmp_path / "state.json").write_text(state.model_dump_json())
    assert np.isnan(read_state(tmp_path).logs["loss"][0])


def test_machines_and_precisions_are_told(images, tmp_path):
    stopped_after(1, images, tmp_path)
    keras.config.set_dtype_policy("mixed_bfloat16")
    _, history = trained(images, saved=Checkpoint(tmp_path))
    assert [told.rpartition(", ")[2] for told in history.machines] == ["float32", "mixed_bfloat16"]


def test_nothing_but_whole_files_is_left(images, tmp_path):
    stopped_after(3, images, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"state.json", "epoch-3.weights.h5"}


def test_a_damaged_state_starts_anew_and_damaged_weights_are_named(images, tmp_path):
    stopped_after(1, images, tmp_path)
    weights = tmp_path / "epoch-1.weights.h5"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(RunError, match="delete that folder"):
        trained(images, saved=Checkpoint(tmp_path))
    (tmp_path / "state.json").write_text("{")
    assert read_state(tmp_path) is None
    _, history = trained(images, RECIPE.replace(epochs=1), Checkpoint(tmp_path))
    assert history.resumed == 0


def test_a_full_disk_leaves_the_last_state(images, tmp_path, monkeypatch):
    stopped_after(1, images, tmp_path)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as during:
        during.setattr(checkpoint, "write_atomically", full)
        with pytest.raises(OSError, match="No space"):
            trained(images, saved=Checkpoint(tmp_path))
    assert read_state(tmp_path).epochs == 1
    _, history = trained(images, saved=Checkpoint(tmp_path))
    assert history.epochs == RECIPE.epochs


def test_training_waits_while_it_is_paused(images, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PAUSE_SECONDS", 0.05)
    states = States(tmp_path)
    states.set_paused(True)
    timer = threading.Timer(3, states.set_paused, [False])
    timer.start()
    started = time.monotonic()
    with states.open(NETWORK, 1) as saved:
        _, history = trained(images, RECIPE.replace(epochs=1), saved)
    timer.join()
    passed = time.monotonic() - started
    assert passed > 3
    assert history.seconds < passed - 1


def test_two_processes_do_not_train_the_same(tmp_path):
    states = States(tmp_path)
    assert not states.is_open("dl/1", 0)
    with states.open("dl/1", 0):
        assert states.is_open("dl/1", 0)
        assert not states.is_open("dl/1", 1)
        with pytest.raises(RunError, match="Another process"), states.open("dl/1", 0):
            pass
        with pytest.raises(RunError, match="wait for it"):
            states.discard("dl/1", 0)
    assert not states.is_open("dl/1", 0)
    states.discard("dl/1", 0)
    assert not states.place("dl/1", 0).exists()


def test_the_state_is_plain_text_and_float32(images, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    stopped_after(1, images, tmp_path)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["recipe"]["epochs"] == RECIPE.epochs
    keras.config.set_dtype_policy("float32")
    _, history = trained(images, saved=Checkpoint(tmp_path))
    assert history.epochs == RECIPE.epochs
