"""Training: schedules, batches, augmentation, early stopping, and that it learns."""

import keras
import numpy as np
import pytest

from course_utils import training, zoo
from course_utils.data.augmentation import augment, random_shift
from course_utils.recipes import Augmentation, EarlyStopping, Recipe


def rate(recipe, step, steps=100):
    schedule = training.make_schedule(recipe, steps)
    return float(schedule(step)) if callable(schedule) else schedule


def test_inverse_time_is_what_old_keras_called_decay():
    recipe = Recipe(learning_rate=0.01, schedule="inverse_time", decay=1e-2)
    for step in (0, 1, 50):
        assert rate(recipe, step) == pytest.approx(0.01 / (1 + 1e-2 * step), rel=1e-5)


def test_cosine_rises_then_falls_to_zero():
    recipe = Recipe(learning_rate=0.1, schedule="cosine", warmup=0.2)
    assert rate(recipe, 0) == 0
    assert rate(recipe, 10) == pytest.approx(0.05)
    assert rate(recipe, 20) == pytest.approx(0.1)
    assert rate(recipe, 60) == pytest.approx(0.05)
    assert rate(recipe, 100) == pytest.approx(0, abs=1e-8)


def test_cosine_without_warm_up_starts_at_the_top():
    assert rate(Recipe(learning_rate=0.1, schedule="cosine"), 0) == pytest.approx(0.1)


def numbered_images(n=100):
    x = np.zeros((n, 8, 8, 3), dtype="uint8")
    x[:, 0, 0, 0] = np.arange(n)
    return x, np.arange(n)


def test_an_epoch_holds_every_image_once_in_an_order_of_its_own():
    batches = training.Batches(*numbered_images(), batch_size=20, seed=3)
    first = np.concatenate([batches[i][1] for i in range(len(batches))])
    batches.start_at(1)
    second = np.concatenate([batches[i][1] for i in range(len(batches))])
    assert sorted(first) == sorted(second) == list(range(100))
    assert not np.array_equal(first, second)


def test_images_keep_their_labels():
    batches = training.Batches(*numbered_images(), batch_size=32, seed=0)
    x, y = batches[1]
    np.testing.assert_array_equal(x[:, 0, 0, 0], y)


def test_batches_depend_on_the_seed_alone():
    settings = {"batch_size": 16, "augmentation": Augmentation(horizontal_flip=True, shift=2)}
    x, y = numbered_images()
    one, same, other = (training.Batches(x, y, seed=seed, **settings) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one[2][0], same[2][0])
    assert not np.array_equal(one[2][1], other[2][1])


def test_a_batch_larger_than_the_set_is_the_whole_set():
    assert len(training.Batches(*numbered_images(10), batch_size=64)) == 1


def test_an_epoch_of_so_many_steps_goes_through_several_orders():
    batches = training.Batches(*numbered_images(10), batch_size=4, seed=0, steps=5)
    labels = np.concatenate([batches[i][1] for i in range(len(batches))])
    assert len(labels) == 20
    assert sorted(labels[:10]) == sorted(labels[10:]) == list(range(10))
    assert not np.array_equal(labels[:10], labels[10:])


def test_an_epoch_of_few_steps_does_not_start_with_the_same_images_again():
    batches = training.Batches(*numbered_images(), batch_size=10, seed=0, steps=2)
    first = batches[0][1]
    batches.start_at(1)
    assert not np.array_equal(first, batches[0][1])


@pytest.mark.parametrize("batch_size", [7, 64, 600])
def test_the_pipeline_holds_the_same_batches(batch_size):
    x, y = numbered_images(1_300)
    augmentation = Augmentation(horizontal_flip=True, shift=1)
    batches = training.Batches(x, y, batch_size, augmentation, seed=4)
    read = list(training.pipeline(batches))
    assert len(training.pipeline(batches)) == len(read) == len(batches)
    for index, (images, labels) in enumerate(read):
        np.testing.assert_array_equal(images, batches[index][0])
        np.testing.assert_array_equal(labels, batches[index][1])


@pytest.mark.train
def test_each_epoch_of_a_model_without_an_input_shape_has_an_order_of_its_own():
    seen = []

    class Watched(training.Batches):
        def __getitem__(self, index):
            seen.append((self.epoch, index))
            return super().__getitem__(index)

    x, y = numbered_images(40)
    batches = Watched(x, y, batch_size=20)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(40, "softmax")])
    training.compile_model(model, Recipe(), steps=6)
    callbacks = [training.OrderOfEpoch(batches)]
    model.fit(training.pipeline(batches), epochs=3, callbacks=callbacks, shuffle=False, verbose=0)
    assert list(dict.fromkeys(seen)) == [(epoch, index) for epoch in range(3) for index in range(2)]


def test_flips_mirror_about_half_the_images():
    images = np.zeros((2_000, 4, 4, 1), dtype="uint8")
    images[:, :, 0] = 1
    flipped = augment(images, Augmentation(horizontal_flip=True), np.random.default_rng(0))
    mirrored = flipped[:, 0, 3, 0] == 1
    assert 0.45 < mirrored.mean() < 0.55
    np.testing.assert_array_equal(flipped[mirrored], images[mirrored][:, :, ::-1])


def test_shifts_move_the_image_as_a_whole_by_at_most_so_many_pixels():
    images = np.zeros((500, 16, 16, 1), dtype="uint8")
    images[:, 8, 8] = 255
    shifted = random_shift(images, 3, np.random.default_rng(0))
    rows, columns = np.unravel_index(shifted[..., 0].reshape(500, -1).argmax(axis=1), (16, 16))
    assert set(rows - 8) == set(columns - 8) == set(range(-3, 4))
    assert (shifted.reshape(500, -1) == 255).sum() == 500


def test_augmentation_leaves_the_originals_alone(small_data):
    before = np.array(small_data.x_train[:50])
    changed = augment(before, Augmentation(horizontal_flip=True, shift=2), np.random.default_rng(0))
    np.testing.assert_array_equal(before, small_data.x_train[:50])
    assert changed.dtype == before.dtype
    assert changed.shape == before.shape


@pytest.mark.train
def test_training_learns_and_says_so(small_data, capsys):
    keras.utils.set_random_seed(0)
    model = zoo.build("fast/final-narrow")
    history = training.train(model, small_data, zoo.recipe("fast/final"), epochs=4)
    assert history.epochs == 4
    assert history.loss[-1] < 0.9 * history.loss[0]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("epoch  1/4  loss ")


@pytest.mark.train
def test_early_stopping_ends_training_and_keeps_the_best_weights(small_data):
    keras.utils.set_random_seed(0)
    model = zoo.build("fast/final-narrow")
    recipe = Recipe(
        learning_rate=1e-9,
        epochs=9,
        early_stopping=EarlyStopping(monitor="val_accuracy", patience=1, min_delta=0.5),
    )
    history = training.train(model, small_data, recipe, verbose=False)
    assert history.epochs == 2


def stopping_recipe(**settings):
    return Recipe(learning_rate=1e-9, epochs=9, early_stopping=EarlyStopping(**settings))


@pytest.mark.train
def test_training_stops_by_whichever_figure_is_first(small_data):
    keras.utils.set_random_seed(0)
    recipe = stopping_recipe(monitor="either", patience=2, min_delta=0.5, keep_best=False)
    history = training.train(zoo.build("fast/final-narrow"), small_data, recipe, verbose=False)
    assert history.epochs == 3


@pytest.mark.train
def test_training_stops_at_a_target(small_data):
    keras.utils.set_random_seed(0)
    recipe = stopping_recipe(patience=9, target=0.01)
    history = training.train(zoo.build("fast/final-narrow"), small_data, recipe, verbose=False)
    assert history.epochs == 1


@pytest.mark.train
def test_the_best_weights_are_kept_only_where_they_are_asked_for(small_data):
    data = small_data.limited(200)
    left = {}
    for keep_best in (True, False):
        keras.utils.set_random_seed(0)
        model = zoo.build("fast/final-narrow")
        # No epoch after the first counts as better: the best weights are those of the first.
        stopping = EarlyStopping(patience=2, min_delta=1.0, keep_best=keep_best)
        recipe = Recipe(epochs=3, early_stopping=stopping)
        training.train(model, data, recipe, verbose=False)
        left[keep_best] = model.get_weights()[0]
    keras.utils.set_random_seed(0)
    model = zoo.build("fast/final-narrow")
    training.train(model, data, Recipe(epochs=1), verbose=False)
    first = model.get_weights()[0]
    np.testing.assert_allclose(left[True], first, atol=1e-5)
    assert np.abs(left[False] - first).max() > 1e-3


@pytest.mark.train
def test_without_validation_images_nothing_is_measured_on_them(small_data, capsys):
    data = small_data.limited(200).with_validation_split(0)
    assert len(data.y_train) == 240
    history = training.train(zoo.build("fast/final-narrow"), data, Recipe(epochs=1))
    assert (history.val_loss, history.val_accuracy) == ([], [])
    assert "validation" not in capsys.readouterr().out


@pytest.mark.train
def test_a_trained_model_can_be_saved_and_read_without_any_code(small_data, tmp_path):
    model = zoo.build("fast/final-narrow")
    training.train(model, small_data, zoo.recipe("fast/final"), epochs=1, verbose=False)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        model.predict(small_data.x_val, verbose=0), again.predict(small_data.x_val, verbose=0)
    )
