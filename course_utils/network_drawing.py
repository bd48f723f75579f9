"""A drawing of a network, made from the Keras model itself: the sizes of its layers' outputs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
import seaborn as sns
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from course_utils.errors import CourseError
from course_utils.plotting import PALETTE, Picture, show

# Outputs in a row, and the size of the space for each, in inches.
COLUMNS = 5
WIDTH, HEIGHT = 1.5, 1.95
# Largest front, thickness and thinnest part of a volume, as fractions of the space's width.
SIDE, THICKNESS, THINNEST = 0.5, 0.3, 0.04
# Where the far edge of a volume is, as fractions of its height: to the right, and up.
DEPTH = (0.45, 0.35)
LETTERS = 23
FONT = 8

ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "selu": "SELU"}
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
GREY = sns.color_palette("gray_r", 6)[1]


@dataclass
class _Output:
    """What one layer returns, and what the layers after it do without changing its size."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    colour: tuple[float, float, float]
    then: list[str] = field(default_factory=list)

    @property
    def size(self) -> str:
        return " × ".join(f"{each:,}" for each in self.shape)

    @property
    def weights(self) -> list[str]:
        return [_count(self.parameters)] if self.parameters else []


def draw_network(model: keras.Model) -> Picture:
    """Draw the outputs of a network's layers: maps as volumes, lists of numbers as bars.

    Heights grow with the square root of a map's side, and thicknesses with the logarithm of the
    number of maps. Layers that keep the size of their input are named under the volume, with the
    number of their parameters in brackets.

    Parameters
    ----------
    model : keras.Model
        A network whose layers follow one another, as in `keras.Sequential`.

    Returns
    -------
    Picture
        Its alternative text lists all layers with their sizes and numbers of parameters.

    Raises
    ------
    CourseError
        If the network was not built, or has a layer that reads several others.

    Examples
    --------
    >>> from course_utils import draw_network, zoo
    >>> draw_network(zoo.build("fast/cnn")).alt
    'A network of 81,834 parameters. Input: 32 × 32 × 3, then scaling. Convolution 5 × 5: ...
    """
    outputs = _outputs(model)
    rows = -(-len(outputs) // COLUMNS)
    figure = Figure(figsize=(WIDTH * COLUMNS, HEIGHT * rows), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, COLUMNS), ylim=(-rows * HEIGHT / WIDTH, 0), aspect="equal")
    axis.axis("off")
    widest = max(output.shape[-1] for output in outputs)
    highest = max(max(output.shape[:-1], default=1) for output in outputs)
    for number, output in enumerate(outputs):
        row, column = divmod(number, COLUMNS)
        middle, ground = column + 0.5, -row * HEIGHT / WIDTH - 0.75
        _draw(axis, output, middle, ground, highest, widest)
        if column:
            axis.annotate("", (column + 0.06, ground + 0.3), (column - 0.06, ground + 0.3),
                          arrowprops={"arrowstyle": "->", "color": "0.4"})  # fmt: skip
    return show(figure, _described(model, outputs))


def _outputs(model: keras.Model) -> list[_Output]:
    """Return the outputs that differ in size from those before them, or come from weights."""
    if not model.built:
        raise CourseError(
            "The network has no sizes yet: begin it with keras.Input((32, 32, 3)), or build it."
        )
    shape = model.input_shape
    if not isinstance(shape, tuple):
        raise CourseError("The network has several inputs, and the drawing shows one.")
    outputs = [_Output("input", shape[1:], 0, GREY)]
    for layer in _chain(model):
        shape, size = layer.output.shape[1:], outputs[-1].shape
        keeps = shape == size and not isinstance(layer, (*CONVOLUTIONS, layers.Dense, keras.Model))
        if keeps:
            weights = f" ({layer.count_params():,})" if layer.count_params() else ""
            outputs[-1].then.append(_named(layer) + weights)
        else:
            outputs.append(_Output(_named(layer), shape, layer.count_params(), _colour(layer)))
            outputs[-1].then += _activation(layer)
    return outputs


def _chain(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        if isinstance(layer.input, list):
            raise CourseError(
                f"The layer {layer.name} reads several others, and the drawing shows one after the "
                "other."
            )
        yield layer


def _named(layer: keras.layers.Layer) -> str:
    """Return what a layer does, in the words of the book."""
    kind = type(layer).__name__
    if isinstance(layer, CONVOLUTIONS):
        stride = f", stride {layer.strides[0]}" if layer.strides[0] > 1 else ""
        words = {
            "Conv2D": "convolution", "DepthwiseConv2D": "depthwise convolution",
            "SeparableConv2D": "separable convolution",
        }  # fmt: skip
        return f"{words[kind]} {_product(layer.kernel_size)}{stride}"
    if isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D):
        words = {"MaxPooling2D": "max-pooling", "AveragePooling2D": "average pooling"}
        return f"{words[kind]} {_product(layer.pool_size)}"
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate:g}"
    if isinstance(layer, layers.Activation):
        return " ".join(_activation(layer))
    if isinstance(layer, keras.Model):
        return layer.name
    words = {
        "BatchNormalization": "BatchNorm", "Dense": "dense", "Flatten": "flatten",
        "GlobalAveragePooling2D": "global average pooling", "Rescaling": "scaling",
        "GlobalMaxPooling2D": "global max-pooling",
    }  # fmt: skip
    return words.get(kind, kind)


def _activation(layer: keras.layers.Layer) -> list[str]:
    function = getattr(layer, "activation", None) or keras.activations.linear
    name = keras.activations.serialize(function)
    return [] if name == "linear" else [ACTIVATIONS.get(name, str(name))]


def _colour(layer: keras.layers.Layer) -> tuple[float, float, float]:
    if isinstance(layer, (*CONVOLUTIONS, keras.Model)):
        return PALETTE[0]
    return PALETTE[2] if isinstance(layer, layers.Dense) else PALETTE[1]


def _product(numbers: tuple[int, ...]) -> str:
    return " × ".join(map(str, numbers))


def _count(parameters: int) -> str:
    return f"{parameters:,} parameters"


def _draw(
    axis: Axes, output: _Output, middle: float, ground: float, highest: int, widest: int
) -> None:
    """Draw one volume or bar that stands on the ground, and its text below."""
    *sides, channels = output.shape
    thickness = _part(np.log2(channels), np.log2(widest), THICKNESS)
    if sides:
        height = _part(np.sqrt(sides[0]), np.sqrt(highest), SIDE)
        right, up = np.array(DEPTH) * _part(np.sqrt(sides[-1]), np.sqrt(highest), SIDE)
    else:
        height, thickness, right, up = SIDE * thickness / THICKNESS, THINNEST, 0, 0
    left = middle - (thickness + right) / 2
    front = np.array([(0, 0), (thickness, 0), (thickness, height), (0, height)])
    top = np.array([(0, height), (thickness, height), (thickness + right, height + up),
                    (right, height + up)])  # fmt: skip
    side = np.array([(thickness, 0), (thickness + right, up), (thickness + right, height + up),
                     (thickness, height)])  # fmt: skip
    for face, light in ((front, 0), (top, 0.55), (side, 0.3)):
        colour = np.array(output.colour) * (1 - light) + light
        place = np.add(face, (left, ground))
        axis.add_patch(Polygon(place, facecolor=colour, edgecolor="0.2", lw=0.6))
    title = textwrap.wrap(output.name, LETTERS)
    rest = [output.size, *output.weights, *textwrap.wrap(", ".join(output.then), LETTERS)]
    axis.text(middle, ground - 0.05, "\n".join(title), fontsize=FONT, weight="bold",
              ha="center", va="top")  # fmt: skip
    axis.text(middle, ground - 0.05, "\n" * len(title) + "\n".join(rest), fontsize=FONT,
              ha="center", va="top")  # fmt: skip


def _part(number: float, largest: float, length: float) -> float:
    """Return the part of a length that a number has of the largest one."""
    return max(length * number / max(largest, 1), THINNEST)


def _described(model: keras.Model, outputs: list[_Output]) -> str:
    sentences = [
        f"{output.name[0].upper()}{output.name[1:]}: "
        + ", ".join([output.size, *output.weights])
        + "".join(f", then {each}" for each in output.then)
        for output in outputs
    ]
    return f"A network of {_count(model.count_params())}. " + ". ".join(sentences) + "."
