"""Training many networks of the zoo, each in a process of its own: one record per network and seed.

A run whose record is there is not repeated, so a call that was killed goes on where it was. A run
that dies takes no other one with it. What the records say is set beside what the documents report.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from course_utils import zoo
from course_utils.errors import RecordError, RunError
from course_utils.experiment import RunRecord, load_records, summarise
from course_utils.runtime import available_cores

CHECKOUT = Path(__file__).resolve().parents[1]
RECORDS = CHECKOUT / "book" / "records" / "networks"
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
    return [
        Run(name, seed, folder / f"{name.replace('/', '-')}-seed{seed}.json")
        for name in names
        for seed in range(seeds)
    ]


def is_recorded(run: Run, stand_in: bool = False) -> bool:
    """Tell whether a run's record is there, is of today's recipe, and of images of that kind."""
    try:
        record = RunRecord.load(run.record)
    except RecordError:
        return False
    return record.recipe == zoo.recipe(run.name) and record.is_stand_in == stand_in


def reproduce(
    runs: Iterable[Run], jobs: int = 1, data: str | None = None
) -> Iterator[tuple[Run, str]]:
    """Make the runs, several at a time; yield each as it ends, with what went wrong.

    Parameters
    ----------
    runs : iterable of Run
    jobs : int
        How many at the same time. They share the processor's cores, or the GPU.
    data : str, optional
        As for `load_cifar10`.

    Yields
    ------
    run : Run
    error : str
        Empty after success.
    """
    with ThreadPoolExecutor(jobs) as pool:
        started = {pool.submit(_make, run, jobs, data): run for run in runs}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _make(run: Run, jobs: int, data: str | None) -> str:
    """Train one network in a process of its own; return what went wrong."""
    run.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "course_utils.cli", "zoo", "train", run.name]
    command += ["--seed", str(run.seed), "--record", str(run.record)]
    command += ["--data", data] if data else []
    with run.log.open("w", encoding="utf-8") as log:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_shared(jobs)
        )
    if done.returncode == 0:
        run.log.unlink()
        return ""
    last = run.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LAST_LINES:]
    how = f"ended with {done.returncode}" if done.returncode > 0 else "was killed"
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
