"""Training many networks of the zoo, each in a process of its own: one record per network and seed.

A run whose record is there is not repeated, so a call that was killed goes on where it was. A run
that dies takes no other one with it.
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

from course_utils import zoo
from course_utils.errors import RecordError, RunError
from course_utils.experiment import RunRecord
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
