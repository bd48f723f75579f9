"""One run: a design, trained by a recipe on data with a seed, and its record."""

from __future__ import annotations

import contextlib
import datetime
import math
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

import keras
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from course_utils import zoo
from course_utils.checkpoint import States
from course_utils.data import Dataset, Source
from course_utils.errors import RecipeError, RecordError
from course_utils.evaluation import Evaluation, evaluate
from course_utils.files import write_atomically
from course_utils.runtime import Runtime, setup, versions
from course_utils.training import History, train
from course_utils.transfer import feature_data
from course_utils.zoo.design import Design
from course_utils.zoo.recipes import Recipe

RECORD_FORMAT = 1


class RunRecord(BaseModel):
    """All that is needed to quote a run, or to run it again.

    Attributes
    ----------
    design : str
        The network's name in the zoo.
    recipe : Recipe
        As it was carried out, its number of epochs included.
    seed : int
    source : str
        The data's name, which says so where they are a stand-in.
    is_stand_in : bool
    train_images, test_images : int
    device, backend, precision : str
    threads : int
    versions : dict of str
    date : str
        UTC, ISO 8601, to the second.
    parameters, trainable_parameters : int
    history : dict
        As in `History`.
    seconds : float
        Wall-clock time of the training.
    test_accuracy : float
    test_interval : tuple of float
        95% confidence interval (Wilson).
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    format: Literal[1] = RECORD_FORMAT
    design: str
    recipe: Recipe
    seed: int
    source: str
    is_stand_in: bool
    train_images: int
    test_images: int
    device: str
    backend: str
    precision: str
    threads: int
    versions: dict[str, str]
    date: str
    parameters: int
    trainable_parameters: int
    history: dict
    seconds: float
    test_accuracy: float
    test_interval: tuple[float, float]

    @property
    def data_source(self) -> Source:
        """What figures that are made from the record are stamped with."""
        name = f"{self.source}, recorded runs"
        return Source(name, "record", location="", fingerprint="", is_stand_in=self.is_stand_in)

    def save(self, path: Path | str) -> Path:
        """Write the record as JSON; a file of that name is replaced as a whole."""
        return write_atomically(Path(path), self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> RunRecord:
        """Read a record.

        Raises
        ------
        RecordError
            Where there is none, or it is not a record of this format.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RecordError(f"The run record {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise RecordError(_other_format(path, "it is no UTF-8 text")) from error
        except RecipeError as error:
            raise RecordError(_other_format(path, str(error))) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            raise RecordError(_other_format(path, f"{place}: {first['msg']}")) from error


def _other_format(path: Path | str, reason: str) -> str:
    return (
        f"{path} is not a run record of format {RECORD_FORMAT} ({reason.rstrip('.')}): "
        "run the experiment again."
    )


def run(
    name: str,
    data: Dataset,
    *,
    runtime: Runtime | None = None,
    seed: int = 0,
    epochs: int | None = None,
    recipe: Recipe | None = None,
    verbose: bool = True,
    states: States | None = None,
) -> RunRecord:
    """Build a network of the zoo, train it, test it, and return the record.

    Parameters
    ----------
    name : str
        The network's name in the zoo.
    data : Dataset
    runtime : Runtime, optional
        What `setup` returned; default: set up with `seed`.
    seed : int
        Of the weights, the order of the images, dropout and augmentation.
    epochs : int, optional
        Default: as many as the recipe says.
    recipe : Recipe, optional
        Default: the design's own.
    verbose : bool
        Print a line per epoch.
    states : States, optional
        Where the state of the training is saved after each epoch, so that the next call continues
        from there.

    Raises
    ------
    RunError
        If another process trains the same network there, or the state is of another training.
    """
    runtime = runtime or setup(seed)
    design = zoo.design(name)
    recipe = recipe or design.recipe
    recipe = recipe if epochs is None else recipe.replace(epochs=epochs)
    previous = None
    if design.starts_from:
        first = zoo.design(design.starts_from)
        its_recipe = first.recipe if epochs is None else first.recipe.replace(epochs=epochs)
        previous = _fitted(first, its_recipe, data, seed, verbose, states, patience=-1).model
    fitted = _fitted(design, recipe, data, seed, verbose, states, previous)
    seen = fitted.data
    tested = evaluate(fitted.trained, seen.x_test, seen.y_test, seen.class_names)
    return make_record(name, recipe, seed, seen, runtime, fitted.model, fitted.history, tested)


class _Fitted(NamedTuple):
    """A network, its part that was trained, the data as that part saw them, and its training."""

    model: keras.Model
    trained: keras.Model
    data: Dataset
    history: History


def _fitted(
    design: Design,
    recipe: Recipe,
    data: Dataset,
    seed: int,
    verbose: bool,
    states: States | None,
    previous: keras.Model | None = None,
    patience: float = 2.0,
) -> _Fitted:
    """Build a network, from a trained one where it starts from one, and train it."""
    keras.utils.set_random_seed(seed)
    model = design.build(previous) if previous else design.build()
    seen, trained = _prepared(design, recipe, data, model)
    opened = (
        contextlib.nullcontext() if states is None else states.open(design.name, seed, patience)
    )
    with opened as saved:
        history = train(trained, seen, recipe, seed=seed, verbose=verbose, checkpoint=saved)
    return _Fitted(model, trained, seen, history)


def _prepared(
    design: Design, recipe: Recipe, data: Dataset, model: keras.Model
) -> tuple[Dataset, keras.Model]:
    """Return the data as the recipe splits them, and the part of the model that is trained.

    Where a frozen backbone comes first, the data hold its features: it runs once per image.
    """
    if recipe.validation_split is not None:
        data = data.with_validation_split(recipe.validation_split)
    if design.features is None:
        return data, model
    features = feature_data(data, **asdict(design.features))
    return features, model.layers[-1]


def make_record(
    name: str,
    recipe: Recipe,
    seed: int,
    data: Dataset,
    runtime: Runtime,
    model,
    history: History,
    tested: Evaluation,
) -> RunRecord:
    """Put what a run was and what it gave into a record."""
    return RunRecord(
        design=name,
        recipe=recipe,
        seed=seed,
        source=data.source.name,
        is_stand_in=data.source.is_stand_in,
        train_images=len(data.x_train),
        test_images=tested.n,
        device=runtime.device,
        backend=runtime.backend,
        precision=runtime.precision,
        threads=runtime.threads,
        versions=versions(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        parameters=model.count_params(),
        trainable_parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
        history=history.to_dict(),
        seconds=history.seconds,
        test_accuracy=tested.accuracy,
        test_interval=tested.interval,
    )


def load_records(folder: Path | str) -> list[RunRecord]:
    """Read every record of a folder, in the order of the files' names.

    Raises
    ------
    RecordError
        Where the folder holds none, or one that is not a record.
    """
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise RecordError(f"There are no run records in {folder}: run the experiments first.")
    return [RunRecord.load(path) for path in paths]


def summarise(records: list[RunRecord]) -> pd.DataFrame:
    """Return one row per design, the mean and the range over its seeds.

    Columns: design, runs, accuracy, lowest, highest, parameters, epochs, seconds,
    device, source. Rows keep the order in which the designs first appear.
    """
    table = pd.DataFrame(
        [
            {
                "design": record.design,
                "accuracy": record.test_accuracy,
                "parameters": record.parameters,
                "epochs": len(record.history["loss"]),
                "seconds": record.seconds,
                "device": record.device,
                "source": record.source,
            }
            for record in records
        ],
        columns=["design", "accuracy", "parameters", "epochs", "seconds", "device", "source"],
    )
    groups = table.groupby("design", sort=False)
    return groups.agg(
        runs=("accuracy", "size"),
        accuracy=("accuracy", "mean"),
        lowest=("accuracy", "min"),
        highest=("accuracy", "max"),
        parameters=("parameters", "first"),
        epochs=("epochs", "mean"),
        seconds=("seconds", "mean"),
        device=("device", "first"),
        source=("source", "first"),
    ).reset_index()
