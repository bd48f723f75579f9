"""The frozen first layers of a pretrained network, and its last ones, ready to train."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

from course_utils.errors import DataError
from course_utils.transfer.weights import LAST, WEIGHTS_NAME, find_weights, network_of

# Height and width, in pixels, to which images are enlarged.
SIZE = 96

# Values of the pixels 0 and 255 with which the weights were trained.
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

    The model enlarges the images and scales their values itself.

    Parameters
    ----------
    cut : str
        The last layer, one of `CUTS`.
    size : int
        Height and width, in pixels, to which the images are enlarged (bilinear).
    pooled : bool
        Whether the maps are averaged over their positions.
    value_range : tuple of float
        The values that the pixels 0 and 255 become. The weights were trained with -1 and 1.
    image_shape : tuple of int
        Height, width and channels of one image.

    Returns
    -------
    keras.Model
        A model from images, uint8, ``(n, *image_shape)``, to maps, float32, ``(n, h, w, c)``, or
        ``(n, c)`` if they are pooled.

    Raises
    ------
    DataError
        For an unknown `cut`, or if `find_weights` finds no weights.

    Examples
    --------
    >>> from course_utils import transfer
    >>> model = transfer.backbone(pooled=True)
    >>> model.output_shape, model.trainable
    ((None, 1024), False)
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
        The layer whose maps are the input: one of `CUTS`, but not the last layer of a network.
    size : int
        Height and width, in pixels, of the images that the maps were computed from.
    head : keras.Model, optional
        A model on the pooled features of the last layer, ``(n, 1024)`` for MobileNet and
        ``(n, 1280)`` for MobileNetV2. A copy of it, with its weights, becomes the head. Default:
        one new dense layer with a softmax.
    frozen_batchnorm : bool
        Whether the BatchNorm layers stay in inference mode, with the averages of ImageNet, and
        their weights are not trained.
    classes : int
        Number of classes of the default head.

    Returns
    -------
    keras.Model
        A model from the cut's maps, ``(n, h, w, c)``, to the head's output, which is
        probabilities, float32, ``(n, classes)``, by default.

    Raises
    ------
    DataError
        For an unknown `cut`, a cut with nothing after it, a head that does not fit, or if
        `find_weights` finds no weights.

    Examples
    --------
    >>> from course_utils import transfer
    >>> model = transfer.tail("conv_pw_11_relu", size=96)
    >>> model.input_shape, model.output_shape
    ((None, 6, 6, 512), (None, 10))
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
    """Build layers in float32, so that features differ between machines by rounding only."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _pretrained(cut: str, size: int) -> keras.Model:
    """Return the network of a layer, up to the last layer that is used."""
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
