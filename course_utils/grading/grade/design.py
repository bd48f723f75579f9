"""Grading the layers of a network, however a student writes them."""

from __future__ import annotations

from course_utils import zoo
from course_utils.grading.grade.values import Grade
from course_utils.submission.messages import Layer, Structure

# Layers that scale by what they have learned or were told about the data.
NORMALISATIONS = (
    "Normalization", "BatchNormalization", "LayerNormalization", "GroupNormalization",
    "UnitNormalization", "RMSNormalization",
)  # fmt: skip
# Operations with a number, such as `images / 255`. A network's structure does not say which number.
ARITHMETIC = ("Divide", "TrueDivide", "DivideNoNan", "Multiply")
# `Rescaling` multiplies pixels by about 1/255 to 1/64. From this factor on, they stay large.
LARGE_SCALE = 0.1
# A layer with one of these settings combines what it gets by weights that it learns.
COMBINES = ("units", "filters", "kernel_size")


def applying(structure: Structure, activation: str) -> list[Layer]:
    """Return the layers and operations that apply an activation function.

    Each of these counts: ``layers.Softmax()``, ``layers.Activation("softmax")``,
    ``activation="softmax"`` or ``activation=layers.Softmax()`` in another layer, and
    ``keras.ops.softmax`` or ``keras.activations.softmax``, called as a function.

    Parameters
    ----------
    structure : Structure
    activation : str
        Its name in Keras, such as ``"relu"`` or ``"softmax"``.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.grading import grade
    >>> from course_utils.submission import structure_of
    >>> structure = structure_of(zoo.build("fast/cnn"))
    >>> [layer.kind for layer in grade.applying(structure, "relu")]
    ['ReLU', 'ReLU', 'ReLU', 'Dense']
    """
    return [layer for layer in structure.layers if activation in _activations(layer)]


def scales_pixels(structure: Structure) -> bool:
    """Tell whether a network scales its images before the first layer that learns from them.

    It may do so in a ``Rescaling``, in a normalisation, or by dividing or multiplying. Bytes that a
    ``Rescaling`` leaves large do not count as scaled.

    Examples
    --------
    >>> import keras
    >>> from course_utils.grading import grade
    >>> from course_utils.submission import structure_of
    >>> image, dense = keras.Input((4,), dtype="uint8"), keras.layers.Dense(10)
    >>> grade.scales_pixels(structure_of(keras.Sequential([image, dense])))
    False
    >>> grade.scales_pixels(structure_of(keras.Model(image, dense(image / 255))))
    True
    """
    for layer in structure.layers:
        if any(setting in layer.settings for setting in COMBINES):
            return False
        if layer.kind in (*NORMALISATIONS, *ARITHMETIC):
            return True
        if layer.kind == "Rescaling" and _largest(layer.settings["scale"]) < LARGE_SCALE:
            return True
    return False


def own_design(question: str, structure: Structure) -> Grade:
    """Grade whether a network is another one than those of the book.

    A network with as many parameters as one in the zoo, trainable and not, has the same layers with
    weights. It earns nothing, and the lecturer is asked to look at it.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.grading import grade
    >>> from course_utils.submission import structure_of
    >>> pasted = grade.own_design("a2-q3", structure_of(zoo.build("fast/cnn")))
    >>> pasted.fraction, pasted.review
    (0.0, 'a2-q3: it has the layers of tbmi26/cnn in the book')
    """
    parameters = structure.count_params()
    frozen = parameters - structure.count_params(trainable=True)
    for name in zoo.names():
        design = zoo.design(name)
        if (design.parameters, design.frozen) == (parameters, frozen) and not design.features:
            return Grade(
                0.0,
                f"✗ a design of your own: the layers are those of {name}, a network of the book. "
                "Your lecturer will look at it.",
                review=f"{question}: it has the layers of {name} in the book",
            )
    return Grade(1.0, "✓ a design of your own")


def _activations(layer: Layer) -> tuple[str, ...]:
    """Return the names of the functions that a layer applies, in small letters."""
    setting = layer.settings.get("activation")
    given = setting["class_name"] if isinstance(setting, dict) else str(setting)
    return layer.kind.lower(), given.lower()


def _largest(scale: float | list[float]) -> float:
    return max(map(abs, scale)) if isinstance(scale, list) else abs(scale)
