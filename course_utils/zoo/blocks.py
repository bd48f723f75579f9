"""Layers that networks of several documents share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import keras
from keras import layers

IMAGE = (32, 32, 3)


def scaled_input(shape: tuple[int, ...] = IMAGE, lowest: float = -1.0) -> list[layers.Layer]:
    """Return the first layers of a network: ``uint8`` pixels in, `lowest` to 1 out."""
    scale = (1 - lowest) / 255
    return [keras.Input(shape, dtype="uint8"), layers.Rescaling(scale, offset=lowest)]


def class_probabilities(classes: int = 10) -> layers.Layer:
    """Return the last layer of a network; in float32 whatever the precision before it."""
    return layers.Dense(classes, activation="softmax", dtype="float32")


def convolution(filters: int, kernel: int = 3, padding: str = "same", **settings) -> layers.Layer:
    """Return a convolution with a ReLU."""
    return layers.Conv2D(filters, kernel, padding=padding, activation="relu", **settings)


def classifier(widths: Iterable[int], dropout: float = 0.0, **settings) -> list[layers.Layer]:
    """Return the end of a network: dense ReLU layers on the flattened maps, then the classes.

    With `dropout`, that part of each dense layer's values is dropped.
    """
    ending: list[layers.Layer] = [layers.Flatten()]
    for width in widths:
        ending.append(layers.Dense(width, activation="relu", **settings))
        if dropout:
            ending.append(layers.Dropout(dropout))
    return [*ending, class_probabilities()]


def innermost_layers(model: keras.Model) -> Iterator[layers.Layer]:
    """Yield the layers of a model, and those of the models in it, in their order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from innermost_layers(layer)
        else:
            yield layer
