"""What the zoo knows about one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

import keras

from course_utils.data.catalogue import DEFAULT
from course_utils.recipes import Recipe


class ParameterCounts(TypedDict):
    """The numbers of parameters of several designs with the same layers."""

    parameters: int
    frozen: int


@dataclass(frozen=True)
class Features:
    """The settings of `course_utils.transfer.features`.

    Attributes
    ----------
    cut : str
        The last layer of the backbone.
    pooled : bool
        Whether the maps are averaged over their positions.
    size : int
        Height and width, in pixels, to which the images are enlarged.
    """

    cut: str
    pooled: bool
    size: int


@dataclass(frozen=True)
class Document:
    """What holds for all networks of one document.

    Attributes
    ----------
    name : str
        The part of its networks' names before the slash.
    validation : str
        A sentence about the images on which it measures after each epoch, if they differ from
        ours, or if it does not say; otherwise empty.
    """

    name: str
    validation: str = ""


@dataclass(frozen=True)
class Misprint:
    """A number that a document prints, although its own layers have another one.

    Attributes
    ----------
    what : str
        ``"parameters"``, ``"trainable parameters"``, or a layer whose parameters they are.
    printed, right : int
    """

    what: str
    printed: int
    right: int

    def __str__(self) -> str:
        what = self.what if "parameters" in self.what else f"parameters for {self.what}"
        return f"The document prints {self.printed:,} {what}; its layers have {self.right:,}."


@dataclass(frozen=True)
class Design:
    """An architecture with its recipe, and the results that its document reports.

    Attributes
    ----------
    name : str
        The name in the zoo, ``document/network``.
    about : str
        What the network is; if it has a parent, how it differs from it. See `summary`.
    build : callable
        A function that returns a new, uncompiled `keras.Model`. If `starts_from` names a network,
        it takes a trained model of that network.
    recipe : Recipe
        The settings of its training.
    parameters, frozen : int
        Number of parameters, and number of those that training does not change (the moving
        averages of BatchNorm; a frozen backbone).
    reported : dict of float
        The document's results, as far as it prints them; empty if it reports nothing.
        ``test_accuracy``, ``val_accuracy`` and ``train_accuracy``: 0 to 1, the last two of the
        last epoch; ``test_loss``, ``val_loss`` and ``train_loss``: the same for the loss;
        ``steps``: batches of an epoch; ``epoch_seconds``: duration of the last epoch, in whole
        seconds; ``seconds``: duration of the whole training.
    reported_epochs : int, optional
        The number of epochs after which its training ended, if the document reports it.
    reported_images : int, optional
        The number of test images that the reported accuracy was measured on, if not all of them.
    note : str
        Our choices, if the document leaves something open.
    contradiction : str
        A contradiction between the document's text, code and log, and which of them we follow.
    misprints : tuple of Misprint
        Numbers of parameters that the document prints wrongly.
    dataset : str
        The data set that it is for, a key of the catalogue such as ``"cifar10"``.
    parent : str
        The network of which it is a variant; empty if it is described by itself.
    starts_from : str
        The network whose trained weights it starts from; empty if it starts anew.
    same_optimizer : bool
        Whether the document goes on with the optimizer of `starts_from` and its running means.
    features : Features, optional
        The settings of its first layer, if that is a frozen backbone; only the second layer is
        trained then.
    """

    name: str
    about: str
    build: Callable[..., keras.Model]
    recipe: Recipe
    parameters: int
    frozen: int = 0
    reported: dict[str, float] = field(default_factory=dict)
    reported_epochs: int | None = None
    reported_images: int | None = None
    note: str = ""
    contradiction: str = ""
    misprints: tuple[Misprint, ...] = ()
    dataset: str = DEFAULT
    parent: str = ""
    starts_from: str = ""
    same_optimizer: bool = False
    features: Features | None = None

    @property
    def summary(self) -> str:
        """One sentence about the network, which begins with the name of its parent."""
        return f"{self.parent} {self.about}".strip()

    @property
    def remarks(self) -> list[str]:
        """What the document leaves open, contradicts or misprints."""
        texts = (self.note, self.contradiction, *map(str, self.misprints))
        return [text for text in texts if text]

    @property
    def expected_epochs(self) -> int:
        """The number of epochs that its document reports; otherwise the recipe's."""
        return self.reported_epochs or self.recipe.epochs
