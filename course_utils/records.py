"""The record of a run: everything needed to quote it or to repeat it."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any, Literal

import keras
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from course_utils.comparison import mean_interval
from course_utils.data import Dataset, Source
from course_utils.errors import RecipeError, RecordError
from course_utils.evaluation import Evaluation
from course_utils.files import write_atomically
from course_utils.recipes import Recipe
from course_utils.runtime import Runtime, versions
from course_utils.training import History

RECORD_FORMAT: Literal[1] = 1


class RunRecord(BaseModel):
    """Everything needed to quote a run or to repeat it.

    Attributes
    ----------
    design : str
        The network's name in the zoo.
    recipe : Recipe
        The recipe that was used, including the number of epochs.
    seed : int
    source : str
        The name of the data; the name of a stand-in says that it is one.
    is_stand_in : bool
    train_images, test_images : int
        Numbers of images.
    device, backend, precision : str
    threads : int
    versions : dict of str
        Versions of Python and of the packages.
    date : str
        The time at which the run ended: UTC, ISO 8601, to the second.
    parameters, trainable_parameters : int
    history : dict
        The fields of `History`.
    seconds : float
        Wall-clock time of the training.
    test_accuracy : float
        From 0 to 1.
    test_interval : tuple of float
        95% confidence interval of the test accuracy (Wilson, 1927).
    confusion : list of list of int, optional
        Numbers of test images, one row for each true class, one column for each predicted class;
        None in older records.
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
    history: dict[str, Any]
    seconds: float
    test_accuracy: float
    test_interval: tuple[float, float]
    confusion: list[list[int]] | None = None

    @property
    def validation_accuracy(self) -> float:
        """The validation accuracy after the last epoch; NaN without validation images."""
        curve = self.history["val_accuracy"]
        return float(curve[-1]) if curve else math.nan

    @property
    def data_source(self) -> Source:
        """The source to name under figures that show recorded runs."""
        name = f"{self.source}, recorded runs"
        return Source(name, "record", location="", fingerprint="", is_stand_in=self.is_stand_in)

    def save(self, path: Path | str) -> Path:
        """Write the record as JSON, replacing an existing file as a whole; return the path."""
        return write_atomically(Path(path), self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> RunRecord:
        """Read a record.

        Raises
        ------
        RecordError
            If the file cannot be read, or is not a record of this format.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise RecordError(f"The run record {path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise RecordError(_other_format(path, "it is not UTF-8 text")) from error
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


def make_record(
    name: str,
    recipe: Recipe,
    seed: int,
    data: Dataset,
    runtime: Runtime,
    model: keras.Model,
    history: History,
    tested: Evaluation,
) -> RunRecord:
    """Return the record of a run.

    Parameters
    ----------
    name : str
        The network's name in the zoo.
    recipe : Recipe
    seed : int
    data : Dataset
        The data as the recipe splits them.
    runtime : Runtime
    model : keras.Model
        The trained network.
    history : History
    tested : Evaluation
        The evaluation on the test set.
    """
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
        confusion=tested.confusion.tolist(),
    )


def load_records(folder: Path | str) -> list[RunRecord]:
    """Read all records in a folder, in the order of their file names.

    Raises
    ------
    RecordError
        If the folder contains no records, or a file that is not a record.

    Examples
    --------
    >>> from course_utils import experiment, load_cifar10, load_records
    >>> record = experiment.run("fast/cnn", load_cifar10(limit=50), epochs=1)
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    >>> path = record.save("runs/fast-cnn.json")
    >>> [record.design for record in load_records("runs")]
    ['fast/cnn']
    """
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise RecordError(f"There are no run records in {folder}: run the experiments first.")
    return [RunRecord.load(path) for path in paths]


def summarise(
    records: list[RunRecord],
    accuracy: Literal["test_accuracy", "validation_accuracy"] = "test_accuracy",
) -> pd.DataFrame:
    """Summarise the runs of each design: the mean accuracy over the seeds, and its interval.

    Parameters
    ----------
    records : list of RunRecord
    accuracy : str
        Which accuracy. Designs are chosen by the validation accuracy.

    Returns
    -------
    pandas.DataFrame
        One row per design, in the order in which the designs first appear. Columns: design, runs,
        accuracy (mean), low and high (its 95% t-interval; NaN for a single run), parameters, epochs
        (mean), seconds (mean), device and source (of the first run).

    Examples
    --------
    >>> from course_utils import recorded_runs, summarise
    >>> table = summarise(recorded_runs("dl/1", "dl/2"))
    >>> list(table.design)
    ['dl/1', 'dl/2']
    """
    table = pd.DataFrame(
        [
            {
                "design": record.design,
                "accuracy": getattr(record, accuracy),
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
        low=("accuracy", lambda found: mean_interval(found)[0]),
        high=("accuracy", lambda found: mean_interval(found)[1]),
        parameters=("parameters", "first"),
        epochs=("epochs", "mean"),
        seconds=("seconds", "mean"),
        device=("device", "first"),
        source=("source", "first"),
    ).reset_index()
