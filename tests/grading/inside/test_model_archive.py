"""Submitted networks that are accepted or refused."""

from __future__ import annotations

import json
import re

import keras
import pytest
from nbgrading import ASSIGNMENTS

from course_utils.errors import SubmissionError
from course_utils.grading.inside.model_archive import checked_structure, read_structure


@pytest.mark.parametrize(
    "path", sorted(ASSIGNMENTS.glob("solutions/*/*.keras")), ids=lambda path: path.stem
)
def test_the_lecturers_networks_are_accepted(path):
    model = keras.models.model_from_json(read_structure(path))
    assert model.count_params() == keras.models.load_model(path, compile=False).count_params()


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
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    structure = json.loads(model.to_json())
    assert checked_structure(json.dumps(structure), "x.keras")
    structure["config"]["layers"][-1].update(change)
    with pytest.raises(SubmissionError, match=re.escape(problem)):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x / 255,
        lambda x: x + keras.layers.Conv2D(3, 3, padding="same")(x),
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
    model = keras.Model(image, keras.layers.Flatten()(part(image)))
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
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    assert "compile_config" not in checked_structure(model.to_json(), "x.keras")
