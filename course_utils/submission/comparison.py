"""What changed from one network and recipe to another, as the assignments name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from course_utils.submission.messages import Structure

# Kinds of change of a recipe -> its settings.
RECIPE_KINDS = {
    "augmentation": ("augmentation",),
    "batch size": ("batch_size",),
    "early stopping": ("early_stopping",),
    "epochs": ("epochs",),
    "learning rate": ("learning_rate",),
    "optimizer": ("optimizer", "momentum", "nesterov", "weight_decay"),
    "schedule": ("schedule", "warmup", "decay"),
}
MERGES = ("Add", "Average", "Concatenate", "Multiply", "Rescaling")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the kinds of change between two entries of a log, in alphabetical order.

    Parameters
    ----------
    before, after : mapping
        ``"layers"``, as in `differences_of_networks`, and ``"recipe"``: the fields of a `Recipe`.

    Examples
    --------
    >>> from course_utils import Recipe
    >>> from course_utils.submission import differences
    >>> recipe = Recipe().model_dump(mode="json")
    >>> before = {"layers": [{"type": "Dense", "units": 10}], "recipe": recipe}
    >>> longer = recipe | {"epochs": 9}
    >>> after = {"layers": [{"type": "Dense", "units": 20}], "recipe": longer}
    >>> differences(before, after)
    ['epochs', 'width']
    """
    found = set(differences_of_networks(before["layers"], after["layers"]))
    for kind, settings in RECIPE_KINDS.items():
        if any(before["recipe"][name] != after["recipe"][name] for name in settings):
            found.add(kind)
    if "optimizer" in found:  # Each optimizer needs a learning rate of its own.
        found.discard("learning rate")
    return sorted(found)


def differences_of_networks(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the kinds of change between two networks, in alphabetical order.

    Parameters
    ----------
    before, after : sequence of mapping
        The layers: ``"type"``, the name of the class, and settings as in Keras.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.submission import differences_of_networks
    >>> from course_utils.submission import layers_of, structure_of
    >>> with_it, without_it = (
    ...     layers_of(structure_of(zoo.build(name)))
    ...     for name in ("fast/final", "fast/final-without-batchnorm")
    ... )
    >>> differences_of_networks(with_it, without_it)
    ['batchnorm']
    """
    one, other = _aspects(before), _aspects(after)
    found = {kind for kind in one if one[kind] != other[kind]}
    if "depth" in found:  # A new layer has a width; a block brings what the others have, too.
        few, many = sorted((one, other), key=lambda each: len(each["depth"]))
        found.discard("pooling")
        found -= {k for k in ("batchnorm", "dropout", "structure") if few[k] and many[k]}
        for kind in ("kernel", "padding", "regularisation", "initialisation", "width"):
            rest = iter(many[kind])
            if all(value in rest for value in few[kind]):
                found.discard(kind)
    return sorted(found)


def layers_of(structure: Structure) -> list[dict[str, Any]]:
    """Return a network's layers as `differences_of_networks` takes them.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.submission import layers_of, structure_of
    >>> last = layers_of(structure_of(zoo.build("fast/cnn")))[-1]
    >>> last["type"], last["units"]
    ('Dense', 10)
    """
    return [{**layer.settings, "type": layer.kind} for layer in structure.layers]


def _aspects(parts: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what a network consists of, sorted by the kinds of change."""
    learning = [part for part in parts if "kernel_size" in part or "units" in part]
    activations = {str(part["activation"]) for part in parts if "activation" in part}
    activations |= {p["type"].lower() for p in parts if p["type"].lower().endswith("relu")}
    return {
        "activation": sorted(activations - {"linear"}),
        "batchnorm": [str(part.get("momentum")) for part in parts if "Norm" in part["type"]],
        "depth": [part["type"] for part in learning],
        "dropout": [str(part["rate"]) for part in parts if "rate" in part],
        "initialisation": [str(part.get("kernel_initializer")) for part in learning],
        "kernel": [str(part.get("kernel_size")) for part in learning],
        "padding": [str(part.get("padding")) for part in learning],
        "pooling": [
            f"{part['type']} {part.get('pool_size')}"
            for part in parts
            if "Pool" in part["type"] or part["type"] == "Flatten"
        ]
        + [str(part.get("strides")) for part in learning],
        "regularisation": [str(part.get("kernel_regularizer")) for part in learning],
        "structure": sorted(part["type"] for part in parts if part["type"] in MERGES),
        "width": [str(part.get("filters", part.get("units"))) for part in learning],
    }
