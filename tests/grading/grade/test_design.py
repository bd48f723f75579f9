"""What the hidden tests ask about the layers of a network, however a student writes them."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from course_utils import zoo
from course_utils.grading import grade
from course_utils.submission import structure_of

SOFTMAXES = {
    "a layer": lambda x: layers.Softmax()(layers.Dense(10)(x)),
    "a setting": lambda x: layers.Dense(10, activation="softmax")(x),
    "a function as a setting": lambda x: layers.Dense(10, activation=keras.ops.softmax)(x),
    "a layer as a setting": lambda x: layers.Dense(10, activation=layers.Softmax())(x),
    "an activation layer": lambda x: layers.Activation("softmax")(layers.Dense(10)(x)),
    "keras.ops": lambda x: keras.ops.softmax(layers.Dense(10)(x)),
    "keras.activations": lambda x: keras.activations.softmax(layers.Dense(10)(x)),
}
SCALED = {
    "Rescaling": layers.Rescaling(1 / 255),
    "Rescaling of each channel": layers.Rescaling([1 / 64, 1 / 60, 1 / 70]),
    "Normalization": layers.Normalization(mean=[120.0] * 3, variance=[4096.0] * 3),
    "BatchNormalization": layers.BatchNormalization(),
    "a division": lambda image: image / 255,
    "a multiplication": lambda image: image * (1 / 255),
    "Rescaling after a change of shape": lambda image: layers.Rescaling(1 / 255)(
        layers.Flatten()(image)
    ),
}
NOT_SCALED = {
    "nothing": lambda image: image,
    "a factor of 1": layers.Rescaling(1.0),
    "an offset only": layers.Rescaling(1.0, offset=-128),
    "a cast": lambda image: keras.ops.cast(image, "float32"),
    "too late": lambda image: layers.Rescaling(1 / 255)(layers.Conv2D(4, 3)(image)),
}


def network(first, last=SOFTMAXES["a setting"]):
    """Return the facts about a network with this first layer and this end."""
    image = keras.Input((8, 8, 3), dtype="uint8")
    values = layers.Dense(20, activation="relu")(layers.Flatten()(first(image)))
    return structure_of(keras.Model(image, last(values)))


@pytest.mark.parametrize("written", SOFTMAXES)
def test_a_softmax_counts_once_in_every_form(written):
    assert len(grade.applying(network(SCALED["Rescaling"], SOFTMAXES[written]), "softmax")) == 1


def test_a_softmax_of_a_softmax_counts_twice():
    twice = network(SCALED["Rescaling"], lambda x: keras.ops.softmax(SOFTMAXES["a layer"](x)))
    assert len(grade.applying(twice, "softmax")) == 2


def test_other_activations_are_no_relu():
    last = SOFTMAXES["a setting"]
    others = network(SCALED["Rescaling"], lambda x: last(keras.ops.gelu(layers.LeakyReLU()(x))))
    assert [layer.kind for layer in grade.applying(others, "relu")] == ["Dense"]


@pytest.mark.parametrize("how", SCALED)
def test_images_may_be_scaled_in_several_ways(how):
    assert grade.scales_pixels(network(SCALED[how]))


@pytest.mark.parametrize("how", NOT_SCALED)
def test_images_that_stay_large_are_not_scaled(how):
    assert not grade.scales_pixels(network(NOT_SCALED[how]))


@pytest.mark.parametrize("name", ["tbmi26/cnn", "fast/final", "tbmi26/final"])
def test_a_network_of_the_book_is_nobodys_own_design(name):
    pasted = grade.own_design("a4-q9", structure_of(zoo.build(name)))
    assert pasted.fraction == 0
    assert name in pasted.review
    assert pasted.message.startswith("✗")


def test_a_network_with_other_sizes_is_a_design_of_ones_own():
    own = grade.own_design("a4-q9", network(SCALED["Rescaling"]))
    assert (own.fraction, own.review) == (1, "")
