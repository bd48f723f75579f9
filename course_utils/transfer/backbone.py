"""The frozen first layers of a pretrained network, and its last ones, ready to train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

from course_utils.errors import DataError
from course_utils.transfer.weights import LAST, WEIGHTS_NAME, find_weights, network_of

SIZE = 96

IMAGENET_RANGE = (-1.0, 1.0)


def backbone(
    cut: str = LAST,
    size: int = SIZE,
    *,
    pooled: bool = False,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    image_shape: tuple[int, int, int] = (32, 32, 3),
) -> keras.Model:
    """Return a network up to a layer, frozen, with its ImageNet weights.

    Enlarging the images and scaling their values are layers of the model.

    Parameters
    ----------
    cut : str
        The last layer, one of `CUTS`.
    size : int
        Height and width, in pixels, to which the images are enlarged (bilinear).
    pooled : bool
        Average the maps over their positions.
    value_range : tuple of float
        What the values 0 and 255 of a pixel become. The weights were trained with -1 and 1.
    image_shape : tuple of int
        Of one image.

    Returns
    -------
    keras.Model
        Takes ``uint8`` images ``(n, *image_shape)``; returns float32 maps ``(n, h, w, c)``, or
        ``(n, c)`` where they are pooled.

    Raises
    ------
    DataError
        For an unknown `cut`, or where `find_weights` finds none.
    """
    low, high = value_range
    with _float32():
        network = _pretrained(cut, size)
        images = keras.Input(image_shape, dtype="uint8", name="images")
        x = layers.Rescaling((high - low) / 255, offset=low, name="scaled")(images)
        x = layers.Resizing(size, size, interpolation="bilinear", name="enlarged")(x)
        maps = keras.Model(network.input, network.get_layer(cut).output)(x)
        if pooled:
            maps = layers.GlobalAveragePooling2D(name="pooled")(maps)
        model = keras.Model(images, maps, name=f"frozen_up_to_{cut}")
    model.trainable = False
    return model


def tail(
    cut: str = "conv_pw_11_relu",
    size: int = SIZE,
    *,
    head: keras.Model | None = None,
    frozen_batchnorm: bool = True,
    classes: int = 10,
) -> keras.Model:
    """Return a network's layers after a cut, with pooling and a head on top, ready to train.

    The convolutions start from their ImageNet weights.

    Parameters
    ----------
    cut : str
        The layer whose maps go in, one of `CUTS` but the last one of its network.
    size : int
        Of the images that the maps were computed from.
    head : keras.Model, optional
        Takes pooled features of the last layer: ``(n, 1024)``, or ``(n, 1280)`` of MobileNetV2.
        A copy of it, with its weights, becomes the head. Without it: one new dense layer with a
        softmax.
    frozen_batchnorm : bool
        Keep the BatchNorm layers in inference mode, with the averages of ImageNet, and do not
        train their weights.
    classes : int
        Of the new head.

    Returns
    -------
    keras.Model
        Takes maps ``(n, h, w, c)`` of the cut; returns probabilities.

    Raises
    ------
    DataError
        For an unknown `cut`, one with nothing after it, a head that does not fit, or where
        `find_weights` finds none.
    """
    last = network_of(cut).last
    if cut == last:
        raise DataError(f"There is no layer after {last}: choose an earlier cut.")
    with _float32():
        network = _pretrained(cut, size)
    original = keras.Model(network.get_layer(cut).output, network.output)
    after = keras.models.clone_model(original, clone_function=_in_this_precision)
    after.set_weights(original.get_weights())
    for layer in after.layers:
        if isinstance(layer, layers.BatchNormalization) and frozen_batchnorm:
            layer.trainable = False
    pooled = layers.GlobalAveragePooling2D(name="pooled")(after.output)
    if head is None:
        top = layers.Dense(classes, activation="softmax", dtype="float32", name="classes")
    else:
        wanted = pooled.shape[1]
        if head.input_shape != (None, wanted):
            raise DataError(
                f"The head takes inputs of shape {head.input_shape[1:]}; behind {last} it must "
                f"take {wanted:,} features."
            )
        top = keras.models.clone_model(head)
        top.set_weights(head.get_weights())
    return keras.Model(after.input, top(pooled))


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    """Build layers in float32: features are the same on every machine, but for rounding."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _pretrained(cut: str, size: int) -> keras.Model:
    """Return the network that a layer is in, up to its last layer that is used."""
    chosen = network_of(cut)
    weights = find_weights(cut)
    build = getattr(keras.applications, chosen.application)
    whole = build(input_shape=(size, size, 3), include_top=False, weights=None)
    used = keras.Model(whole.input, whole.get_layer(chosen.last).output)
    try:
        if weights.name == WEIGHTS_NAME:
            used.load_weights(weights, by_name=True)
        else:
            whole.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{weights} does not hold the weights of {chosen.application}: remove it, so that it "
            "is downloaded anew."
        ) from error
    return used


def _in_this_precision(layer: keras.Layer) -> keras.Layer:
    """Copy a layer's settings; its copy computes in the precision of this run."""
    config = layer.get_config() | {"dtype": keras.config.dtype_policy()}
    return type(layer).from_config(config)
