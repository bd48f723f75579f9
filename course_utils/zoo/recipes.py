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
)

from course_utils.data.augmentation import Augmentation
from course_utils.errors import RecipeError


class EarlyStopping(BaseModel):
    """Stop when the monitored figure no longer improves, and keep the best weights.

    Attributes
    ----------
    monitor : {"val_accuracy", "val_loss"}
        The figure, measured on the validation set after each epoch.
    patience : int
        Epochs without improvement before training stops.
    min_delta : float
        The least change that counts as an improvement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    patience: NonNegativeInt = 5
    min_delta: NonNegativeFloat = 0.0


class Recipe(BaseModel):
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
    augmentation : Augmentation, optional
    early_stopping : EarlyStopping, optional
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    augmentation: Augmentation | None = None
    early_stopping: EarlyStopping | None = None

    def replace(self, **changes) -> Recipe:
        """Return a copy with other settings, checked like the original.

        Raises
        ------
        RecipeError
            For a setting that does not exist, or a value that it cannot have.
        """
        try:
            return Recipe(**(self.model_dump() | changes))
        except ValidationError as error:
            first = error.errors()[0]
            setting = ".".join(map(str, first["loc"]))
            raise RecipeError(
                f"The recipe cannot have {setting} = {first['input']!r}: {first['msg']}."
            ) from error
