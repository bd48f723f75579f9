"""The zoo: parameter counts worked out by hand, names, recipes."""

import math

import keras
import numpy as np
import pytest

from course_utils import zoo
from course_utils.data import SPECS
from course_utils.errors import RecipeError, UnknownDesignError
from course_utils.recipes import Recipe

# Numbers of parameters that the document prints, for networks whose layers it gives.
CNN = (5 * 5 * 3 + 1) * 32 + (4 * 4 * 32 + 1) * 64 + (2 * 2 * 64 + 1) * 120 + 121 * 120 + 121 * 10


@pytest.mark.parametrize(
    ("name", "total", "frozen"),
    [
        ("tbmi26/mnist-200", 785 * 200 + 201 * 10, 0),
        ("tbmi26/fully-connected", 12_523_266, 0),
        ("tbmi26/cnn", 81_834, 0),
        ("tbmi26/dropout", 81_834, 0),
        ("tbmi26/batchnorm", 81_834 + 4 * (32 + 64 + 120), 2 * (32 + 64 + 120)),
        ("tbmi26/final", 654_140, 2 * (32 + 64 + 96)),
        ("fast/fully-connected", 3073 * 512 + 513 * 256 + 257 * 10, 0),
        ("fast/final", 247_594, 2 * (64 + 128 + 128)),
    ],
)
def test_parameter_counts(name, total, frozen):
    model = zoo.build(name)
    assert model.count_params() == total
    assert sum(math.prod(weight.shape) for weight in model.non_trainable_weights) == frozen


def test_every_network_is_for_a_data_set_of_the_catalogue():
    assert {zoo.design(name).dataset for name in zoo.names()} <= set(SPECS)


def test_a_variant_names_its_parent_once():
    designs = [zoo.design(name) for name in zoo.names()]
    seen = [""]
    for design in designs:
        assert design.parent in seen  # which comes before its variants
        assert design.summary.startswith(design.parent)
        assert not design.about.startswith(tuple(zoo.names()))
        seen.append(design.name)
    parents = {d.name: d.parent for d in designs if d.name.startswith("proyectos/")}
    assert parents["proyectos/0"] == ""
    assert parents["proyectos/9b"] == "proyectos/8"
    assert parents["proyectos/17"] == "proyectos/15"
    assert zoo.design("dl/2").summary == "dl/1 with a second block of 64 filters."


def test_the_cnn_by_hand():
    assert CNN == 81_834


def test_output_sizes_of_the_cnn_are_the_documents():
    convolutions = [
        layer.output.shape[1:]
        for layer in zoo.build("tbmi26/cnn").layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.MaxPooling2D)
    ]
    assert convolutions == [
        (28, 28, 32), (14, 14, 32), (11, 11, 64), (3, 3, 64), (2, 2, 120), (1, 1, 120),
    ]  # fmt: skip


# The documents' networks are tested in the same way in test_zoo_documents.
@pytest.mark.parametrize("name", [name for name in zoo.names() if name.startswith("fast/")])
def test_every_network_takes_bytes_and_returns_probabilities(name):
    model = zoo.build(name)
    images = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:]), dtype="uint8")
    probabilities = keras.ops.convert_to_numpy(model(images))
    assert probabilities.shape == (4, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_final_design_has_the_structure_of_the_document():
    model = zoo.build("tbmi26/final")
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.05, 0.10, 0.15, 0.5]
    momenta = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.75}
    assert zoo.recipe("tbmi26/final").epochs <= 25


def test_an_unknown_name_is_answered_with_the_nearest_ones():
    with pytest.raises(UnknownDesignError, match="did you mean tbmi26/cnn"):
        zoo.build("tbmi26/cn")
    with pytest.raises(UnknownDesignError, match="course zoo list"):
        zoo.design("?!")


def test_a_recipe_refuses_what_cannot_be():
    with pytest.raises(RecipeError, match="epochs = 0"):
        Recipe().replace(epochs=0)
    with pytest.raises(RecipeError, match="optimizer = 'lion'"):
        Recipe().replace(optimizer="lion")
    with pytest.raises(RecipeError, match="colour"):
        Recipe().replace(colour="red")
    with pytest.raises(RecipeError, match="Recipe cannot have epochs = 0"):
        Recipe(epochs=0)


def test_replacing_keeps_the_rest():
    recipe = zoo.recipe("fast/final").replace(epochs=2)
    assert recipe.epochs == 2
    assert recipe.augmentation == zoo.recipe("fast/final").augmentation
