"""The state of a training on disk, so that a killed run can continue after its last epoch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from course_utils.data import Dataset
from course_utils.errors import RecipeError, RunError
from course_utils.files import write_atomically
from course_utils.recipes import Recipe
from course_utils.runtime import cache_dir, device_name
from course_utils.zoo.blocks import innermost_layers

# Settings of a layer that do not affect the training.
UNIMPORTANT = ("name", "dtype")
STATE_FILE, LOCK_FILE = "state.json", ".lock"
PAUSE_SECONDS = 1.0

# Metrics of an epoch, as Keras passes them to callbacks.
Logs = Mapping[str, float]


class State(BaseModel):
    """The content of ``state.json``.

    Attributes
    ----------
    recipe : Recipe
    seed : int
    images : str
        The fingerprint of the data set, and the numbers of training and validation images.
    network : str
        A digest of the layers and their settings.
    machines : list of str
        The devices on which the network was trained, each with its precision, in order.
    logs : dict of list of float
        The metrics of each finished epoch, under Keras's names.
    seconds : float
        Wall-clock time of the finished epochs, without pauses.
    resumed : int
        How often the training continued after it had been stopped.
    dropout_seeds : list
        The state of each layer's random number generator.
    weights, best : str
        The files with the weights (and the optimizer's variables) after the last epoch, and after
        the best epoch if those weights are to be kept.
    finished : bool
        Whether no epoch is left to train.
    """

    # The losses of a training that has diverged are NaN or infinite.
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    recipe: Recipe
    seed: int
    images: str
    network: str
    machines: list[str] = Field(default_factory=list)
    logs: dict[str, list[float]] = Field(default_factory=dict)
    seconds: float = 0.0
    resumed: int = 0
    dropout_seeds: list[list[int]] = Field(default_factory=list)
    weights: str = ""
    best: str = ""
    finished: bool = False

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.logs.get("loss", ()))


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of a training after each epoch, and continues from there.

    The files contain float32 numbers and JSON, so a training can continue on another processor.
    The state is replaced as a whole: it names the file of the weights, which is written first.
    Keras's own `BackupAndRestore` saves neither the learning curves nor the state of early
    stopping.

    Parameters
    ----------
    folder : Path
        The folder of the state; it is created if it is missing.
    pause : Path, optional
        As long as this file exists, training waits before its next step.

    Attributes
    ----------
    state : State
        The state of the training, from `restore` on.

    Examples
    --------
    >>> checkpoint = Checkpoint(Path("state"))
    >>> history = train(model, data, recipe, checkpoint=checkpoint)
    """

    state: State

    def __init__(self, folder: Path, pause: Path | None = None) -> None:
        super().__init__()
        self.folder, self.pause = folder, pause
        self._others: list[keras.callbacks.Callback] = []
        self._since = 0.0

    def restore(
        self,
        model: keras.Model,
        recipe: Recipe,
        seed: int,
        data: Dataset,
        others: list[keras.callbacks.Callback],
    ) -> State:
        """Load the saved state of this training, if there is one, into a compiled model.

        Parameters
        ----------
        model : keras.Model
        recipe : Recipe
        seed : int
        data : Dataset
        others : list of keras.callbacks.Callback
            The other callbacks of the fit, which must come before this one. `on_train_begin`
            replays the finished epochs to the `EarlyStopping` callbacks among them.

        Returns
        -------
        State

        Raises
        ------
        RunError
            If the folder contains the state of another training, or its weights cannot be read.
        """
        self._others = others
        images = f"{data.source.fingerprint}, {len(data.y_train)} and {len(data.y_val)} images"
        new = State(recipe=recipe, seed=seed, images=images, network=_digest(model))
        self.state = self._continued(read_state(self.folder), new)
        if self.state.epochs:
            self._load(model, (self.state.finished and self.state.best) or self.state.weights)
            for generator, seeds in zip(_generators(model), self.state.dropout_seeds, strict=True):
                generator.state.assign(seeds)
            self.state.resumed += not self.state.finished
        return self.state

    def _continued(self, saved: State | None, new: State) -> State:
        """Return the saved state, or a new one if nothing is saved.

        Raises
        ------
        RunError
            If the saved state belongs to another training.
        """
        identity = ("recipe", "seed", "images", "network")
        if saved and any(getattr(saved, name) != getattr(new, name) for name in identity):
            raise RunError(
                f"{self.folder} holds a training of another recipe, network or data set: delete "
                "that folder to start from the first epoch."
            )
        return saved or new

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Replay the finished epochs to the callbacks that stop early."""
        for epoch in range(self.state.epochs):
            seen = {name: values[epoch] for name, values in self.state.logs.items()}
            for callback in self._stopping():
                callback.on_epoch_end(epoch, seen)
        for callback in self._stopping():
            if self.state.best:
                self._load(self.model, self.state.best)
                callback.best_weights = self.model.get_weights()
                self._load(self.model, self.state.weights)
        if self.state.machines[-1:] != [_machine()]:
            self.state.machines.append(_machine())
        if self.state.epochs:
            self._write()
        self._since = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Wait as long as trainings are paused."""
        while self.pause is not None and self.pause.exists():
            time.sleep(PAUSE_SECONDS)
            self._since += PAUSE_SECONDS

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save the state."""
        now = time.perf_counter()
        self.state.seconds += now - self._since
        self._since = now
        for name, value in (logs or {}).items():
            self.state.logs.setdefault(name, []).append(float(value))
        self.state.finished = self.model.stop_training or epoch + 1 == self.state.recipe.epochs
        self.state.dropout_seeds = [
            [int(number) for number in generator.state.numpy()]
            for generator in _generators(self.model)
        ]
        self._save(f"epoch-{epoch + 1}.weights.h5", is_best=self._is_best(epoch))

    def _stopping(self) -> list[keras.callbacks.EarlyStopping]:
        return [c for c in self._others if isinstance(c, keras.callbacks.EarlyStopping)]

    def _is_best(self, epoch: int) -> bool:
        return any(c.restore_best_weights and c.best_epoch == epoch for c in self._stopping())

    def _load(self, model: keras.Model, name: str) -> None:
        try:
            model.load_weights(self.folder / name)
        except (OSError, ValueError) as error:
            raise RunError(
                f"The saved training in {self.folder} cannot be read: delete that folder to start "
                "from the first epoch."
            ) from error

    def _save(self, name: str, is_best: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"new-{name}"
        self.model.save_weights(temporary)
        os.replace(temporary, self.folder / name)
        self.state.weights = name
        self.state.best = name if is_best else self.state.best
        self._write()
        for path in self.folder.glob("*.weights.h5"):
            if path.name not in (self.state.weights, self.state.best):
                path.unlink()

    def _write(self) -> None:
        write_atomically(self.folder / STATE_FILE, self.state.model_dump_json(indent=1) + "\n")


def _digest(model: keras.Model) -> str:
    """Return a digest of a model's layers, which depends on neither their names nor precision."""
    settings = [
        [
            type(layer).__name__,
            {k: v for k, v in layer.get_config().items() if k not in UNIMPORTANT},
        ]
        for layer in innermost_layers(model)
    ]
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def _machine() -> str:
    return f"{device_name()}, {keras.config.dtype_policy().name}"


def read_state(folder: Path) -> State | None:
    """Return the saved state of a training, or None if there is none that can be used."""
    try:
        return State.model_validate_json((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError, RecipeError):
        return None


def run_name(design: str, seed: int) -> str:
    """Return the name of a run, for its files and folders: ``dl-4-seed0`` for ``dl/4``."""
    return f"{design.replace('/', '-')}-seed{seed}"


@dataclass(frozen=True)
class States:
    """A folder with the states of many trainings, in one folder for each network and seed.

    Attributes
    ----------
    folder : Path
        Default: a folder in the cache, outside the repository, because a state is not a result.
    """

    folder: Path = field(default_factory=lambda: cache_dir() / "training")

    @property
    def pause(self) -> Path:
        """The file that makes all trainings wait, as long as it exists."""
        return self.folder / "paused"

    def set_paused(self, paused: bool) -> None:
        """Make all trainings wait before their next step, or let them continue."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if paused:
            self.pause.touch()
        else:
            self.pause.unlink(missing_ok=True)

    def place(self, design: str, seed: int) -> Path:
        """Return the folder of one training."""
        return self.folder / run_name(design, seed)

    @contextlib.contextmanager
    def open(self, design: str, seed: int, patience: float = 2.0) -> Iterator[Checkpoint]:
        """Lock the state of one training, so that no other process changes it.

        Parameters
        ----------
        design : str
            The network's name in the zoo.
        seed : int
        patience : float
            Seconds to wait for another process to release the lock; -1 waits without limit.

        Yields
        ------
        Checkpoint

        Raises
        ------
        RunError
            If another process still holds the lock after that time.
        """
        place = self.place(design, seed)
        place.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(place / LOCK_FILE, timeout=patience):
                yield Checkpoint(place, self.pause)
        except Timeout as error:
            raise RunError(f"Another process is training in {place}: wait for it.") from error

    def is_open(self, design: str, seed: int) -> bool:
        """Return whether a process is training this network now."""
        lock = self.place(design, seed) / LOCK_FILE
        if not lock.exists():
            return False
        try:
            with FileLock(lock, timeout=0):
                return False
        except Timeout:
            return True

    def discard(self, design: str, seed: int) -> None:
        """Delete the state of one training.

        Raises
        ------
        RunError
            If a process is training it.
        """
        if self.is_open(design, seed):
            raise RunError(f"A process is training in {self.place(design, seed)}: wait for it.")
        shutil.rmtree(self.place(design, seed), ignore_errors=True)


def _generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Return the random number generators of the model's layers."""
    generators = (getattr(layer, "seed_generator", None) for layer in innermost_layers(model))
    return [generator for generator in generators if generator is not None]
