"""How a network is trained: everything but its layers and its data."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from course_utils.data.augmentation import Augmentation
from course_utils.settings import Settings


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
