"""Training many networks of the zoo, each in a process of its own: one record per network and seed.

A run whose record is there is not repeated, and one that was stopped goes on after its last epoch.
A run that dies takes no other one with it. What the records say is set beside what the documents
report.
"""

from __future__ import annotations

import fnmatch
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from course_utils import paths, zoo
from course_utils.checkpoint import States, read_state
from course_utils.data.catalogue import SPECS
from course_utils.errors import CourseError, DataError, RecordError, RunError
from course_utils.evaluation import wilson_interval
from course_utils.recipes import Recipe
from course_utils.records import RunRecord, load_records, summarise
from course_utils.runtime import available_cores
from course_utils.zoo.cost import training_flops, training_images

RECORDS = paths.RECORDS / "networks"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
LOWEST_PRIORITY = 19
# A "stopped" run has begun, and is neither finished nor running.
STATUSES = ("finished", "running", "stopped", "waiting")
# How much of a dead run's output is shown.
LAST_LINES = 6


@dataclass(frozen=True)
class Run:
    """One network to be trained with one seed, and where its record belongs."""

    name: str
    seed: int
    record: Path

    @property
    def log(self) -> Path:
        """Where all that the run prints goes."""
        return self.record.with_suffix(".log")


def choose(patterns: Sequence[str]) -> list[str]:
    """Return the networks whose names match one of the patterns; without any, the documents'.

    Raises
    ------
    RunError
        If a pattern matches none.
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
    """Return the recorded runs of these networks on real images, in the zoo's order, then by seed.

    Parameters
    ----------
    *patterns : str
        As for `choose`.
    folder : Path
        Where the records are; default: the book's own.

    Raises
    ------
    RunError
        If a pattern matches no network.
    RecordError
        If there are no records at all, or a damaged one.
    """
    names = choose(patterns)
    real = [record for record in load_records(folder) if not record.is_stand_in]
    wanted = [record for record in real if record.design in names]
    return sorted(wanted, key=lambda record: (names.index(record.design), record.seed))


def reported_and_measured(*patterns: str, folder: Path = RECORDS) -> pd.DataFrame:
    """Set what the documents report beside what was measured, one row per network.

    Parameters
    ----------
    *patterns, folder
        As for `recorded_runs`.

    Returns
    -------
    pandas.DataFrame
        Columns: design, summary, reported, reported_epochs, parameters, and those of
        `summarise`, measured in place of accuracy, difference. All accuracies 0 to 1; what is
        not known is missing (NaN), and `runs` is 0 where nothing has been measured.

    Raises
    ------
    RunError, RecordError
        As `recorded_runs` does.
    """
    designs = [zoo.design(name) for name in choose(patterns)]
    table = pd.DataFrame(
        {
            "design": [design.name for design in designs],
            "summary": [design.summary for design in designs],
            "reported": [design.reported.get("test_accuracy", np.nan) for design in designs],
            "reported_epochs": [design.reported_epochs or np.nan for design in designs],
            "parameters": [design.parameters for design in designs],
        }
    )
    runs = summarise(recorded_runs(*patterns, folder=folder)).drop(columns="parameters")
    table = table.merge(runs.rename(columns={"accuracy": "measured"}), how="left", on="design")
    table["runs"] = table.runs.fillna(0).astype(int)
    numbers = ["measured", "lowest", "highest", "epochs", "seconds"]
    table[numbers] = table[numbers].astype(float)
    table["difference"] = table.measured - table.reported
    return table


def compare_progress(record: RunRecord) -> str:
    """Say where in a run the training accuracy was that the document reports, and what else was so.

    One reason for another test accuracy is that training got further, or less far. The
    document's own figures tell, where it reports them: how many training images were right in
    the end, and how many of those for validation.

    Returns
    -------
    str
        One or two sentences; empty where the document reports no training accuracy.
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
    """Return every run that these networks need, whether it has been made or not."""
    return [run_of(name, seed, folder) for name in names for seed in range(seeds)]


def run_of(name: str, seed: int, folder: Path = RECORDS) -> Run:
    """Return the run of a network with a seed, its record in `folder`."""
    return Run(name, seed, folder / f"{name.replace('/', '-')}-seed{seed}.json")


def cheapest_first(runs: Iterable[Run]) -> list[Run]:
    """Sort runs by what training costs."""
    return sorted(runs, key=lambda run: _flops(run.name))


def _flops(name: str) -> int:
    """Return what training costs; nothing where the weights that would tell are missing."""
    try:
        return training_flops(name)
    except DataError:
        return 0


def is_recorded(run: Run, stand_in: bool = False) -> bool:
    """Tell whether a run's record is there, is of today's recipe, and of images of that kind."""
    try:
        record = RunRecord.load(run.record)
    except RecordError:
        return False
    return record.recipe == zoo.recipe(run.name) and record.is_stand_in == stand_in


def reproduce(
    runs: Iterable[Run], jobs: int = 1, data: str | None = None, nice: bool = False
) -> Iterator[tuple[Run, str]]:
    """Make the runs, several at a time; yield each as it ends, with what went wrong.

    Parameters
    ----------
    runs : iterable of Run
    jobs : int
        How many at the same time. They share the processor's cores, or the GPU.
    data : str, optional
        As for `load_cifar10`.
    nice : bool
        Let every other program on this machine go first.

    Yields
    ------
    run : Run
    error : str
        Empty after success.
    """
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(_make, run, jobs, data, nice): run for run in runs}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _make(run: Run, jobs: int, data: str | None, nice: bool) -> str:
    """Train one network in a process of its own; return what went wrong."""
    if States().is_open(run.name, run.seed):
        return f"{run.name}, seed {run.seed}, is being trained by another process."
    run.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "course_utils.cli", "zoo", "train", run.name]
    command += ["--seed", str(run.seed), "--record", str(run.record), "--resume"]
    command += ["--data", data] if data else []
    with run.log.open("w", encoding="utf-8") as log:
        child = psutil.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_shared(jobs)
        )
        if nice:
            child.nice(LOWEST_PRIORITY)
        returned = child.wait()
    if returned == 0:
        run.log.unlink()
        return ""
    last = run.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
    how = f"ended with {returned}" if returned > 0 else "was killed"
    return "\n".join([f"{run.name}, seed {run.seed}, {how}; its log is {run.log}:", *last])


def _shared(jobs: int) -> dict[str, str]:
    """Return the environment of a run that shares the machine with others."""
    environment = dict(os.environ)
    if jobs > 1:
        environment.setdefault("COURSE_THREADS", str(max(1, available_cores() // jobs)))
        # Otherwise the first run takes the GPU's whole memory.
        environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        environment.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return environment


def priorities_are_per_terminal() -> bool:
    """Tell whether Linux groups programs by terminal, so that a priority counts inside one only."""
    setting = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return setting.exists() and setting.read_text().strip() == "1"


@dataclass(frozen=True)
class Progress:
    """How far one run is.

    Attributes
    ----------
    run : Run
    status : str
        One of `STATUSES`.
    epochs, of_epochs : int
        Epochs trained, and those that its document reports (or its recipe asks for); early
        stopping can end it before.
    flops : int
        Floating-point operations that are left.
    """

    run: Run
    status: str
    epochs: int
    of_epochs: int
    flops: int


def progress(runs: Iterable[Run], states: States) -> list[Progress]:
    """Return how far each run is, in the order of `runs`."""
    return [_progress(run, states) for run in runs]


def _progress(run: Run, states: States) -> Progress:
    expected = zoo.design(run.name).expected_epochs
    if is_recorded(run):
        done = len(RunRecord.load(run.record).history["loss"])
        return Progress(run, "finished", done, done, 0)
    state = read_state(states.place(run.name, run.seed))
    epochs = state.epochs if state else 0
    running = states.is_open(run.name, run.seed)
    status = "running" if running else "stopped" if epochs else "waiting"
    left = max(0, expected - epochs) / expected
    return Progress(run, status, epochs, expected, round(left * _flops(run.name)))


def measured_speed(states: States, runs: Iterable[Run]) -> float | None:
    """Return the floating-point operations per second of one training process.

    It is measured on the saved states of unfinished trainings; records are not counted. None if
    no training has finished an epoch.
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
        Where they lie.
    into : Path
        Where they belong; default: the book's records. A valid record that is already there is
        kept; an out-of-date or damaged one is replaced.

    Returns
    -------
    imported : list of Path
    refused : list of str
        One sentence for each file that was not copied.

    Raises
    ------
    RecordError
        Where the folder holds no record at all.
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
    """Say why a record cannot be one of the book's; nothing where it can."""
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
    return f"{run.record} is there already." if is_recorded(run) else ""


def _fits_recipe(history: dict, recipe: Recipe) -> bool:
    """Tell whether learning curves are what training by a recipe leaves."""
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
