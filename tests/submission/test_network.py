"""The structure of networks as plain facts."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from unusual_networks import IMAGE, networks_in_float16

from course_utils import zoo
from course_utils.submission import structure_of
from course_utils.submission.messages import Structure
from course_utils.submission.network import LoadedNetwork, in_single_precision
from course_utils.submission.trained import load_network


def small_cnn():
    return keras.Sequential([
        keras.Input((8, 8, 3), dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer=keras.regularizers.L2(0.5)),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip


def test_layers_have_kinds_settings_and_shapes():
    structure = structure_of(small_cnn())
    kinds = [layer.kind for layer in structure.layers]
    assert kinds == ["Rescaling", "Conv2D", "BatchNormalization", "Flatten", "Dense"]
    (convolution,) = structure.of_kind("Conv2D")
    assert convolution.settings["filters"] == 4
    assert convolution.settings["activation"] == "relu"
    assert convolution.settings["kernel_regularizer"]["config"] == {"l2": 0.5}
    assert convolution.weights == ((3, 3, 3, 4), (4,))
    assert convolution.output_shape == (None, 6, 6, 4)
    assert structure.input_shape == (None, 8, 8, 3)
    assert structure.output_shape == (None, 2)
    assert structure.count_params() == 112 + 16 + 6 * 6 * 4 * 2 + 2
    assert structure.trainable_weights == ((3, 3, 3, 4), (4,), (4,), (4,), (144, 2), (2,))


def test_the_parameters_are_keras_own_for_every_network_of_the_zoo():
    for name in ("fast/fully-connected", "fast/cnn", "fast/final", "hw5/batchnorm", "tbmi26/final"):
        model = zoo.build(name)
        structure = structure_of(model)
        assert structure.count_params() == model.count_params()
        assert Structure.from_bytes(structure.to_bytes()) == structure


def test_nested_networks_wrappers_and_operations_are_opened():
    image = keras.Input((4, 3))
    inner = keras.Sequential([layers.Dense(5, name="first"), layers.Dropout(0.1)], name="inner")
    hidden = layers.TimeDistributed(layers.Dense(6, name="each"))(ops.relu(inner(image) + 1))
    structure = structure_of(keras.Model(image, hidden))
    assert [layer.kind for layer in structure.layers] == [
        "Dense", "Dropout", "Add", "Relu", "TimeDistributed", "Dense"
    ]  # fmt: skip
    assert structure.networks == ("inner",)
    assert [layer.name for layer in structure.of_kind("Dense")] == ["first", "each"]


def test_recurrent_layers_are_opened():
    parts = [
        layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True),
        layers.Bidirectional(layers.LSTM(3)),
    ]
    structure = structure_of(keras.Sequential([keras.Input((4, 3)), *parts]))
    assert [layer.kind for layer in structure.layers] == [
        "RNN", "StackedRNNCells", "GRUCell", "LSTMCell",
        "Bidirectional", "LSTM", "LSTMCell", "LSTM", "LSTMCell",
    ]  # fmt: skip


def test_frozen_layers_are_not_trainable():
    model = small_cnn()
    model.layers[2].trainable = False
    structure = structure_of(model)
    assert not structure.of_kind("BatchNormalization")[0].trainable
    assert (4,) in structure.weights
    assert structure.trainable_weights == ((3, 3, 3, 4), (4,), (144, 2), (2,))


@pytest.mark.parametrize("value", [None, 3, "model", {"structure": 1}, layers.Dense])
def test_what_is_no_network_has_no_structure(value):
    assert structure_of(value) is None


def test_a_network_without_an_input_is_not_built():
    structure = structure_of(keras.Sequential([layers.Dense(3)]))
    assert not structure.built
    assert structure.input_shape == structure.output_shape == structure.weights == ()


def test_several_inputs():
    one, other = keras.Input((3,), name="one"), keras.Input((4,), name="other")
    joined = layers.Concatenate()([one, other])
    for inputs in ([one, other], {"one": one, "other": other}):
        structure = structure_of(keras.Model(inputs, joined))
        assert structure.input_shape == ((None, 3), (None, 4))


def test_a_network_is_the_same_wherever_it_is_built():
    model = small_cnn()
    one, other = LoadedNetwork(model), LoadedNetwork(keras.models.model_from_json(model.to_json()))
    assert one.architecture == other.architecture
    assert one.weights != other.weights
    assert one.structure == structure_of(other)
    json.dumps(one.structure.model_dump())


@pytest.mark.parametrize(
    "form", ["mixed", "half", "half-inputs", "one-layer", "a-map", "operations"]
)
def test_a_network_in_float16_is_loaded_in_float32(tmp_path, form):
    model, path = networks_in_float16()[form], tmp_path / "a1-q2.keras"
    model.save(path)
    loaded = load_network(path).model
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    x = np.random.default_rng(0).integers(0, 256, (4, *IMAGE), dtype="uint8")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=0.01)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "bfloat16", "float64"])
def test_a_network_of_another_precision_stays_as_it_is(precision):
    parts = [keras.Input((4,)), layers.Dense(2, dtype=precision, name="float16")]
    structure = keras.Sequential(parts).to_json()
    assert in_single_precision(structure) == structure
