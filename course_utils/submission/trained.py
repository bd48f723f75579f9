"""Files that a student hands in: a trained network and the record of its training.

``QUESTION.keras`` and ``QUESTION.json`` are beside the notebook. The student creates them once,
and grading only reads them.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from IPython.display import display

from course_utils import env
from course_utils.data import Dataset
from course_utils.errors import RecordError, SubmissionError
from course_utils.evaluation import Evaluation, evaluate
from course_utils.files import write_atomically
from course_utils.plotting import evaluation_image
from course_utils.recipes import Recipe
from course_utils.records import RunRecord, make_record
from course_utils.runtime import Runtime
from course_utils.submission.contract import MAX_JSON_BYTES, MAX_MODEL_BYTES
from course_utils.submission.messages import Structure
from course_utils.submission.network import LoadedNetwork, Network, code_in, in_single_precision
from course_utils.submission.network_file import (
    cannot_be_loaded,
    how_it_is_missing,
    why_it_cannot_be_loaded,
)
from course_utils.submission.predictions import score
from course_utils.submission.structures import refused_part
from course_utils.training import History, train

# Advice that a notebook adds to what is wrong with the files.
HOW_TO_TRAIN_AGAIN = " If nothing else helps, set again=True to train again."


@dataclass(frozen=True)
class Trained:
    """A trained network as it is handed in.

    Attributes
    ----------
    question : str
        Name of the question and of the files.
    network : Network
    record : RunRecord
        Recipe, log and results of the training.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.submission import train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q2", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q2.keras (... MB) and its record. Hand both in.
    >>> trained.question, trained.history.epochs
    ('a1-q2', 1)
    """

    question: str
    network: Network
    record: RunRecord

    @property
    def model(self) -> keras.Model:
        """The network as a Keras model, in a notebook; tests see its structure instead.

        Raises
        ------
        AttributeError
            In a test, whose process never builds a network of a student's.
        """
        if not isinstance(self.network, LoadedNetwork):
            raise AttributeError("a test uses trained.network, not trained.model")
        return self.network.model

    @property
    def structure(self) -> Structure:
        """The network's layers, as plain facts."""
        return self.network.structure

    @property
    def history(self) -> History:
        """Losses and accuracies of the training, epoch by epoch."""
        return History(**self.record.history)

    @property
    def passes(self) -> int:
        """The number of epochs, or of passes over the data if the recipe's epochs are longer."""
        recipe, epochs = self.record.recipe, self.history.epochs
        if recipe.steps_per_epoch is None:
            return epochs
        seen = epochs * recipe.steps_per_epoch * recipe.batch_size
        return max(epochs, math.ceil(seen / max(self.record.train_images, 1)))

    def takes(self, data: Dataset) -> bool:
        """Tell whether the network takes images of this shape."""
        return self.network.input_shape[1:] == data.x_test.shape[1:]

    def evaluate(self, data: Dataset) -> Evaluation:
        """Score the network on the test images of `data`."""
        return self.score(data.x_test, data.y_test, data.class_names)

    def score(self, x: np.ndarray, y: np.ndarray, class_names: tuple[str, ...]) -> Evaluation:
        """Score the network on any images; see `course_utils.evaluate`."""
        return score(self.network, x, y, class_names)


def train_once(
    question: str,
    build_model: Callable[[], keras.Model | None],
    data: Dataset,
    recipe: Recipe,
    runtime: Runtime,
    *,
    again: bool = False,
) -> Trained | None:
    """Train a network and save it with its record; if both files exist, load them instead.

    Parameters
    ----------
    question : str
        Name of the question and of the files, such as ``"a1-q2"``.
    build_model : callable
        Returns a new, uncompiled network, or ``None`` while the student has not written it.
    data : Dataset
        Data set with ``x_train`` for training, ``x_val`` for validation and ``x_test`` for one
        test at the end.
    recipe : Recipe
    runtime : Runtime
        Result of `setup`; its seed is used.
    again : bool
        Whether to train even if the files exist, and to replace them.

    Returns
    -------
    Trained or None
        ``None`` if `build_model` returns nothing yet, or the files cannot be read.

    Raises
    ------
    SubmissionError
        If the network could not be handed in: because it is too large, has parts that the grader
        does not load, or its files cannot be written. It is not trained then.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.submission import train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q2", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q2.keras (... MB) and its record. Hand both in.
    """
    keras.utils.set_random_seed(runtime.seed)
    network = _built_by(build_model)
    handed_in = model_path(question).exists() and record_path(question).exists()
    if (handed_in and not again) or is_graded():
        return _load(question, network, data, recipe, runtime)
    if network is None:
        print(f"{_name_of(build_model)} returns nothing yet: complete it, then run this cell.")
        return None
    _check_that_it_can_be_handed_in(question, network, data)
    _tell_what_is_replaced(question)
    trained = _train(question, network, data, recipe, runtime)
    _save(trained)
    return trained


def is_graded() -> bool:
    """Tell whether this notebook is being graded; nothing is trained then.

    Examples
    --------
    >>> from course_utils.submission import is_graded
    >>> is_graded()
    False
    """
    return env.GRADING.value == "autograde"


def show_evaluation(trained: Trained | None, data: Dataset) -> None:
    """Display the evaluation image: learning curves beside the confusion matrix.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.submission import show_evaluation, train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q2", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q2.keras (... MB) and its record. Hand both in.
    >>> show_evaluation(trained, data)
    Left: loss and accuracy of training and validation, epoch 1 to 1; ...
    """
    if trained is None:
        print("There is no trained network to show yet.")
        return
    display(evaluation_image(trained.history, trained.evaluate(data), data.source))


def load_trained(question: str, folder: Path | str = ".") -> Trained:
    """Read a question's network and record.

    Raises
    ------
    SubmissionError
        If a file is missing, too large or damaged, or belongs to another question.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.submission import load_trained, train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q2", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q2.keras (... MB) and its record. Hand both in.
    >>> load_trained("a1-q2").model.output_shape
    (None, 10)
    """
    model_file, record_file = model_path(question, folder), record_path(question, folder)
    for path, most in ((model_file, MAX_MODEL_BYTES), (record_file, MAX_JSON_BYTES)):
        _check_size(path, most)
    try:
        record = RunRecord.load(record_file)
    except RecordError as error:
        raise SubmissionError(f"{record_file.name} is damaged: {error}") from error
    if record.design != question:
        raise SubmissionError(
            f"{record_file.name} belongs to the question {record.design}, not to {question}: "
            "hand in the files that the training cell of this question wrote."
        )
    return Trained(question, open_network.get()(model_file), record)


def load_network(path: Path) -> Network:
    """Load a network into this process.

    Raises
    ------
    SubmissionError
        If the network cannot be loaded.
    """
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        structure = model.to_json()
        single = in_single_precision(structure)
        if single != structure:
            model = keras.models.model_from_json(single)
            model.load_weights(path)
        return LoadedNetwork(model)
    except Exception as error:
        raise SubmissionError(
            why_it_cannot_be_loaded(path) or cannot_be_loaded(path.name, error)
        ) from error


# The function with which `load_trained` opens a network. The examiner sets its own: another process
# then loads the network.
open_network: ContextVar[Callable[[Path], Network]] = ContextVar(
    "open_network", default=load_network
)


def read_json(name: str, folder: Path | str = ".") -> Any:
    """Read ``NAME.json`` of the submission.

    Raises
    ------
    SubmissionError
        If the file is missing, too large or not JSON.

    Examples
    --------
    >>> from course_utils.submission import read_json, write_json
    >>> path = write_json("a5-runs", [{"seed": 0, "epochs": 5}])
    >>> read_json("a5-runs")
    [{'seed': 0, 'epochs': 5}]
    """
    path = record_path(name, folder)
    _check_size(path, MAX_JSON_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{path.name} is damaged: it is no JSON.") from error


def write_json(name: str, content: Any) -> Path:
    """Write ``NAME.json`` into the submission.

    Examples
    --------
    >>> from course_utils.submission import write_json
    >>> path = write_json("a5-runs", [{"seed": 0, "epochs": 5}])
    >>> path.name
    'a5-runs.json'
    """
    return write_atomically(record_path(name), json.dumps(content, indent=1) + "\n")


def model_path(question: str, folder: Path | str = ".") -> Path:
    """Return the path of a question's network."""
    return Path(folder) / f"{question}.keras"


def record_path(question: str, folder: Path | str = ".") -> Path:
    """Return the path of a question's record."""
    return Path(folder) / f"{question}.json"


def _built_by(build_model: Callable[[], keras.Model | None]) -> keras.Model | None:
    """Return the network that a student's function builds.

    Raises
    ------
    SubmissionError
        If it is no network, or the function is none.
    """
    if isinstance(build_model, keras.Model):
        raise SubmissionError(
            "train_once was given a network, but it takes the function that builds one: pass "
            "build_model, not build_model()."
        )
    network = build_model()
    if network is not None and not isinstance(network, keras.Model):
        raise SubmissionError(
            f"{_name_of(build_model)} returns an object of type {type(network).__name__}, which is "
            "no network: return a keras.Sequential, or a keras.Model(inputs, outputs)."
        )
    return network


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", "")  # a functools.partial has none
    return f"{name}()" if name.isidentifier() else "The function that builds the network"


def _tell_what_is_replaced(question: str) -> None:
    """Say it if one of the two files is there, because the other one might be elsewhere."""
    paths = model_path(question), record_path(question)
    there = [path.name for path in paths if path.exists()]
    missing = [path.name for path in paths if not path.exists()]
    if there and missing:
        print(
            f"{there[0]} is here, but {missing[0]} is not, so the network is trained again; after "
            f"that, {there[0]} is replaced. If you have {missing[0]}, stop this cell and put it "
            "here."
        )


def _load(
    question: str, network: keras.Model | None, data: Dataset, recipe: Recipe, runtime: Runtime
) -> Trained | None:
    """Load the existing files; print a note if they are faulty or differ from the current code."""
    try:
        trained = load_trained(question)
    except SubmissionError as error:
        print(f"✗ {error}" + ("" if is_graded() else HOW_TO_TRAIN_AGAIN))
        return None
    print(
        f"Loaded {model_path(question).name} ({trained.history.epochs} epochs, trained "
        f"{trained.record.date[:10]}). To train again, set again=True."
    )
    if network is None:
        return trained
    if network.built and network.count_params() != trained.network.count_params():
        print(
            f"Note: the loaded network has {trained.network.count_params():,} parameters, yours "
            f"now has {network.count_params():,}. Train again to hand in the new one."
        )
    return trained


def _train(
    question: str, network: keras.Model, data: Dataset, recipe: Recipe, runtime: Runtime
) -> Trained:
    history = train(network, data, recipe, seed=runtime.seed)
    tested = evaluate(network, data.x_test, data.y_test, data.class_names)
    record = make_record(question, recipe, runtime.seed, data, runtime, network, history, tested)
    return Trained(question, LoadedNetwork(network), record)


def _check_that_it_can_be_handed_in(question: str, network: keras.Model, data: Dataset) -> None:
    """Save an untrained network and load it again, as the grader will load the trained one.

    Raises
    ------
    SubmissionError
        If that is not possible.
    """
    # New layers draw their seeds from here, and the training must not depend on this check.
    state = random.getstate()
    try:
        problem = _why_it_could_not_be_handed_in(question, network, data)
    finally:
        random.setstate(state)
    if problem:
        raise SubmissionError(
            f"This network could not be handed in, so it was not trained: {problem}. Build it from "
            "layers of keras.layers, with keras.Sequential or keras.Model(inputs, outputs)."
        )


def _why_it_could_not_be_handed_in(question: str, network: keras.Model, data: Dataset) -> str:
    """Return the reason as a clause; empty if there is none."""
    try:
        if code := _code_in(network):
            return f"it holds {code}, and the grader runs no code of a network's"
        untrained = type(network).from_config(network.get_config())
        if not untrained.built:
            untrained.build((None, *data.x_train.shape[1:]))
        if part := refused_part(untrained.to_json()):
            return f"it contains {part}, which the grader does not load"
        with _place_for(question) as folder:
            path = folder / "network.keras"
            _write(untrained, path)
            keras.models.load_model(path, compile=False, safe_mode=True)
    except SubmissionError:  # It is too large, or there is no place for it.
        raise
    except Exception as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return ""


@contextlib.contextmanager
def _place_for(question: str) -> Iterator[Path]:
    """Make a folder where the files will be written, and remove it.

    Raises
    ------
    SubmissionError
        If they could not be written there.
    """
    paths = model_path(question), record_path(question)
    if folders := [path.name for path in paths if path.is_dir()]:
        raise SubmissionError(
            f"{folders[0]} is a folder, so no file of this name could be written, and the network "
            "was not trained. Rename the folder, or delete it."
        )
    try:
        with tempfile.TemporaryDirectory(dir=paths[0].parent, prefix=".") as folder:
            yield Path(folder)
    except OSError as error:
        raise SubmissionError(
            f"{paths[0].name} could not be written to {paths[0].parent.resolve()} "
            f"({error.strerror or error}), so the network was not trained."
        ) from error


def _code_in(network: keras.Model) -> str:
    """Return what in a network is code of its own, as a phrase."""
    kind = type(network)
    is_keras_own = kind.__module__.startswith("keras.")
    return code_in(network.to_json()) if is_keras_own else f"the class {kind.__name__}"


def _save(trained: Trained) -> None:
    """Write both files, the record last, so that a record never exists without its network."""
    path = model_path(trained.question)
    temporary = path.with_name(f".{path.stem}.part.keras")
    try:
        size = _write(trained.model, temporary)
        record_path(trained.question).unlink(missing_ok=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    trained.record.save(record_path(trained.question))
    print(f"Saved {path.name} ({size / 2**20:.1f} MB) and its record. Hand both in.")


def _write(model: keras.Model, path: Path) -> int:
    """Save a network without the state of its optimizer; return the bytes that it takes.

    Raises
    ------
    SubmissionError
        If they are too many.
    """
    # The state would take twice the space of the weights.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(path)
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise SubmissionError(
            f"The network takes {size / 2**20:.0f} MB, but at most {MAX_MODEL_BYTES // 2**20} "
            "MB are allowed: make it smaller."
        )
    return size


def _check_size(path: Path, most: int) -> None:
    if not path.is_file():
        raise SubmissionError(how_it_is_missing(path))
    if path.stat().st_size > most:
        raise SubmissionError(
            f"{path.name} has {path.stat().st_size / 2**20:.0f} MB, but at most "
            f"{most // 2**20} MB are allowed."
        )
