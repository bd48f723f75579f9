"""Layers that networks of several documents share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
from keras import layers

# Shape of one image of CIFAR-10: height, width, channels.
IMAGE = (32, 32, 3)


def scaled_input(shape: tuple[int, ...] = IMAGE, lowest: float = -1.0) -> list[layers.Layer]:
    """Return the first layers of a network, which scale uint8 pixels to `lowest` to 1."""
    scale = (1 - lowest) / 255
    return [keras.Input(shape, dtype="uint8"), layers.Rescaling(scale, offset=lowest)]


def class_probabilities(classes: int = 10) -> layers.Layer:
    """Return the last layer of a network, in float32 whatever the precision of the others."""
    return layers.Dense(classes, activation="softmax", dtype="float32")


def convolution(
    filters: int, kernel: int = 3, padding: str = "same", **settings: Any
) -> layers.Layer:
    """Return a convolution with a ReLU; other settings are those of `keras.layers.Conv2D`."""
    return layers.Conv2D(filters, kernel, padding=padding, activation="relu", **settings)


def classifier(widths: Iterable[int], dropout: float = 0.0, **settings: Any) -> list[layers.Layer]:
    """Return the end of a network: dense ReLU layers on the flattened maps, then the classes.

    Parameters
    ----------
    widths : iterable of int
        Units of the dense layers before the last one.
    dropout : float
        The fraction of each dense layer's outputs that is dropped, 0 to 1.
    **settings
        Other settings of these dense layers, those of `keras.layers.Dense`.
    """
    ending: list[layers.Layer] = [layers.Flatten()]
    for width in widths:
        ending.append(layers.Dense(width, activation="relu", **settings))
        if dropout:
            ending.append(layers.Dropout(dropout))
    return [*ending, class_probabilities()]


def innermost_layers(model: keras.Model) -> Iterator[layers.Layer]:
    """Yield the layers of a model in their order; a model among them is replaced by its layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from innermost_layers(layer)
        else:
            yield layer
