"""A trained network as plain data, from which `network.js` computes what Keras does."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from course_utils.errors import NetworkPageError

# Activations of `network.js`.
ACTIVATIONS = frozenset(
    {
        "elu",
        "leaky_relu",
        "linear",
        "relu",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "tanh",
    }
)
# Slopes of these activations where a layer names them and nothing else.
SLOPES = {"leaky_relu": 0.2, "elu": 1.0}

Settings = dict[str, Any]
Shape = tuple[Any, ...]


def export_network(model: keras.Model) -> Settings:
    """Return a network's layers with their settings and weights, as values for JSON.

    Kernels are stored in float16, which changes a probability by far less than 0.01; all other
    numbers are float32.

    Parameters
    ----------
    model : keras.Model
        A sequence of layers, from images with one or three channels to classes. A network that
        returns logits gets a softmax.

    Returns
    -------
    dict
        ``input``, the shape of an image; ``parameters``, their number; ``layers``, from the first
        to the last.

    Raises
    ------
    NetworkPageError
        If the page cannot compute a layer, or the network is no such sequence, or was not built,
        or returns neither probabilities nor logits, or has weights that are not finite.
    """
    if not model.built:
        raise NetworkPageError(
            "The network has no weights yet: begin it with keras.Input((32, 32, 3))."
        )
    chain = list(_chain(model))
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise NetworkPageError(
            f"The network takes inputs of shape {shape}, but the page shows images of one size: "
            "their shape is (height, width, channels)."
        )
    if shape[-1] not in (1, 3):
        raise NetworkPageError(
            f"The network takes images of {shape[-1]} channels; the page shows 1 or 3 of them."
        )
    exported = []
    for layer in chain:
        exported.append(_exported(layer, shape))
        shape = layer.compute_output_shape(shape)
    if len(shape) != 2 or shape[-1] < 2:
        raise NetworkPageError(
            f"The network returns values of shape {shape[1:]}, but the page shows probabilities of "
            "classes: let the last layer be dense, with a unit for each class."
        )
    last = next(each for each in reversed(exported) if each["kind"] != "unchanged")
    activation = last.get("activation", "linear")
    if activation == "linear":
        exported.append({"kind": "activation", "type": "Softmax", "activation": "softmax"})
    elif activation != "softmax":
        raise NetworkPageError(
            f"The last layer has the activation {activation}, but the page shows probabilities of "
            "classes: give it softmax, or none."
        )
    return {
        "input": model.input_shape[1:],
        "parameters": model.count_params(),
        "layers": exported,
    }


def _chain(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the layers of a network in which each reads the one before it."""
    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            yield from _chain(layer) if isinstance(layer, keras.Model) else [layer]
        return
    before = None
    for layer in model.layers:
        if before is not None and layer.input is not before:
            raise _not_a_sequence(layer.name)
        if not isinstance(layer, layers.InputLayer):
            yield layer
        before = layer.output
    if model.output is not before:
        raise _not_a_sequence(model.name)


def _not_a_sequence(name: str) -> NetworkPageError:
    return NetworkPageError(
        f"{name} does not only read the layer before it: the page shows networks whose layers "
        "follow one another, as in keras.Sequential."
    )


def _exported(layer: keras.layers.Layer, shape: Shape) -> Settings:
    make = EXPORTERS.get(type(layer))
    if make is None:
        known = ", ".join(sorted(kind.__name__ for kind in EXPORTERS))
        raise NetworkPageError(
            f"The page cannot compute the layer {layer.name} ({type(layer).__name__}). "
            f"It knows these: {known}."
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise NetworkPageError(f"The layer {layer.name} has its channels first, not last.")
    return {"type": type(layer).__name__, "name": layer.name} | make(layer, shape)


def _convolution(layer: layers.Conv2D, shape: Shape) -> Settings:
    if layer.groups != 1 or set(layer.dilation_rate) != {1}:
        raise NetworkPageError(
            f"The page cannot compute the layer {layer.name}: it has groups or a dilation."
        )
    return _weighted(layer, layer.filters) | {
        "kind": "convolution",
        "size": layer.kernel_size,
        "strides": layer.strides,
        "padding": layer.padding,
    }


def _dense(layer: layers.Dense, shape: Shape) -> Settings:
    """Export a dense layer; on maps, it is a convolution of 1 × 1."""
    exported = _weighted(layer, layer.units) | {"kind": "dense"}
    if len(shape) == 2:
        return exported
    return exported | {
        "kind": "convolution",
        "size": (1, 1),
        "strides": (1, 1),
        "padding": "valid",
    }


def _weighted(layer: layers.Conv2D | layers.Dense, filters: int) -> Settings:
    bias = np.zeros(filters) if layer.bias is None else layer.bias
    weights = {
        "kernel": _array(layer, layer.kernel, "float16"),
        "bias": _array(layer, bias),
    }
    return {"filters": filters, "weights": weights} | _activation(layer)


def _pooling(layer: layers.MaxPooling2D | layers.AveragePooling2D, shape: Shape) -> Settings:
    return {
        "kind": "pooling",
        "average": isinstance(layer, layers.AveragePooling2D),
        "size": layer.pool_size,
        "strides": layer.strides,
        "padding": layer.padding,
    }


def _global_pooling(
    layer: layers.GlobalMaxPooling2D | layers.GlobalAveragePooling2D, shape: Shape
) -> Settings:
    """Export pooling with one window, as large as the map."""
    size = shape[1:3]
    average = isinstance(layer, layers.GlobalAveragePooling2D)
    return {
        "kind": "pooling",
        "average": average,
        "size": size,
        "strides": size,
        "padding": "valid",
    }


def _batch_normalization(layer: layers.BatchNormalization, shape: Shape) -> Settings:
    if layer.axis not in (-1, len(shape) - 1):
        raise NetworkPageError(f"The layer {layer.name} normalises another axis than the last.")
    mean, variance = (_numbers(each) for each in (layer.moving_mean, layer.moving_variance))
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * _numbers(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + _numbers(layer.beta)
    return _scaling(layer, shape, scale, shift)


def _rescaling(layer: layers.Rescaling, shape: Shape) -> Settings:
    return _scaling(layer, shape, layer.scale, layer.offset)


def _scaling(layer: keras.layers.Layer, shape: Shape, scale: Any, shift: Any) -> Settings:
    weights = {
        name: _array(layer, np.broadcast_to(each, shape[-1]))
        for name, each in (("scale", scale), ("shift", shift))
    }
    return {"kind": "scaling", "weights": weights}


def _flatten(layer: layers.Flatten, shape: Shape) -> Settings:
    return {"kind": "flatten"}


def _unchanged(layer: keras.layers.Layer, shape: Shape) -> Settings:
    return {"kind": "unchanged"}


def _activation(layer: keras.layers.Layer) -> Settings:
    name = keras.activations.serialize(layer.activation)
    return _checked_activation(layer, name, SLOPES.get(name) if isinstance(name, str) else None)


def _checked_activation(layer: keras.layers.Layer, name: Any, slope: Any = None) -> Settings:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise NetworkPageError(
            f"The page cannot compute the activation of the layer {layer.name} ({name}). "
            f"It knows these: {', '.join(sorted(ACTIVATIONS))}."
        )
    return {"activation": name} | ({} if slope is None else {"slope": float(slope)})


def _activation_layer(layer: keras.layers.Layer, shape: Shape) -> Settings:
    """Export a layer that is nothing but an activation."""
    if isinstance(layer, layers.Softmax):
        exported = _checked_activation(layer, "softmax" if layer.axis == -1 else None)
    elif isinstance(layer, layers.ReLU):
        plain = layer.max_value is None and not layer.threshold
        name = ("leaky_relu" if layer.negative_slope else "relu") if plain else None
        exported = _checked_activation(layer, name, layer.negative_slope)
    elif isinstance(layer, layers.LeakyReLU):
        exported = _checked_activation(layer, "leaky_relu", layer.negative_slope)
    elif isinstance(layer, layers.ELU):
        exported = _checked_activation(layer, "elu", layer.alpha)
    else:
        exported = _activation(layer)
    return {"kind": "activation"} | exported


# Layers that the page computes. A class that is derived from one of them may compute something
# else, so it is refused.
EXPORTERS: dict[type, Callable[[Any, Shape], Settings]] = {
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.GlobalMaxPooling2D: _global_pooling,
    layers.GlobalAveragePooling2D: _global_pooling,
    layers.BatchNormalization: _batch_normalization,
    layers.Rescaling: _rescaling,
    layers.Flatten: _flatten,
} | dict.fromkeys(
    [layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Softmax],
    _activation_layer,
) | dict.fromkeys(
    # Layers that do nothing after training.
    [
        layers.Dropout,
        layers.SpatialDropout2D,
        layers.GaussianDropout,
        layers.GaussianNoise,
        layers.Identity,
        layers.RandomBrightness,
        layers.RandomContrast,
        layers.RandomFlip,
        layers.RandomRotation,
        layers.RandomTranslation,
        layers.RandomZoom,
    ],
    _unchanged,
)  # fmt: skip


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(values), dtype="float64")


def _array(layer: keras.layers.Layer, values: Any, dtype: str = "float32") -> dict[str, str]:
    """Return numbers as text: base64 of their bytes, in which the last index varies fastest."""
    numbers = _numbers(values)
    if not np.isfinite(numbers).all():
        raise NetworkPageError(
            f"The layer {layer.name} has weights that are not finite numbers: the training "
            "diverged. Train again with a smaller learning rate."
        )
    if abs(numbers).max(initial=0) > np.finfo(dtype).max:
        dtype = "float32"
    stored = numbers.astype(np.dtype(dtype).newbyteorder("<"))
    return {"type": dtype, "data": base64.b64encode(stored.tobytes()).decode()}
