"""Fused layers: what Keras computes, in fewer operations, and nothing else is changed."""

import json
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from scipy.stats import binom, chisquare

from course_utils import fused, runtime, zoo

# Largest difference, relative to the largest value: rounding, and one step of bfloat16.
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2**-7}
SHAPE = (16, 6, 5, 4)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the fused operations are TensorFlow's"
)


@pytest.fixture(autouse=True)
def keras_own_layers_afterwards():
    yield
    fused.fuse_layers(False)


def random(*shape, seed=0, scale=1.0, offset=0.0):
    return offset + scale * np.random.default_rng(seed).normal(size=shape).astype("float32")


def one_step(use_fused, training, trainable=True, shape=SHAPE, **settings):
    """Return all that a layer computes: outputs, gradients, moving averages."""
    import tensorflow as tf

    fused.fuse_layers(use_fused)
    layer = layers.BatchNormalization(**settings)
    layer.build(shape)
    channels = shape[layer.axis]
    for seed, weight in enumerate(layer.weights):
        offset = 2 if "variance" in weight.name else 0.5
        weight.assign(random(channels, seed=seed, scale=0.3, offset=offset))
    layer.trainable = trainable
    x = tf.constant(random(*shape, scale=3, offset=2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, "float32") * random(*shape, seed=9))
    gradients = tape.gradient(loss, [x, *layer.trainable_variables])
    return [np.array(tf.cast(value, "float32")) for value in (y, *gradients, *layer.weights)]


def assert_close(ours, keras_own, tolerance):
    assert len(ours) == len(keras_own)
    for one, other in zip(ours, keras_own):
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.75, "epsilon": 1e-2},
        {"momentum": 0.0, "epsilon": 1e-4},
        {"axis": 3},
        {"epsilon": 1e-7},
        {"scale": False},
        {"center": False},
        {"trainable": False},
        # Keras computes what the fused operation cannot.
        {"axis": 1},
        {"axis": 2},
        {"shape": (16, 4)},
        {"shape": (16, 5, 4)},
        {"renorm": True},
    ],
    ids=str,
)
def test_the_same_outputs_gradients_and_moving_averages_as_keras(precision, training, settings):
    keras.config.set_dtype_policy(precision)
    ours, keras_own = (one_step(use, training, **settings) for use in (True, False))
    assert_close(ours, keras_own, TOLERANCE[precision])


def test_a_batch_of_a_single_value_per_channel_has_no_variance():
    ours, keras_own = (one_step(use, True, shape=(1, 1, 1, 4)) for use in (True, False))
    assert_close(ours, keras_own, TOLERANCE["float32"])


def test_a_mask_is_left_to_keras():
    results = []
    for use in (True, False):
        fused.fuse_layers(use)
        layer = layers.BatchNormalization()
        mask = np.zeros(SHAPE[:3], bool)
        mask[:8] = True
        results.append(np.array(layer(random(*SHAPE), training=True, mask=mask)))
    np.testing.assert_array_equal(*results)


def test_large_means_keep_their_precision():
    results = []
    for use in (True, False):
        fused.fuse_layers(use)
        layer = layers.BatchNormalization(momentum=0.0)
        y = layer(random(*SHAPE, offset=1_000), training=True)
        results.append([np.array(value) for value in (y, layer.moving_variance)])
    assert_close(*results, tolerance=1e-3)


def test_a_derived_class_is_left_to_keras():
    class Mine(layers.BatchNormalization):
        pass

    mine = Mine()
    mine.build(SHAPE)
    assert not fused.is_fusible(mine, keras.ops.zeros(SHAPE))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_numbers_than_the_courses_are_left_to_keras(dtype):
    layer = layers.BatchNormalization(dtype=dtype)
    layer.build(SHAPE)
    assert not fused.is_fusible(layer, keras.ops.zeros(SHAPE, dtype))


@pytest.mark.train
@pytest.mark.parametrize("precision", TOLERANCE)
def test_training_gives_the_same_losses(precision, small_data):
    losses = []
    for use in (True, False):
        keras.config.set_dtype_policy(precision)
        fused.fuse_layers(use)
        keras.utils.set_random_seed(3)
        model = zoo.build("fast/final-narrow")
        model.compile("sgd", "sparse_categorical_crossentropy")
        x, y = small_data.x_train[:512], small_data.y_train[:512]
        fitted = model.fit(x, y, epochs=2, batch_size=64, shuffle=False, verbose=0)
        losses.append(fitted.history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3 if precision == "float32" else 1e-2)


def operations(model):
    """Return the kinds of operations of a training step."""
    import tensorflow as tf

    x, y = np.zeros((2, 32, 32, 3), "uint8"), np.zeros(2, "int64")
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    step = tf.function(lambda: model.train_step((x, y)))
    return {operation.type for operation in step.get_concrete_function().graph.get_operations()}


def test_setup_is_the_switch(capsys):
    runtime.setup()
    assert "FusedBatchNormV3" in operations(zoo.build("fast/final-narrow"))
    runtime.setup(fused=False)
    assert "FusedBatchNormV3" not in operations(zoo.build("fast/final-narrow"))
    assert layers.BatchNormalization.call.__module__.startswith("keras.")


def test_a_gpu_keeps_kerass_own(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "gpu_name", lambda: "NVIDIA H200")
    runtime.setup(precision="float32")
    assert layers.BatchNormalization.call.__module__.startswith("keras.")
    assert layers.Dropout.call.__module__.startswith("keras.")


def test_other_backends_keep_kerass_own(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    fused.fuse_layers(True)
    assert layers.BatchNormalization.call.__module__.startswith("keras.")


PLAIN_KERAS = """
import sys, numpy as np, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
assert not any(name.startswith("course_utils") for name in sys.modules)
np.save(sys.argv[2], model.predict(np.load(sys.argv[3]), verbose=0))
"""


@pytest.mark.train
@pytest.mark.process
def test_a_saved_network_opens_in_plain_keras_and_predicts_the_same(small_data, tmp_path):
    fused.fuse_layers(True)
    model = zoo.build("fast/final-with-dropout")
    model.compile("adam", "sparse_categorical_crossentropy")
    x = np.array(small_data.x_train[:256])
    model.fit(x, small_data.y_train[:256], verbose=0)
    paths = [tmp_path / name for name in ("model.keras", "predicted.npy", "images.npy")]
    model.save(paths[0])
    np.save(paths[2], x)
    subprocess.run([sys.executable, "-c", PLAIN_KERAS, *paths], check=True, timeout=120)
    np.testing.assert_allclose(np.load(paths[1]), model.predict(x, verbose=0), atol=1e-5)
    with zipfile.ZipFile(paths[0]) as archive:
        saved = json.loads(archive.read("config.json"))
    for layer in saved["config"]["layers"]:
        assert layer["module"] == "keras.layers"
        assert layer["registered_name"] is None


# Dropout


def masks(rate, steps=1, shape=(50, 10, 10, 20), seed=7, dtype="float32"):
    """Return what dropout makes of ones, in as many steps; each value is 0 or the scale."""
    fused.fuse_layers(True)
    layer = layers.Dropout(rate, seed=seed, dtype=dtype)
    return np.stack(
        [
            np.array(keras.ops.cast(layer(np.ones(shape, "float32"), training=True), "float32"))
            for _ in range(steps)
        ]
    )


@pytest.mark.parametrize("rate", [0.05, 0.2, 1 / 3, 0.5, 0.9])
def test_dropout_drops_the_rate_and_keeps_the_mean(rate):
    values = masks(rate, steps=5)
    n, kept = values.size, (values > 0).mean()
    # Four standard errors of a share.
    assert abs(kept - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)
    assert len(np.unique(values)) == 2
    assert values.max() == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_each_value_is_dropped_independently_of_the_others():
    flat = masks(0.3, steps=6).reshape(6, -1) > 0
    # Neighbours share 32 random bits; other steps and other places share none.
    for lag in (1, 2, 3, 20, 200):
        together = np.corrcoef(flat[0, :-lag], flat[0, lag:])[0, 1]
        assert abs(together) < 4 / np.sqrt(flat.shape[1])
    for step in range(1, 6):
        assert abs(np.corrcoef(flat[0], flat[step])[0, 1]) < 4 / np.sqrt(flat.shape[1])
    by_place = chisquare(np.bincount(flat.sum(axis=0), minlength=7),
                         binom.pmf(range(7), 6, 0.7) * flat.shape[1])  # fmt: skip
    assert by_place.pvalue > 1e-4


def test_dropout_is_reproduced_by_its_seed():
    np.testing.assert_array_equal(masks(0.4, steps=3), masks(0.4, steps=3))
    assert (masks(0.4) != masks(0.4, seed=8)).any()
    first, second = masks(0.4, steps=2)
    assert (first != second).any()


def test_the_seed_of_a_program_is_the_seed_of_its_masks():
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        drawn.append(masks(0.5, seed=None))
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("shape", [(3,), (7, 3), (1, 1), (0, 4), (2, 3, 5, 7)], ids=str)
def test_dropout_takes_any_shape(shape):
    assert masks(0.5, shape=shape)[0].shape == shape


def test_dropout_works_in_bfloat16():
    values = masks(0.2, dtype="bfloat16")
    assert abs((values > 0).mean() - 0.8) < 0.01
    assert values.max() == 1.25


def test_what_is_dropped_is_zero_whatever_it_was():
    fused.fuse_layers(True)
    values = layers.Dropout(0.5, seed=1)(np.full((64, 64), np.inf, "float32"), training=True)
    assert set(np.unique(values)) == {0.0, np.inf}


def test_gradients_pass_where_values_did():
    import tensorflow as tf

    fused.fuse_layers(True)
    layer = layers.Dropout(0.5, seed=1)
    x = tf.ones((64, 64))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), y)


def test_nothing_is_dropped_when_nothing_is_trained():
    fused.fuse_layers(True)
    x = np.ones((4, 4), "float32")
    np.testing.assert_array_equal(layers.Dropout(0.5)(x, training=False), x)
    np.testing.assert_array_equal(layers.Dropout(0.0)(x, training=True), x)
    assert not np.any(layers.Dropout(1.0)(x, training=True))
    shared = np.array(layers.Dropout(0.5, noise_shape=(4, 1))(x, training=True))
    assert all(len(np.unique(row)) == 1 for row in shared)
