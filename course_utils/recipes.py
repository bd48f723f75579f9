"""How a network is trained: everything but its layers and its data."""

from __future__ import annotations

from typing import Literal

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

    def __init__(self, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors()[0]
            setting = ".".join(map(str, first["loc"]))
            what = f"{setting} = {first['input']!r}" if setting else "these settings together"
            raise RecipeError(
                f"{type(self).__name__} cannot have {what}: {first['msg']}."
            ) from error

    def __repr_args__(self):
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        return [(name, value) for name, value in self if value or value != defaults[name]]


class Augmentation(Settings):
    """Which changes to draw, for each image anew in every epoch.

    `rotation` to `height_shift` mean what they meant to the ``ImageDataGenerator`` of old Keras,
    which the documents used: every amount is drawn uniformly, images are interpolated bilinearly,
    and the border's pixels fill what comes from outside.

    Attributes
    ----------
    horizontal_flip : bool
        Mirror every second image, left to right.
    shift : int
        Move the image by up to so many whole pixels in each direction; the border is filled by
        reflection.
    rotation : float
        Turn the image by up to so many degrees, either way.
    zoom : float
        Scale height and width, each by its own factor from ``1 - zoom`` to ``1 + zoom``.
    shear : float
        Shear by up to so many degrees, either way.
    width_shift, height_shift : float
        Move the image by up to that part of its width or height, either way.
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
        """Whether images are turned, scaled, sheared or moved by parts of a pixel."""
        return any((self.rotation, self.zoom, self.shear, self.width_shift, self.height_shift))


class EarlyStopping(Settings):
    """Stop when the monitored figure no longer improves.

    Attributes
    ----------
    monitor : {"val_accuracy", "val_loss", "either"}
        The figure, measured on the validation set after each epoch. ``"either"`` watches both,
        and stops when the first of them no longer improves.
    patience : int
        Epochs without improvement before training stops.
    min_delta : float
        The least change that counts as an improvement.
    keep_best : bool
        Go back to the weights of the best epoch; otherwise those of the last one stay.
    target : float, optional
        Stop as soon as the validation accuracy reaches it.
    """

    monitor: Literal["val_accuracy", "val_loss", "either"] = "val_accuracy"
    patience: NonNegativeInt = 5
    min_delta: NonNegativeFloat = 0.0
    keep_best: bool = True
    target: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_best(self) -> EarlyStopping:
        if self.monitor == "either" and self.keep_best:
            raise ValueError("of two figures there is no best epoch: set keep_best to False")
        return self


class Recipe(Settings):
    """Optimizer, learning rate, batch size, epochs, augmentation, early stopping.

    Attributes
    ----------
    optimizer : {"sgd", "adam", "adamw"}
        The rule that updates the weights.
    learning_rate : float
        The rate, or the highest one where a schedule changes it.
    momentum, nesterov : float, bool
        Settings of ``"sgd"``.
    weight_decay : float
        Decoupled weight decay, a setting of ``"adamw"``.
    schedule : {"constant", "cosine", "inverse_time"}
        ``"cosine"`` rises linearly over the first `warmup` part of the steps and falls to
        zero along a cosine; ``"inverse_time"`` is what old Keras called `decay`:
        ``learning_rate / (1 + decay * step)``.
    warmup : float
        The part of all steps, 0 to 1, in which ``"cosine"`` rises.
    decay : float
        The setting of ``"inverse_time"``.
    batch_size, epochs : int
        Images per step, and passes over the training set.
    steps_per_epoch : int, optional
        Steps that make an epoch, where it is not a pass over the training set.
    validation_split : float, optional
        The part of the training images that is set aside to measure on after each epoch.
        Default: what the data set itself sets aside. With 0 nothing is measured.
    augmentation : Augmentation, optional
    early_stopping : EarlyStopping, optional
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
            raise ValueError("without validation images there is nothing to stop early by")
        return self

    def __str__(self) -> str:
        """One line for each setting that is in use."""
        return "\n".join(f"{name:<16} {value}" for name, value in self.__repr_args__())

    def replace(self, **changes) -> Recipe:
        """Return a copy with other settings, checked like the original.

        Raises
        ------
        RecipeError
            For a setting that does not exist, or a value that it cannot have.
        """
        return Recipe(**(self.model_dump() | changes))
