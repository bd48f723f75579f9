"""The settings of a training: everything except the network's layers and the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from course_utils.errors import RecipeError


class Settings(BaseModel):
    """Named values that are checked when they are given, and cannot be changed afterwards.

    Raises
    ------
    RecipeError
        For a setting that does not exist, or a value that it cannot have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            setting = ".".join(map(str, first["loc"]))
            what = f"{setting} = {first['input']!r}" if setting else "these settings together"
            raise RecipeError(
                f"{type(self).__name__} cannot have {what}: {first['msg']}."
            ) from error

    def __repr_args__(self) -> Sequence[tuple[str, Any]]:
        """Return the settings that are in use: those that are set, or differ from their default."""
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return [(name, value) for name, value in self if value or value != defaults[name]]


class Augmentation(Settings):
    """Random changes of training images, drawn anew for each image in every epoch.

    `rotation` to `height_shift` have the meaning that they had in the ``ImageDataGenerator`` of
    old Keras, which the documents used: every amount is drawn uniformly, images are interpolated
    bilinearly, and positions outside an image have the value of the nearest pixel.

    Attributes
    ----------
    horizontal_flip : bool
        Whether each image is mirrored left to right with probability one half.
    shift : int
        Largest shift in each direction, in whole pixels; the border is filled by reflection.
    rotation : float
        Largest angle in both directions, in degrees, 0 to 180.
    zoom : float
        Largest change of scale, 0 to 1: height and width are scaled independently, by factors
        from ``1 - zoom`` to ``1 + zoom``.
    shear : float
        Largest angle of shear in both directions, in degrees, 0 to 90.
    width_shift, height_shift : float
        Largest shift in both directions, as a fraction of the width and of the height.

    Raises
    ------
    RecipeError
        For a setting that does not exist, or a value that it cannot have.

    Examples
    --------
    >>> from course_utils import Augmentation
    >>> Augmentation(horizontal_flip=True, shift=2)
    Augmentation(horizontal_flip=True, shift=2)
    """

    horizontal_flip: bool = False
    shift: NonNegativeInt = 0
    rotation: float = Field(default=0.0, ge=0, le=180)
    zoom: float = Field(default=0.0, ge=0, lt=1)
    shear: float = Field(default=0.0, ge=0, lt=90)
    width_shift: NonNegativeFloat = Field(default=0.0, lt=1)
    height_shift: NonNegativeFloat = Field(default=0.0, lt=1)

    @property
    def is_affine(self) -> bool:
        """Whether images are rotated, scaled, sheared or moved by fractions of a pixel."""
        return any((self.rotation, self.zoom, self.shear, self.width_shift, self.height_shift))


class EarlyStopping(Settings):
    """The condition under which training stops: the monitored metric no longer improves.

    Attributes
    ----------
    monitor : {"val_accuracy", "val_loss", "either"}
        The metric, measured on the validation set after each epoch. With ``"either"`` both are
        monitored, and training stops when one of them no longer improves.
    patience : int
        Number of epochs without improvement after which training stops.
    min_delta : float
        The smallest change that counts as an improvement.
    keep_best : bool
        Whether the weights of the best epoch are restored; otherwise those of the last one stay.
    target : float, optional
        A validation accuracy, 0 to 1, at which training stops at once.

    Raises
    ------
    RecipeError
        For a setting that does not exist, a value that it cannot have, or ``"either"`` with
        `keep_best`, as two metrics have no common best epoch.

    Examples
    --------
    >>> from course_utils import EarlyStopping, Recipe
    >>> recipe = Recipe(epochs=100, early_stopping=EarlyStopping(patience=3))
    >>> recipe.early_stopping
    EarlyStopping(monitor='val_accuracy', patience=3, keep_best=True)
    """

    monitor: Literal["val_accuracy", "val_loss", "either"] = "val_accuracy"
    patience: NonNegativeInt = 5
    min_delta: NonNegativeFloat = 0.0
    keep_best: bool = True
    target: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_best(self) -> EarlyStopping:
        if self.monitor == "either" and self.keep_best:
            raise ValueError("two metrics have no common best epoch: set keep_best to False")
        return self


class Recipe(Settings):
    """Optimizer, learning rate, batch size, epochs, augmentation, early stopping.

    Attributes
    ----------
    optimizer : {"sgd", "adam", "adamw"}
        The rule that updates the weights.
    learning_rate : float
        The learning rate; if a schedule changes it, its highest value.
    momentum, nesterov : float, bool
        Settings of ``"sgd"``.
    weight_decay : float
        Decoupled weight decay, a setting of ``"adamw"``.
    schedule : {"constant", "cosine", "inverse_time"}
        The course of the learning rate. ``"cosine"`` rises linearly during the fraction `warmup`
        of the steps and falls to zero along a cosine; ``"inverse_time"`` is the `decay` of old
        Keras: ``learning_rate / (1 + decay * step)``.
    warmup : float
        The fraction of all steps, 0 to 1, in which ``"cosine"`` rises.
    decay : float
        The setting of ``"inverse_time"``.
    batch_size, epochs : int
        Images per step, and passes over the training set.
    steps_per_epoch : int, optional
        Number of steps in an epoch. Default: a pass over the training set.
    validation_split : float, optional
        The fraction of the training images that is set aside to measure on after each epoch.
        Default: the data set's own validation images. With 0 nothing is measured.
    augmentation : Augmentation, optional
        Random changes of the training images. Default: none.
    early_stopping : EarlyStopping, optional
        The condition under which training stops before the last epoch. Default: none.

    Raises
    ------
    RecipeError
        For a setting that does not exist, a value that it cannot have, or early stopping without
        validation images.

    Examples
    --------
    >>> from course_utils import Recipe
    >>> recipe = Recipe(optimizer="sgd", learning_rate=0.01, momentum=0.9)
    >>> recipe.replace(epochs=3).epochs
    3
    """

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "inverse_time"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    decay: NonNegativeFloat = 0.0
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10
    steps_per_epoch: PositiveInt | None = None
    validation_split: float | None = Field(default=None, ge=0, lt=1)
    augmentation: Augmentation | None = None
    early_stopping: EarlyStopping | None = None

    @model_validator(mode="after")
    def _something_to_stop_by(self) -> Recipe:
        if self.early_stopping and self.validation_split == 0:
            raise ValueError("early stopping needs validation images")
        return self

    def __str__(self) -> str:
        """Return one line for each setting that is in use."""
        return "\n".join(f"{name:<16} {value}" for name, value in self.__repr_args__())

    def replace(self, **changes: Any) -> Recipe:
        """Return a copy with other settings, checked like the original.

        Parameters
        ----------
        **changes
            New values by the names of the settings.

        Raises
        ------
        RecipeError
            For a setting that does not exist, or a value that it cannot have.
        """
        return Recipe(**(self.model_dump() | changes))
