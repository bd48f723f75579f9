"""Networks of a submission: their structure as plain facts, and what they predict.

The process that holds the labels never builds a network of a student's. Its tests read these facts
instead, and have another process predict. In a notebook, the same functions take Keras models.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import keras
import numpy as np

from course_utils.data import Dataset
from course_utils.evaluation import EVALUATION_BATCH
from course_utils.recipes import Recipe
from course_utils.submission.messages import Layer, Structure
from course_utils.training import train

# The name of a precision for which CPUs have no instructions, in a structure.
FLOAT16 = re.compile(r'"(mixed_)?float16"')


class Network(ABC):
    """A network that was handed in, or that a function of the student returned."""

    @property
    @abstractmethod
    def structure(self) -> Structure:
        """Its layers, as plain facts."""

    @property
    @abstractmethod
    def weights(self) -> str:
        """Digest of the weights: 64 hexadecimal digits."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Digest of everything but the weights: 64 hexadecimal digits."""

    @abstractmethod
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes, shape ``(n, classes)``."""

    @abstractmethod
    def train_again(self, data: Dataset, recipe: Recipe, seed: int) -> Network:
        """Train a new network of the same structure, and return it."""

    @property
    def input_shape(self) -> tuple[Any, ...]:
        """The shape of a batch of images, as in Keras."""
        return self.structure.input_shape

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """The shape of a batch of outputs, as in Keras."""
        return self.structure.output_shape

    def count_params(self) -> int:
        """Return the number of parameters, trainable or not."""
        return self.structure.count_params()


class LoadedNetwork(Network):
    """A network in this process.

    Attributes
    ----------
    model : keras.Model
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    @cached_property
    def structure(self) -> Structure:
        return _described(self.model)

    @property
    def weights(self) -> str:
        digest = hashlib.sha256()
        for weight in self.model.get_weights():
            digest.update(f"{weight.shape}{weight.dtype}".encode())
            digest.update(np.ascontiguousarray(weight).tobytes())
        return digest.hexdigest()

    @property
    def architecture(self) -> str:
        return hashlib.sha256(self.model.to_json().encode()).hexdigest()

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(np.asarray(x), batch_size=EVALUATION_BATCH, verbose=0)

    def train_again(self, data: Dataset, recipe: Recipe, seed: int) -> LoadedNetwork:
        keras.utils.set_random_seed(seed)
        model = type(self.model).from_config(self.model.get_config())
        train(model, data, recipe, seed=seed, verbose=False)
        return LoadedNetwork(model)


def in_single_precision(structure: str) -> str:
    """Return the structure of a network that computes in float32 where this one does in float16.

    A network that was trained on a GPU may have been saved in float16. A CPU has no instructions
    for it, and takes up to thirty times as long as in float32. The weights fit both, and what the
    network predicts differs only by the rounding of float16. Other precisions stay as they are:
    bfloat16 is faster than float32 where the CPU has instructions for it.

    Parameters
    ----------
    structure : str
        JSON, as Keras writes it.

    Returns
    -------
    str
        The same text if there is nothing in float16.

    Examples
    --------
    >>> from course_utils.submission.network import in_single_precision
    >>> in_single_precision('{"class_name": "Dense", "config": {"dtype": "mixed_float16"}}')
    '{"class_name": "Dense", "config": {"dtype": "float32"}}'
    """
    if not FLOAT16.search(structure):
        return structure
    return json.dumps(json.loads(structure, object_hook=_without_float16))


def _without_float16(part: dict[str, Any]) -> dict[str, Any]:
    """Replace float16 where Keras writes a precision: as a setting, or as the name of a policy."""
    policy = part["config"] if part.get("class_name") == "DTypePolicy" else {}
    for settings, key in ((part, "dtype"), (part, "default_policy"), (policy, "name")):
        if settings.get(key) in ("float16", "mixed_float16"):
            settings[key] = "float32"
    return part


def code_in(structure: str) -> str:
    """Return what in a network's structure, as JSON, is code of its own, as a phrase.

    Examples
    --------
    >>> import keras
    >>> from course_utils.submission.network import code_in
    >>> layers = [keras.Input((4,)), keras.layers.Lambda(abs, name="positive")]
    >>> code_in(keras.Sequential(layers).to_json())
    'the Lambda layer positive'
    >>> code_in(keras.Sequential(layers[:1]).to_json())
    ''
    """
    found: list[str] = []

    def look(part: dict[str, Any]) -> dict[str, Any]:
        kind, module, config = (part.get(key) for key in ("class_name", "module", "config"))
        if kind == "Lambda" and isinstance(config, dict):
            found.append(f"the Lambda layer {config.get('name')}")
        elif kind == "__lambda__":
            found.append("a lambda")
        elif kind == "function":
            found.append(f"the function {config}")
        elif "module" in part and not str(module).startswith("keras"):
            found.append(f"the class {kind}")
        return part

    json.loads(structure, object_hook=look)
    # A container is visited after its content, so the outermost one is last.
    return found[-1] if found else ""


def structure_of(network: Any) -> Structure | None:
    """Return the facts about a network's layers.

    Parameters
    ----------
    network : object
        A `keras.Model`, or a `Network`, which stands for it in a test.

    Returns
    -------
    Structure or None
        None if it is no network.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.submission import structure_of
    >>> structure = structure_of(zoo.build("fast/cnn"))
    >>> structure.input_shape, structure.count_params()
    ((None, 32, 32, 3), 81834)
    >>> [layer.settings["units"] for layer in structure.of_kind("Dense")]
    [120, 10]
    """
    if isinstance(network, keras.Model):
        return _described(network)
    return network.structure if isinstance(network, Network) else None


def _described(model: keras.Model) -> Structure:
    """Return the facts about a Keras model's layers."""
    return Structure(
        layers=tuple(map(_layer, _parts(model))),
        networks=tuple(each.name for each in _networks(model)),
        built=model.built,
        input_shape=_shape(model.input_shape) if model.built else (),
        output_shape=_shape(model.output_shape) if model.built else (),
        weights=tuple(tuple(each.shape) for each in model.weights),
        trainable_weights=tuple(tuple(each.shape) for each in model.trainable_weights),
    )


def _direct_parts(network: keras.Model) -> list[Any]:
    """Return a network's layers and operations in their order, without its inputs."""
    parts = getattr(network, "operations", network.layers)
    return [each for each in parts if not isinstance(each, keras.layers.InputLayer)]


def _parts(network: keras.Model) -> Iterator[Any]:
    """Yield all layers and operations, those of nested networks and of wrappers included."""
    for part in _direct_parts(network):
        if isinstance(part, keras.Model):
            yield from _parts(part)
            continue
        yield part
        if isinstance(part, keras.layers.Wrapper):
            yield from _parts(part.layer) if isinstance(part.layer, keras.Model) else [part.layer]
        yield from _further_parts(part)


def _further_parts(part: Any) -> Iterator[keras.layers.Layer]:
    """Yield the layers in a recurrent layer, or in one that computes in both directions."""
    for name in ("forward_layer", "backward_layer", "cell"):
        inner = getattr(part, name, None)
        if isinstance(inner, keras.layers.Layer):
            yield inner
            yield from getattr(inner, "cells", _further_parts(inner))


def _networks(network: keras.Model) -> Iterator[keras.Model]:
    for part in _direct_parts(network):
        if isinstance(part, keras.Model):
            yield part
            yield from _networks(part)


def _layer(part: Any) -> Layer:
    settings = json.loads(json.dumps(keras.saving.serialize_keras_object(part)["config"]))
    output = None
    # A layer that was called twice has no single output, and one that was never called has none.
    with contextlib.suppress(AttributeError, ValueError):
        output = _shape(part.output.shape)
    return Layer(
        kind=type(part).__name__,
        name=part.name,
        settings=settings,
        output_shape=output,
        weights=tuple(tuple(each.shape) for each in getattr(part, "weights", ())),
        trainable=getattr(part, "trainable", False),
    )


def _shape(shape: Any) -> tuple[Any, ...]:
    """Return a shape as a tuple; several inputs or outputs have a tuple of shapes."""
    if isinstance(shape, dict):
        shape = shape.values()
    return tuple(_shape(each) if isinstance(each, tuple | list) else each for each in shape)
