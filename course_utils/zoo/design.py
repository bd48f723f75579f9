"""What the zoo knows about one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import keras

from course_utils.recipes import Recipe


@dataclass(frozen=True)
class Features:
    """The settings of `course_utils.transfer.features`."""

    cut: str
    pooled: bool
    size: int


@dataclass(frozen=True)
class Design:
    """An architecture with the recipe it was made for, and what its document reports.

    Attributes
    ----------
    name : str
        ``document/network``.
    summary : str
        One sentence.
    build : callable
        Returns a new, uncompiled `keras.Model`. Where `starts_from` names a network, it takes a
        trained model of that one.
    recipe : Recipe
    parameters, frozen : int
        How many numbers the model holds, and how many of them training leaves alone (the
        moving averages of BatchNorm; a frozen backbone).
    reported : dict of float
        What the document reports: ``test_accuracy``, ``val_accuracy``, ``train_accuracy``,
        each 0 to 1. Empty where it reports nothing.
    reported_epochs : int, optional
        After how many epochs its training ended, where the document says so.
    note : str
        What is ours, where the document leaves something open.
    misprint : str
        Where the document contradicts itself, and what is right.
    dataset : {"cifar10", "mnist"}
        The images it is for.
    starts_from : str
        The network whose trained weights it starts from, if it starts from any.
    features : Features, optional
        What its first layer, a frozen backbone, makes of the images; only the second one is
        trained.
    """

    name: str
    summary: str
    build: Callable[..., keras.Model]
    recipe: Recipe
    parameters: int
    frozen: int = 0
    reported: dict[str, float] = field(default_factory=dict)
    reported_epochs: int | None = None
    note: str = ""
    misprint: str = ""
    dataset: Literal["cifar10", "mnist"] = "cifar10"
    starts_from: str = ""
    features: Features | None = None

    @property
    def expected_epochs(self) -> int:
        """The number of epochs that its document reports, or else that its recipe asks for."""
        return self.reported_epochs or self.recipe.epochs
