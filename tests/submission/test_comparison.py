"""Differences between networks, by the kinds of change that the assignments know."""

from __future__ import annotations

import pytest
from keras import Input, Sequential, layers

from course_utils.submission import differences_of_networks, layers_of, structure_of


def network(
    filters=(16, 32), kernel=3, norm=False, pool=layers.MaxPooling2D, dropout=0.0, stride=1, **more
):
    """Return the layers of a small network with blocks of one convolution each."""
    parts = [Input((32, 32, 3), dtype="uint8"), layers.Rescaling(1 / 255)]
    for number, width in enumerate(filters):
        step = 1 if number else stride
        settings = {"padding": "same", **more}
        parts.append(layers.Conv2D(width, kernel, strides=step, use_bias=not norm, **settings))
        parts += [layers.BatchNormalization()] if norm else []
        parts += [layers.ReLU(), pool(2)]
        parts += [layers.Dropout(dropout)] if dropout else []
    parts += [layers.Flatten(), layers.Dense(10, activation="softmax")]
    return layers_of(structure_of(Sequential(parts)))


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ({}, []),
        ({"norm": True}, ["batchnorm"]),
        ({"pool": layers.AveragePooling2D}, ["pooling"]),
        ({"filters": (16, 32, 64)}, ["depth"]),
        ({"filters": (32, 64)}, ["width"]),
        ({"dropout": 0.2}, ["dropout"]),
        ({"stride": 2}, ["pooling"]),
        ({"kernel": 5}, ["kernel"]),
        ({"padding": "valid"}, ["padding"]),
        ({"kernel_regularizer": "l2"}, ["regularisation"]),
        ({"kernel_initializer": "he_normal"}, ["initialisation"]),
        ({"norm": True, "dropout": 0.2}, ["batchnorm", "dropout"]),
        (
            {"norm": True, "dropout": 0.2, "kernel": 5, "filters": (32, 64), "stride": 2},
            ["batchnorm", "dropout", "kernel", "pooling", "width"],
        ),
    ],
)
def test_differences_are_named_by_their_kind(changed, kinds):
    assert differences_of_networks(network(), network(**changed)) == kinds


def test_a_block_more_brings_what_the_others_have():
    settings = {"norm": True, "dropout": 0.2, "kernel_regularizer": "l2"}
    few, many = network(**settings), network(filters=(16, 32, 64), **settings)
    assert differences_of_networks(few, many) == ["depth"]
    assert differences_of_networks(many, few) == ["depth"]
