"""The kind of a network, and the techniques that it uses, found in its layers and its recipe."""

from __future__ import annotations

from keras import layers

from course_utils.errors import DataError
from course_utils.zoo.blocks import innermost_layers
from course_utils.zoo.cost import model_to_read
from course_utils.zoo.design import Design

KINDS = ("fully connected", "convolutional", "transfer")
TECHNIQUES = ("dropout", "BatchNorm", "penalty or constraint", "augmentation", "early stopping")


def kind_and_techniques(design: Design) -> tuple[str, list[str]]:
    """Return one of `KINDS`, and those of `TECHNIQUES` that a network uses.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.zoo.techniques import kind_and_techniques
    >>> kind_and_techniques(zoo.design("dl/4"))
    ('convolutional', ['dropout', 'BatchNorm'])
    """
    model_layers = _own_layers(design)
    used = {
        "dropout": any(isinstance(layer, layers.Dropout) for layer in model_layers),
        "BatchNorm": any(isinstance(layer, layers.BatchNormalization) for layer in model_layers),
        "penalty or constraint": any(
            getattr(layer, f"kernel_{limit}", None)
            for layer in model_layers
            for limit in ("regularizer", "constraint")
        ),
        "augmentation": design.recipe.augmentation is not None,
        "early stopping": design.recipe.early_stopping is not None,
    }
    convolutional = any(isinstance(layer, layers.Conv2D) for layer in model_layers)
    kind = "transfer" if design.features else "convolutional" if convolutional else KINDS[0]
    return kind, [name for name in TECHNIQUES if used[name]]


def _own_layers(design: Design) -> list[layers.Layer]:
    """Return a network's layers without its backbone; none if pretrained weights are missing."""
    try:
        model = model_to_read(design.name)
    except DataError:
        return []
    return list(innermost_layers(model.layers[-1] if design.features else model))
