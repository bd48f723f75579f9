"""Training a model by a recipe."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from course_utils.checkpoint import Checkpoint, Logs
from course_utils.data import Dataset
from course_utils.data.augmentation import augment
from course_utils.evaluation import EVALUATION_BATCH
from course_utils.recipes import Augmentation, Recipe
from course_utils.runtime import jit_compile

if TYPE_CHECKING:
    import tensorflow as tf

# Number of images that are passed to TensorFlow together.
IMAGES_AT_ONCE = 512


@dataclass(frozen=True)
class History:
    """The learning curves of a training, one value per epoch, and its duration.

    Attributes
    ----------
    loss, accuracy : list of float
        Means over the training batches, while the weights change and dropout is active.
    val_loss, val_accuracy : list of float
        Values on the validation set after each epoch; empty if there is no validation set.
    seconds : float
        Wall-clock time of the whole training, including validation; with a checkpoint, of the
        finished epochs without pauses.
    resumed : int
        How often the training continued from a saved state after it had been stopped.
    machines : list of str
        The devices on which the network was trained, each with its precision, in order; empty
        without a checkpoint.

    Examples
    --------
    >>> from course_utils import load_cifar10, train, zoo
    >>> data, recipe = load_cifar10(limit=50), zoo.recipe("fast/cnn")
    >>> history = train(zoo.build("fast/cnn"), data, recipe, epochs=1, verbose=False)
    >>> history.epochs, len(history.val_accuracy)
    (1, 1)
    """

    loss: list[float]
    accuracy: list[float]
    val_loss: list[float]
    val_accuracy: list[float]
    seconds: float
    resumed: int = 0
    machines: list[str] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """The number of epochs trained."""
        return len(self.loss)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def train(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    *,
    seed: int = 0,
    epochs: int | None = None,
    verbose: bool = True,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Compile `model` and train it on the training images of `data` by `recipe`.

    Parameters
    ----------
    model : keras.Model
        A model that maps ``uint8`` images to class probabilities of shape ``(n, classes)``.
    data : Dataset
        The model is trained on ``x_train`` and, after each epoch, evaluated on ``x_val``, unless
        that is empty.
    recipe : Recipe
    seed : int
        Seed of the order of the images and of their augmentation.
    epochs : int, optional
        The number of epochs, if it differs from the recipe's; the schedule is stretched to fit.
    verbose : bool
        Print a line per epoch.
    checkpoint : Checkpoint, optional
        Where the state is saved after each epoch. A training that was stopped continues from there.

    Returns
    -------
    History

    Raises
    ------
    RunError
        If the saved state belongs to another training, or cannot be read.

    Examples
    --------
    >>> from course_utils import load_cifar10, train, zoo
    >>> data = load_cifar10(limit=50)
    >>> model, recipe = zoo.build("fast/cnn"), zoo.recipe("fast/cnn")
    >>> history = train(model, data, recipe, epochs=1)
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    """
    recipe = recipe if epochs is None else recipe.replace(epochs=epochs)
    batches = Batches(
        data.x_train,
        data.y_train,
        recipe.batch_size,
        recipe.augmentation,
        seed,
        recipe.steps_per_epoch,
    )
    compile_model(model, recipe, steps=len(batches) * recipe.epochs)
    callbacks = [OrderOfEpoch(batches), *_callbacks(recipe, verbose)]
    if checkpoint is None:
        start = time.perf_counter()
        return _history(_fit(model, batches, data, recipe, callbacks), time.perf_counter() - start)
    state = checkpoint.restore(model, recipe, seed, data, callbacks)
    if not state.finished:
        _fit(model, batches, data, recipe, [*callbacks, checkpoint], state.epochs)
    return _history(state.logs, state.seconds, state.resumed, state.machines)


def _fit(
    model: keras.Model,
    batches: Batches,
    data: Dataset,
    recipe: Recipe,
    callbacks: list[keras.callbacks.Callback],
    initial_epoch: int = 0,
) -> dict[str, list[float]]:
    """Train a compiled model, and return Keras's metrics of each epoch."""
    return model.fit(
        pipeline(batches),
        epochs=recipe.epochs,
        initial_epoch=initial_epoch,
        validation_data=(data.x_val, data.y_val) if len(data.y_val) else None,
        validation_batch_size=EVALUATION_BATCH,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    ).history


def _history(
    logs: dict[str, list[float]], seconds: float, resumed: int = 0, machines: Sequence[str] = ()
) -> History:
    return History(
        loss=logs["loss"],
        accuracy=logs["accuracy"],
        val_loss=logs.get("val_loss", []),
        val_accuracy=logs.get("val_accuracy", []),
        seconds=seconds,
        resumed=resumed,
        machines=list(machines),
    )


def compile_model(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compile `model` with cross-entropy and the recipe's optimizer.

    Parameters
    ----------
    model : keras.Model
    recipe : Recipe
    steps : int
        The number of updates of the whole training, over which the schedule extends.
    """
    model.compile(
        optimizer=make_optimizer(recipe, steps),
        loss="sparse_categorical_crossentropy",
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=jit_compile(),
    )
    # TensorFlow would trace a step twice if it created variables, so all are created here.
    if model.built:
        model.optimizer.build(model.trainable_variables)


def make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """Return the recipe's optimizer, whose schedule extends over `steps` updates."""
    rate = make_schedule(recipe, steps)
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum, nesterov=recipe.nesterov)
    if recipe.optimizer == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    return keras.optimizers.Adam(rate)


def make_schedule(
    recipe: Recipe, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate: a number, or a Keras schedule over `steps` updates."""
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rising = round(recipe.warmup * steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if rising else rate,
            warmup_target=rate if rising else None,
            warmup_steps=rising,
            decay_steps=steps - rising,
        )
    if recipe.schedule == "inverse_time":
        return keras.optimizers.schedules.InverseTimeDecay(rate, 1, recipe.decay)
    return rate


class Batches(keras.utils.PyDataset):
    """Shuffled and augmented batches, made while the model trains.

    Each epoch has its own order, and each batch its own random numbers, so the same seed gives the
    same batches, however many threads make them. An incomplete last batch is left out; its images
    come earlier in other epochs.

    Parameters
    ----------
    x, y : numpy.ndarray
        Images, uint8, shape ``(n, height, width, channels)``, and labels, int64, shape ``(n,)``.
    batch_size : int
    augmentation : Augmentation, optional
        Default: none.
    seed : int
    steps : int, optional
        The number of batches of an epoch: the first ones of the order and, if one order is not
        enough, of further orders. Default: all complete batches.
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        steps: int | None = None,
    ) -> None:
        super().__init__(workers=2)
        self.x, self.y = np.asarray(x), np.asarray(y)
        self.batch_size = min(batch_size, len(self.x))
        self.steps = steps or len(self.x) // self.batch_size
        self.augmentation = augmentation or Augmentation()
        self.seed = seed
        self.epoch = 0
        self._shuffle()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return augment(self.x[chosen], self.augmentation, rng), self.y[chosen]

    def start_at(self, epoch: int) -> None:
        """Start an epoch, counted from 0: its batches come next."""
        self.epoch = epoch
        self._shuffle()

    def _shuffle(self) -> None:
        rng = np.random.default_rng((self.seed, self.epoch))
        passes = -(-self.steps * self.batch_size // len(self.x))
        self.order = np.concatenate([rng.permutation(len(self.x)) for _ in range(passes)])


def pipeline(batches: Batches) -> Batches | tf.data.Dataset:
    """Return the form of `batches` that Keras reads fastest; the batches are the same.

    With TensorFlow, Keras asks Python for each batch in the middle of a step, which takes 1.5 to
    3 ms. It takes a third of that if Python makes several batches at once while the network
    trains, and TensorFlow separates them.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    at_once = max(1, IMAGES_AT_ONCE // batches.batch_size)

    def groups() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(batches), at_once):
            group = [batches[i] for i in range(start, min(start + at_once, len(batches)))]
            yield np.stack([x for x, _ in group]), np.stack([y for _, y in group])

    x, y = next(groups())
    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in (x, y))
    dataset = tf.data.Dataset.from_generator(groups, output_signature=signature).unbatch()
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    options = tf.data.Options()
    # Autotuning makes each step wait for 10 ms if the process has a single free core.
    options.autotune.enabled = False
    return counted.prefetch(2).with_options(options)


class OrderOfEpoch(keras.callbacks.Callback):
    """Shuffles the batches again at the beginning of each epoch.

    Parameters
    ----------
    batches : Batches
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the epoch."""
        self.batches.start_at(epoch)


class EpochLines(keras.callbacks.Callback):
    """Prints one short line per epoch on standard output."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the line."""
        logs = logs or {}
        validation = f"  validation {logs['val_accuracy']:.1%}" if "val_accuracy" in logs else ""
        print(
            f"epoch {epoch + 1:>2}/{self.params['epochs']}"
            f"  loss {logs['loss']:.3f}  accuracy {logs['accuracy']:.1%}{validation}"
            f"  {time.perf_counter() - self.start:.1f} s",
            flush=True,
        )


class StopAt(keras.callbacks.Callback):
    """Stops training when the validation accuracy reaches a value.

    Parameters
    ----------
    target : float
        From 0 to 1.
    """

    def __init__(self, target: float) -> None:
        super().__init__()
        self.target = target

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Stop after this epoch if the accuracy is reached."""
        if logs and logs["val_accuracy"] >= self.target:
            self.model.stop_training = True


def _callbacks(recipe: Recipe, verbose: bool) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = [EpochLines()] if verbose else []
    if stop := recipe.early_stopping:
        both = ("val_accuracy", "val_loss")
        for monitor in both if stop.monitor == "either" else (stop.monitor,):
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    monitor=monitor,
                    mode="max" if monitor == "val_accuracy" else "min",
                    patience=stop.patience,
                    min_delta=stop.min_delta,
                    restore_best_weights=stop.keep_best,
                )
            )
        if stop.target:
            callbacks.append(StopAt(stop.target))
    return callbacks
