"""The closed table: what a submitted network may consist of, and that nothing else is built."""

from __future__ import annotations

import json
import re
import time

import keras
import numpy as np
import pytest
from hostile import NAMES_A_CLASS
from keras import layers, ops
from unusual_networks import call_operation, network_with

from course_utils.errors import SubmissionError
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.predictor import build
from course_utils.submission import structures
from course_utils.submission.structures import (
    ACTIVATIONS,
    LAYERS,
    OPERATIONS,
    PARTS,
    checked_structure,
)


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_every_layer_of_the_table_passes_with_unusual_settings(name, tmp_path):
    model = network_with(name)
    model.save(tmp_path / "x.keras")
    again = keras.models.model_from_json(read_structure(tmp_path / "x.keras"))
    again.load_weights(tmp_path / "x.keras")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (3, *model.input_shape[1:])).astype(model.inputs[0].dtype)
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_no_other_layer_passes():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    structure = json.loads(model.to_json())
    others = {name for name in dir(layers) if name not in LAYERS and name[0].isupper()}
    assert {"Lambda", "TFSMLayer", "JaxLayer", "TextVectorization", "StringLookup"} <= others
    for name in others:
        structure["config"]["layers"][-1]["class_name"] = name
        with pytest.raises(SubmissionError, match=f"{name} of keras.layers"):
            checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"class_name": "Lambda"}, "Lambda of keras.layers"),
        ({"module": "os"}, "Dense of os"),
        ({"module": ["os"]}, "Dense of ['os']"),
        ({"module": None, "registered_name": "Mine>Dense"}, "Dense of None"),
        ({"class_name": "__lambda__"}, "__lambda__ of keras.layers"),
        ({"class_name": ["Dense"]}, "a class without a name"),
        ({"build_config": {"scale": [[0.5] * 13] * 5}}, "a list of 65 numbers"),
    ],
)
def test_a_structure_names_keras_own_layers(change, problem):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    structure = json.loads(model.to_json())
    assert checked_structure(json.dumps(structure), "x.keras")
    structure["config"]["layers"][-1].update(change)
    with pytest.raises(SubmissionError, match=re.escape(problem)):
        checked_structure(json.dumps(structure), "x.keras")


CALLED = [(module, name) for module, names in sorted(OPERATIONS.items()) for name in sorted(names)]


@pytest.mark.parametrize(("module", "name"), CALLED)
def test_every_operation_of_the_table_passes(module, name):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, call_operation(name, image))
    structure = model.to_json()
    assert {(module, name)} & {
        (each["module"], each["class_name"]) for each in json.loads(structure)["config"]["layers"]
    }
    again = build(checked_structure(structure, "x.keras"), "x.keras")
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 8, 8, 4))
    assert np.array_equal(again(x), model(x), equal_nan=True)


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x + layers.Conv2D(3, 3, padding="same")(x),
        lambda x: 2 - x // 3 + x % 0.4 - x**2 / abs(-x),
        lambda x: ops.cast((x > 0.5) & (x <= 0.7) | ~(x != 0.1), "float32"),
        lambda x: ops.matmul(x, ops.swapaxes(x, 2, 3)) @ x,
        lambda x: x[:, 1:, ..., :2],
    ],
    ids=["residual", "arithmetic", "comparison", "product", "slice"],
)
def test_operators_are_accepted(part):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Flatten()(part(image)))
    again = build(checked_structure(model.to_json(), "x.keras"), "x.keras")
    again.set_weights(model.get_weights())
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 8, 8, 3))
    assert np.array_equal(again(x), model(x))


@pytest.mark.parametrize("name", ["Map", "WhileLoop", "np", "vectorize", "backend"])
@pytest.mark.parametrize("module", ["core", "numpy"])
def test_what_takes_a_function_is_no_operation(module, name):
    image = keras.Input((4,))
    structure = json.loads(keras.Model(image, image / 2).to_json())
    structure["config"]["layers"][-1].update(module=f"keras.src.ops.{module}", class_name=name)
    with pytest.raises(SubmissionError, match=f"{name} of"):
        checked_structure(json.dumps(structure), "x.keras")


def test_an_optimizer_is_left_out():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("adam", "mse")
    assert "compile_config" not in checked_structure(model.to_json(), "x.keras")


@pytest.mark.parametrize(
    "activation",
    [
        NAMES_A_CLASS,
        NAMES_A_CLASS | {"module": "keras.layers", "config": "TFSMLayer"},
        NAMES_A_CLASS | {"module": "builtins", "config": "exec"},
        NAMES_A_CLASS | {"module": "keras.activations", "config": "relu"},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}},
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "x"}},
        "layers.TFSMLayer",
        "deserialize",
        "get",
        ["relu", NAMES_A_CLASS],
        {"relu": NAMES_A_CLASS},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["Activation", "Dense"])
def test_an_activation_is_a_name_of_the_table_or_one_of_its_layers(kind, activation):
    layer = layers.Activation("relu") if kind == "Activation" else layers.Dense(2)
    structure = json.loads(keras.Sequential([keras.Input((4,)), layer]).to_json())
    structure["config"]["layers"][-1]["config"]["activation"] = activation
    with pytest.raises(SubmissionError, match="is not loaded"):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize("place", ["build_config", "shapes", "kwargs"])
def test_names_and_values_are_no_object(place):
    image = keras.Input((4,))
    structure = json.loads(keras.Model(image, layers.Dense(2)(image)).to_json())
    last = structure["config"]["layers"][-1]
    strange = {"class_name": ["Dense"], "config": [1]}
    last["build_config"] = {"build_config": strange, "shapes": {"shapes_dict": strange}}.get(place)
    if place == "kwargs":
        last["inbound_nodes"][0]["kwargs"] = {"class_name": 1, "config": [1]}
    with pytest.raises(SubmissionError, match="is not loaded"):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize("kind", ["initializer", "regularizer", "constraint"])
@pytest.mark.parametrize("name", ["layers.TFSMLayer", "get", "deserialize", "STFT", "he_normal"])
def test_a_part_of_a_layer_is_named_by_the_table(kind, name):
    structure = json.loads(keras.Sequential([keras.Input((4,)), layers.Dense(2)]).to_json())
    settings = structure["config"]["layers"][-1]["config"]
    for known in PARTS[f"keras.{kind}s"]:
        settings[f"kernel_{kind}"] = known
        assert checked_structure(json.dumps(structure), "x.keras")
    settings[f"kernel_{kind}"] = name
    with pytest.raises(SubmissionError, match=f"the {kind} '{name}'"):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize(
    "argument",
    [
        "a path",
        {"inputs": "a path"},
        {"class_name": "__bytes__", "config": {"value": "x"}},
        {"class_name": "__typespec__", "config": [], "spec_name": "x", "registered_name": "x"},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "__numpy__", "config": {"value": [0.5] * 65, "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": "x", "dtype": "object"}},
        # NumPy makes numbers of texts, and of truth values.
        {"class_name": "__numpy__", "config": {"value": ["0.5"], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": "0.5", "dtype": "float32"}},
        {"class_name": "__tensor__", "config": {"value": [[["0.5"]]], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": [True] * 65, "dtype": "float32"}},
        NAMES_A_CLASS,
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["args", "kwargs"])
def test_a_layer_is_called_with_tensors_and_numbers_only(place, argument):
    image = keras.Input((4,))
    structure = json.loads(keras.Model(image, layers.Dense(2)(image)).to_json())
    node = structure["config"]["layers"][-1]["inbound_nodes"][0]
    node[place] = [*node["args"], argument] if place == "args" else {"inputs": argument}
    with pytest.raises(SubmissionError, match="is not loaded"):
        checked_structure(json.dumps(structure), "x.keras")


def test_constants_are_no_weights():
    image = keras.Input((4,))
    added = image
    for _ in range(5):
        added = added + np.linspace(0, 1, 4)
    structure = keras.Model(image, added).to_json()
    assert checked_structure(structure, "x.keras")
    for _ in range(12):
        added = added + np.linspace(0, 1, 4)
    with pytest.raises(SubmissionError, match="68 numbers in constants"):
        checked_structure(keras.Model(image, added).to_json(), "x.keras")


@pytest.mark.parametrize("text", ["0.5", ["0.5"], [[1, "0.5"]]])
@pytest.mark.parametrize("key", ["scale", "offset"])
def test_a_setting_that_computes_is_no_text(key, text):
    structure = json.loads(keras.Sequential([keras.Input((4,)), layers.Rescaling(2)]).to_json())
    structure["config"]["layers"][-1]["config"][key] = text
    with pytest.raises(SubmissionError, match=r"'0\.5' instead of a number"):
        checked_structure(json.dumps(structure), "x.keras")


HIDDEN = [
    lambda: layers.Dense(2, activation="relu"),
    lambda: layers.BatchNormalization(),
    lambda: keras.Sequential([layers.Reshape((2, 2, 1)), layers.Conv2D(4, 1), layers.Flatten()]),
]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("key", ["activation", "kernel_initializer", "units", "name"])
def test_no_layer_is_hidden_in_a_setting(key, hidden):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    structure = json.loads(model.to_json())
    inside = json.loads(json.dumps(keras.saving.serialize_keras_object(hidden())))
    structure["config"]["layers"][-1]["config"][key] = inside
    with pytest.raises(SubmissionError, match=f"as {key}"):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize("name", sorted(structures.NONLINEARITIES))
def test_a_nonlinearity_can_be_a_layer(name):
    kind = getattr(layers, name)
    activation = kind("relu") if name == "Activation" else kind()
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation=activation)])
    again = build(checked_structure(model.to_json(), "x.keras"), "x.keras")
    again.set_weights(model.get_weights())
    x = np.linspace(-1, 1, 8).reshape(2, 4)
    assert np.array_equal(again(x), model(x))


def in_calls(x):
    return x * 0.5 + 0.25


def in_settings(x):
    return layers.LeakyReLU(negative_slope=0.5)(layers.ReLU(max_value=6.0)(x))


def in_operations(x):
    return ops.clip(x, -0.5, 0.5)


@pytest.mark.parametrize("compute", [in_calls, in_settings, in_operations])
def test_settings_and_inputs_are_no_weights(compute, monkeypatch):
    """Each counts by itself, wherever it stands."""
    monkeypatch.setattr(structures, "MAX_SCALARS", 12)
    image, part = keras.Input((4,)), keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    last = image
    for _ in range(3):
        last = compute(last)
    assert checked_structure(keras.Model(image, part(last)).to_json(), "x.keras")
    for _ in range(4):
        last = compute(last)
    inside = keras.Model(image, last)  # also in a network among the layers
    with pytest.raises(SubmissionError, match="14 numbers as settings or inputs"):
        checked_structure(keras.Model(image, part(inside(image))).to_json(), "x.keras")


def test_a_list_among_the_inputs_counts_as_its_numbers():
    image = keras.Input((4,))
    structure = json.loads(keras.Model(image, image * 0.5 + 0.5).to_json())
    for layer in structure["config"]["layers"][1:]:
        layer["inbound_nodes"][0]["args"][1] = [[0.5] * 8] * 8
    assert checked_structure(json.dumps(structure), "x.keras")
    structure["config"]["layers"] *= 3
    with pytest.raises(SubmissionError, match="384 numbers as settings or inputs"):
        checked_structure(json.dumps(structure), "x.keras")


def test_what_deep_networks_need_is_no_weight():
    """Places, shapes and initial values are none, and neither is what Keras chooses."""
    image = keras.Input((8,))
    last = layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal())(image)
    last = layers.LeakyReLU()(layers.BatchNormalization(epsilon=1.001e-5)(last))
    last = layers.Dropout(0.25)(ops.reshape(last[:, :8], (-1, 8)))
    structure = json.loads(keras.Model(image, last).to_json())
    structure["config"]["layers"] *= 200
    assert checked_structure(json.dumps(structure), "x.keras")


def test_nested_lists_are_refused_at_once():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    structure = json.loads(model.to_json())
    nested: list = []
    for _ in range(400):
        nested = [nested]
    structure["config"]["layers"][-1]["build_config"] = {"input_shape": [nested] * 100}
    start = time.process_time()
    with pytest.raises(SubmissionError, match="lists nested too deeply"):
        checked_structure(json.dumps(structure), "x.keras")
    assert time.process_time() - start < 1


def test_a_refusal_can_be_printed_whatever_it_quotes():
    name = "\ud800\x1b[2J"
    structure = {"class_name": name, "module": "keras.layers", "config": {}}
    with pytest.raises(SubmissionError) as refused:
        checked_structure(json.dumps(structure), "x.keras")
    assert str(refused.value).encode("ascii")
    assert "\x1b" not in str(refused.value)


def test_a_layer_has_its_own_settings_only():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    structure = json.loads(model.to_json())
    structure["config"]["layers"][-1]["config"]["weights"] = [1.0]
    with pytest.raises(SubmissionError, match="the setting 'weights' of Dense"):
        checked_structure(json.dumps(structure), "x.keras")


def test_what_is_not_in_the_table_is_not_copied():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    structure = json.loads(model.to_json())
    structure["config"]["layers"][-1]["secret"] = structure["secret"] = "SECRET"
    structure["config"]["layers"][-1]["registered_name"] = "SECRET"
    assert "SECRET" not in checked_structure(json.dumps(structure), "x.keras")


def test_activations_are_functions_of_keras():
    assert all(callable(getattr(keras.activations, name)) for name in ACTIVATIONS)
