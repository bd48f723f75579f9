"""The closed table: what a submitted network may consist of, and that nothing else is built."""

from __future__ import annotations

import copy
import json
import random
import re
import time

import keras
import numpy as np
import pytest
from hostile import NAMES_A_CLASS
from keras import layers
from unusual_networks import network_with

from course_utils.errors import SubmissionError
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.structures import (
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


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x / 255,
        lambda x: x + layers.Conv2D(3, 3, padding="same")(x),
        lambda x: keras.ops.cast(x, "float32"),
        lambda x: keras.ops.relu(x),
        lambda x: keras.activations.relu(x),
        lambda x: keras.ops.mean(x, axis=-1, keepdims=True),
        lambda x: x[:, 1:, ..., :2],
    ],
    ids=["divide", "residual", "cast", "relu", "activation", "mean", "slice"],
)
def test_operations_of_keras_are_accepted(part):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Flatten()(part(image)))
    again = keras.models.model_from_json(checked_structure(model.to_json(), "x.keras"))
    assert again.output_shape == model.output_shape


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


# What an attacker could put in the place of any part of a structure.
FRAGMENTS = [
    None, True, -1, 1e308, float("nan"), "", "relu", "layers.TFSMLayer", "../../etc/passwd", [], {},
    ["x"] * 3, [[0.5] * 65], NAMES_A_CLASS, {"class_name": "__lambda__", "config": {"value": "x"}},
    {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    {"module": "builtins", "class_name": "exec", "config": {}},
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}},
    {"class_name": ["Dense"], "config": []},
]  # fmt: skip


def places_of(part, here=()):
    """Yield the way to each part of a structure."""
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in inside:
        yield (*here, key)
        if isinstance(value, dict | list):
            yield from places_of(value, (*here, key))


def classes_of(part):
    """Yield module and class of every object in a structure."""
    if isinstance(part, dict):
        if "class_name" in part:
            yield part.get("module"), part["class_name"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from classes_of(each)


ALLOWED = (
    {("keras.layers", name) for name in LAYERS}
    | {(module, name) for module, names in (PARTS | OPERATIONS).items() for name in names}
    | {(module, "DTypePolicy") for module in ("keras", "keras.dtype_policies")}
    | {(module, "Sequential") for module in ("keras", "keras.models")}
    | {(module, "Functional") for module in ("keras", "keras.src.models.functional")}
    | {(None, f"__{kind}__") for kind in ("keras_tensor", "tuple", "slice", "ellipsis", "numpy")}
)  # fmt: skip


@pytest.mark.parametrize("seed", range(300))
def test_a_changed_structure_is_refused_or_holds_nothing_outside_the_table(seed):
    luck = random.Random(seed)
    image = keras.Input((8, 8, 3), dtype="uint8")
    found = layers.Conv2D(2, 3, kernel_regularizer="l2", activation="relu")(image / 255)
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(found + 1.0)))
    structure = json.loads(model.to_json())
    for _ in range(luck.randint(1, 3)):
        *way, last = luck.choice(list(places_of(structure)))
        holder = structure
        for key in way:
            holder = holder[key]
        holder[last] = copy.deepcopy(luck.choice(FRAGMENTS))
    try:
        checked = json.loads(checked_structure(json.dumps(structure), "x.keras"))
    except SubmissionError:
        return
    assert set(classes_of(checked)) <= ALLOWED


def test_activations_are_functions_of_keras():
    assert all(callable(getattr(keras.activations, name)) for name in ACTIVATIONS)
