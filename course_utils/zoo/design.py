"""What the zoo knows about one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras

from course_utils.zoo.recipes import Recipe


@dataclass(frozen=True)
class Design:
    """An architecture with the recipe it was made for.

    Attributes
    ----------
    name : str
        ``document/network``.
    summary : str
        One sentence.
    build : callable
        Returns a new, uncompiled `keras.Model`.
    recipe : Recipe
    reported : dict of float
        What the document reports: ``test_accuracy``, ``val_accuracy``, ``train_accuracy``,
        each 0 to 1. Empty where it reports nothing.
    note : str
        What is ours, where the document leaves something open.
    """

    name: str
    summary: str
    build: Callable[[], keras.Model]
    recipe: Recipe
    reported: dict[str, float] = field(default_factory=dict)
    note: str = ""
