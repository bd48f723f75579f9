"""Training many networks of the zoo, each in its own process: one record per network and seed.

A run that is recorded is not repeated, and one that was stopped continues after its last epoch. If
a run dies, the others go on. The records are compared with the results that the documents report.
"""

from __future__ import annotations

import fnmatch
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import psutil

from course_utils import env, paths, zoo
from course_utils.checkpoint import States, read_state, run_name
from course_utils.children import child_environment, start_child
from course_utils.data.catalogue import SPECS
from course_utils.errors import CourseError, DataError, RecordError, RunError
from course_utils.evaluation import difference_interval, wilson_interval
from course_utils.recipes import Recipe
from course_utils.records import RunRecord, load_records, summarise
from course_utils.runtime import available_cores
from course_utils.zoo.cost import training_flops, training_images
from course_utils.zoo.design import Design

RECORDS = paths.RECORDS / "networks"
# Names of the learning curves in a record.
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
LOWEST_PRIORITY = 19
# Statuses of a run; a "stopped" one has begun, but is neither finished nor running.
STATUSES = ("finished", "running", "stopped", "waiting")
# Number of lines of a failed run's log that are shown.
LAST_LINES = 6


@dataclass(frozen=True)
class Run:
    """One network to train with one seed, and the path of its record."""

    name: str
    seed: int
    record: Path

    @property
    def log(self) -> Path:
        """The file that receives everything the run prints."""
        return self.record.with_suffix(".log")


def choose(patterns: Sequence[str]) -> list[str]:
    """Return the networks whose names match one of the patterns.

    Parameters
    ----------
    patterns : sequence of str
        Shell-style patterns, such as ``"dl/*"``. If there are none, all networks of the documents
        are chosen.

    Raises
    ------
    RunError
        If a pattern matches no network.
    """
    if not patterns:
        return [name for name in zoo.names() if not name.startswith("fast/")]
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = fnmatch.filter(zoo.names(), pattern)
        if not found:
            raise RunError(f"No network matches {pattern!r}: `course zoo list` shows them all.")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def recorded_runs(*patterns: str, folder: Path = RECORDS) -> list[RunRecord]:
    """Return the recorded runs of networks on real images, in the zoo's order and then by seed.

    Parameters
    ----------
    *patterns : str
        As for `choose`.
    folder : Path
        The folder of the records; default: the book's records.

    Raises
    ------
    RunError
        If a pattern matches no network.
    RecordError
        If there are no records, or one is damaged.

    Examples
    --------
    >>> from course_utils import recorded_runs
    >>> record = recorded_runs("dl/1")[0]
    >>> record.design, record.seed, record.test_images
    ('dl/1', 0, 10000)
    """
    names = choose(patterns)
    real = [record for record in load_records(folder) if not record.is_stand_in]
    wanted = [record for record in real if record.design in names]
    return sorted(wanted, key=lambda record: (names.index(record.design), record.seed))


def reported_and_measured(*patterns: str, folder: Path = RECORDS) -> pd.DataFrame:
    """Compare the accuracies that the documents report with our own, one row per network.

    Parameters
    ----------
    *patterns, folder
        As for `recorded_runs`.

    Returns
    -------
    pandas.DataFrame
        Columns: design, parent (empty if it has none), summary, reported, reported_epochs,
        parameters, the columns of `summarise` (with ``measured`` in place of ``accuracy``), and
        difference, with its 95% confidence interval from ``difference_low`` to
        ``difference_high``. All accuracies are fractions between 0 and 1. Unknown values are NaN,
        and ``runs`` is 0 if there is no record.

    Raises
    ------
    RunError, RecordError
        As `recorded_runs` does.

    Examples
    --------
    >>> from course_utils import reported_and_measured
    >>> table = reported_and_measured("tbmi26/cnn")
    >>> table.design.item(), table.reported.item()
    ('tbmi26/cnn', 0.6307)
    """
    designs = [zoo.design(name) for name in choose(patterns)]
    table = pd.DataFrame(
        {
            "design": [design.name for design in designs],
            "parent": [design.parent for design in designs],
            "summary": [design.summary for design in designs],
            "reported": [design.reported.get("test_accuracy", np.nan) for design in designs],
            "reported_epochs": [design.reported_epochs or np.nan for design in designs],
            "parameters": [design.parameters for design in designs],
        }
    )
    runs = summarise(recorded_runs(*patterns, folder=folder)).drop(columns="parameters")
    table = table.merge(runs.rename(columns={"accuracy": "measured"}), how="left", on="design")
    table["runs"] = table.runs.fillna(0).astype(int)
    numbers = ["measured", "low", "high", "epochs", "seconds"]
    table[numbers] = table[numbers].astype(float)
    table["difference"] = table.measured - table.reported
    intervals = [
        _difference_interval(design, measured)
        for design, measured in zip(designs, table.measured, strict=True)
    ]
    table[["difference_low", "difference_high"]] = np.reshape(intervals, (-1, 2))
    return table


def _difference_interval(design: Design, measured: float) -> tuple[float, float]:
    """Return the 95% interval of a design's measured minus its reported test accuracy."""
    reported = design.reported.get("test_accuracy", math.nan)
    if math.isnan(reported) or math.isnan(measured):
        return math.nan, math.nan
    images = SPECS[design.dataset].test
    theirs = design.reported_images or images
    return difference_interval(
        (round(reported * theirs), theirs), (round(measured * images), images)
    )


def compare_progress(record: RunRecord) -> str:
    """Say in which epoch a run reached the training accuracy that its document reports.

    One reason for a different test accuracy is that training went further, or less far. The final
    training and validation accuracies of the document tell, if it reports them.

    Returns
    -------
    str
        One sentence; empty if the document reports no training accuracy.
    """
    reported = zoo.design(record.design).reported
    if "train_accuracy" not in reported:
        return ""
    goal = reported["train_accuracy"]
    ours, validation = record.history["accuracy"], record.history["val_accuracy"]
    epoch = next((epoch for epoch, reached in enumerate(ours, 1) if reached >= goal), None)
    if epoch is None:
        return (
            f"The document's training accuracy of {goal:.1%} is never reached in our run, which "
            f"ends at {ours[-1]:.1%}."
        )
    sentence = (
        f"The document's training ended at a training accuracy of {goal:.1%}; ours passes that "
        f"in epoch {epoch} of {len(ours)}"
    )
    if validation and "val_accuracy" in reported:
        sentence += (
            f", with a validation accuracy of {validation[epoch - 1]:.1%} (the document's: "
            f"{reported['val_accuracy']:.1%})"
        )
    return sentence + f", and ends at {ours[-1]:.1%}."


def plan(names: Iterable[str], seeds: int, folder: Path = RECORDS) -> list[Run]:
    """Return the runs of these networks with the seeds 0 to `seeds` - 1, recorded or not."""
    return [run_of(name, seed, folder) for name in names for seed in range(seeds)]


def run_of(name: str, seed: int, folder: Path = RECORDS) -> Run:
    """Return the run of a network with a seed, whose record belongs in `folder`."""
    return Run(name, seed, folder / f"{run_name(name, seed)}.json")


def cheapest_first(runs: Iterable[Run]) -> list[Run]:
    """Sort runs by the cost of training."""
    return sorted(runs, key=lambda run: _flops(run.name))


def _flops(name: str) -> int:
    """Return the floating-point operations of a training; 0 if pretrained weights are missing."""
    try:
        return training_flops(name)
    except DataError:
        return 0


def is_recorded(run: Run, stand_in: bool = False) -> bool:
    """Return whether a run has a record with today's recipe.

    Parameters
    ----------
    run : Run
    stand_in : bool
        Whether the record must be of the stand-in, rather than of real images.
    """
    try:
        record = RunRecord.load(run.record)
    except RecordError:
        return False
    return record.recipe == zoo.recipe(run.name) and record.is_stand_in == stand_in


def reproduce(
    runs: Iterable[Run], jobs: int = 1, data: str | None = None, nice: bool = False
) -> Iterator[tuple[Run, str]]:
    """Train networks, several at a time, and yield each run as it ends.

    The trainings end with this process, however it ends, and continue when they are started again.

    Parameters
    ----------
    runs : iterable of Run
    jobs : int
        How many trainings run at the same time. They share the processor's cores, or the GPU.
    data : str, optional
        The parameter ``path`` of `load_cifar10`.
    nice : bool
        Give the trainings the lowest priority on this machine.

    Yields
    ------
    run : Run
    error : str
        Why the run failed; empty after success.
    """
    trainings = _Trainings(jobs, data, nice)
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(trainings.train, run): run for run in runs}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            trainings.stop()


class _Trainings:
    """Child processes that each train one network."""

    def __init__(self, jobs: int, data: str | None, nice: bool) -> None:
        self._environment = _environment(jobs)
        self._data, self._nice = data, nice
        self._children: list[psutil.Popen] = []
        self._stopped = threading.Event()

    def train(self, run: Run) -> str:
        """Train one network, wait for its end, and return why it failed."""
        if States().is_open(run.name, run.seed):
            return f"{run.name}, seed {run.seed}, is being trained by another process."
        run.log.parent.mkdir(parents=True, exist_ok=True)
        with run.log.open("w", encoding="utf-8") as log:
            returned = self._start(run, log).wait()
        if returned == 0:
            run.log.unlink()
            return ""
        text = run.log.read_text(encoding="utf-8", errors="replace")
        how = f"ended with {returned}" if returned > 0 else "was killed"
        return "\n".join(
            [
                f"{run.name}, seed {run.seed}, {how}; its log is {run.log}:",
                *text.strip().splitlines()[-LAST_LINES:],
            ]
        )

    def _start(self, run: Run, log: TextIO) -> psutil.Popen:
        orders = {
            "name": run.name,
            "seed": run.seed,
            "record": str(run.record),
            "data": self._data,
        }
        child = start_child(
            "course_utils.reproduction_child",
            orders,
            environment=self._environment,
            stdout=log,
            stderr=log,
        )
        self._children.append(child)
        if self._nice:
            child.nice(LOWEST_PRIORITY)
        if self._stopped.is_set():  # `stop` was called before there was a process.
            child.kill()
        return child

    def stop(self) -> None:
        """Kill the trainings that still run; their last finished epochs are saved."""
        self._stopped.set()
        for child in list(self._children):
            if child.poll() is None:
                child.kill()


def _environment(jobs: int) -> dict[str, str]:
    """Return the environment of a training that shares the machine with others."""
    environment = child_environment()
    if jobs > 1:
        environment.setdefault(env.THREADS.name, str(max(1, available_cores() // jobs)))
        # Without these settings, the first training takes the GPU's whole memory.
        environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return environment


def priorities_are_per_terminal() -> bool:
    """Return whether Linux compares priorities only between the programs of one terminal."""
    setting = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return setting.exists() and setting.read_text().strip() == "1"


@dataclass(frozen=True)
class RunProgress:
    """The progress of one run.

    Attributes
    ----------
    run : Run
    status : str
        One of `STATUSES`.
    epochs, of_epochs : int
        The number of finished epochs, and the number that the document reports (or the recipe
        asks for); early stopping may end the run before.
    flops : int
        Floating-point operations that are left.
    """

    run: Run
    status: str
    epochs: int
    of_epochs: int
    flops: int


def progress(runs: Iterable[Run], states: States) -> list[RunProgress]:
    """Return the progress of each run, in the order of `runs`."""
    return [_progress(run, states) for run in runs]


def _progress(run: Run, states: States) -> RunProgress:
    expected = zoo.design(run.name).expected_epochs
    if is_recorded(run):
        done = len(RunRecord.load(run.record).history["loss"])
        return RunProgress(run, "finished", done, done, 0)
    state = read_state(states.place(run.name, run.seed))
    epochs = state.epochs if state else 0
    running = states.is_open(run.name, run.seed)
    status = "running" if running else "stopped" if epochs else "waiting"
    left = max(0, expected - epochs) / expected
    return RunProgress(run, status, epochs, expected, round(left * _flops(run.name)))


def measured_speed(states: States, runs: Iterable[Run]) -> float | None:
    """Return the floating-point operations per second of one training process.

    It is measured from the saved states of unfinished trainings, without the records. None if no
    such training has finished an epoch.
    """
    flops = seconds = 0.0
    for run in runs:
        state = read_state(states.place(run.name, run.seed))
        if state is not None and state.epochs:
            expected = zoo.design(run.name).expected_epochs
            flops += _flops(run.name) * state.epochs / expected
            seconds += state.seconds
    return flops / seconds if seconds else None


def import_records(folder: Path, into: Path = RECORDS) -> tuple[list[Path], list[str]]:
    """Check the records that another checkout has written, and copy the valid ones.

    Parameters
    ----------
    folder : Path
        The folder to read from.
    into : Path
        The folder to write to; default: the book's records. A valid record that is already there
        is kept; an outdated or damaged one is replaced.

    Returns
    -------
    imported : list of Path
        The copies.
    refused : list of str
        One sentence for each file that was not copied.

    Raises
    ------
    RecordError
        If the folder contains no records.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise RecordError(f"There are no run records in {folder}.")
    imported, refused = [], []
    for path in paths:
        try:
            record = RunRecord.load(path)
            run = run_of(record.design, record.seed, into)
            if problem := _problem(record, run):
                refused.append(f"{path.name}: {problem}")
            else:
                imported.append(record.save(run.record))
        except (CourseError, OSError, TypeError, ValueError) as error:
            refused.append(f"{path.name}: {error}")
    return imported, refused


def _problem(record: RunRecord, run: Run) -> str:
    """Say why a record cannot become one of the book's; empty if it can."""
    design, recipe = zoo.design(record.design), record.recipe
    facts = SPECS[design.dataset]
    correct = record.test_accuracy * record.test_images
    problems = {
        "it is of the stand-in.": record.is_stand_in,
        f"its images are not {facts.title}.": not record.source.startswith(facts.title),
        "its recipe is not today's.": recipe != design.recipe,
        "its network is not today's.": (
            (record.parameters, record.parameters - record.trainable_parameters)
            != (design.parameters, design.frozen)
        ),
        "its seed is not between 0 and 2**32 - 1.": not 0 <= record.seed < 2**32,
        "its learning curves do not fit its recipe.": not _fits_recipe(record.history, recipe),
        "it was not trained on all training images.": (
            record.train_images != training_images(record.design)
        ),
        "it was not tested on all test images.": record.test_images != facts.test,
        "its test accuracy is no fraction of the test images.": (
            not 0 <= record.test_accuracy <= 1 or abs(correct - round(correct)) > 1e-6
        ),
        "its training time is not a positive number.": not 0 < record.seconds < math.inf,
    }
    if any(problems.values()):
        return next(problem for problem, holds in problems.items() if holds)
    interval = wilson_interval(round(correct), record.test_images)
    if not np.allclose(record.test_interval, interval, atol=1e-6):
        return "its test accuracy and its interval do not fit."
    if record.confusion is not None and not _fits_accuracy(record.confusion, record):
        return "its confusion matrix does not fit its test accuracy."
    return f"{run.record} is there already." if is_recorded(run) else ""


def _fits_accuracy(confusion: list[list[int]], record: RunRecord) -> bool:
    """Return whether a confusion matrix can come from a record's test."""
    classes = len(SPECS[zoo.design(record.design).dataset].class_names)
    if [len(row) for row in confusion] != [classes] * classes:
        return False
    counts = np.array(confusion)
    correct = round(record.test_accuracy * record.test_images)
    return bool(
        counts.min() >= 0 and counts.sum() == record.test_images and counts.trace() == correct
    )


def _fits_recipe(history: dict[str, Any], recipe: Recipe) -> bool:
    """Return whether learning curves can come from training by a recipe."""
    curves = [history.get(name) or [] for name in CURVES]
    if not all(isinstance(curve, list) for curve in curves):
        return False
    if not all(isinstance(value, float) for curve in curves for value in curve):
        return False
    loss, accuracy, *validation = map(len, curves)
    fewest = 1 if recipe.early_stopping else recipe.epochs
    return (
        fewest <= loss <= recipe.epochs
        and accuracy == loss
        and validation == [0 if recipe.validation_split == 0 else loss] * 2
    )
