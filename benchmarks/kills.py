"""Killing each program of the grader at random moments: honest work never gets a zero for it."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import shutil
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client, LocalCluster

from benchmarks.grading import hand_in
from benchmarks.tables import Table
from course_utils.grading.class_grading import FAILED, grade_class
from course_utils.grading.examine import store
from course_utils.grading.gradebook import results
from course_utils.grading.sandbox import fork_server

NAME = "a0-mnist"
KILLS = 50
# Calls in which the program has ended before it is killed do not count; there are at most so many.
CALLS = 3 * KILLS
PROGRAMS = ("reader", "kernel", "predictor", "examiner", "fork server", "worker")
START_SECONDS = 300


@dataclass(frozen=True)
class _Target:
    """A program to kill.

    Attributes
    ----------
    get_ready : callable
        Is called before each call of ``course grade``.
    find : callable
        Returns the process id, as soon as the program runs.
    scheduler : str, optional
        Address of the scheduler whose workers grade.
    """

    get_ready: Callable[[], object]
    find: Callable[[], int]
    scheduler: str | None = None


def measure() -> Table:
    """Kill each program of `PROGRAMS` so many times, in as many calls of ``course grade``."""
    # A worker logs the traceback of each examination that fails.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    rows = []
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder, _target(program) as target:
            rows.append([program, *_row(Path(folder), target)])
        print(rows[-1], flush=True)
    headings = [f"program, {NAME}", "kills", "graded", "not graded", "graded by the next call",
                "other scores"]  # fmt: skip
    return Table("Kills at random moments", headings, rows)


def _row(course: Path, target: _Target) -> list[str]:
    """Grade again and again, and kill the program each time."""
    hand_in(course, NAME)
    usual = statistics.median(_lifetime(course, target) for _ in range(3))
    right = _score(course)
    counts: Counter[str] = Counter()
    for number in range(CALLS):
        after = random.Random(number).uniform(0, usual)
        target.get_ready()
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(_kill_later, target, after)
            state = _grade(course, target, again=True)
        if not killed.result():
            continue
        counts["kills"] += 1
        counts[state] += 1
        if state == FAILED:
            counts["scores of failed"] += _score(course) is not None
            target.get_ready()
            counts["next"] += _grade(course, target, again=False) != FAILED
        counts["other scores"] += _score(course) != right
        if counts["kills"] == KILLS:
            break
    kills, failed = counts["kills"], counts[FAILED]
    others = counts["other scores"] + counts["scores of failed"]
    return [str(kills), str(kills - failed), str(failed), f"{counts['next']} of {failed}",
            str(others)]  # fmt: skip


def _lifetime(course: Path, target: _Target) -> float:
    """Grade without a kill; return how many seconds the program ran meanwhile."""
    target.get_ready()
    is_graded = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        seconds = pool.submit(_watch, target, is_graded)
        state = _grade(course, target, again=True)
        is_graded.set()
    assert state != FAILED
    return seconds.result()


def _watch(target: _Target, is_graded: threading.Event) -> float:
    """Return the seconds from the start of the program to its end, or to that of the grading."""
    pid, start = target.find(), time.monotonic()
    with contextlib.suppress(psutil.NoSuchProcess):
        program = psutil.Process(pid)
        while program.status() != psutil.STATUS_ZOMBIE and not is_graded.wait(0.01):
            pass
    return time.monotonic() - start


def _grade(course: Path, target: _Target, again: bool) -> str:
    if again:
        # Answers of readers are kept, and here a reader has to start each time.
        shutil.rmtree(course / store.FOLDER / "read", ignore_errors=True)
    (outcome,) = grade_class(course, NAME, again=again, scheduler=target.scheduler)
    if outcome.reason:
        print(outcome.reason, flush=True)
    return outcome.state


def _score(course: Path) -> float | None:
    """Return the score in the gradebook; None if there is none."""
    found = results(course, NAME)
    return found[0].score if found else None


@contextlib.contextmanager
def _target(program: str) -> Iterator[_Target]:
    if program == "worker":
        cluster = LocalCluster(n_workers=1, dashboard_address=None)
        with cluster, Client(cluster) as client:
            yield _Target(
                get_ready=lambda: client.wait_for_workers(1),
                find=lambda: next(iter(client.run(os.getpid).values())),
                scheduler=cluster.scheduler_address,
            )
    elif program == "fork server":
        yield _Target(
            get_ready=lambda: fork_server.shared().wait(),
            find=lambda: fork_server.shared()._process.pid,
        )
    else:
        started = _Started(program)
        fork_server.log.addHandler(started)
        fork_server.log.setLevel(logging.DEBUG)
        try:
            yield _Target(
                get_ready=started.pids.queue.clear,
                find=lambda: started.pids.get(timeout=START_SECONDS),
            )
        finally:
            fork_server.log.setLevel(logging.NOTSET)
            fork_server.log.removeHandler(started)


class _Started(logging.Handler):
    """Collects the processes of one program, from the log of the fork server."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.pids: queue.Queue[int] = queue.Queue()
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        function, pid = record.args or ("", 0)
        if f".{self._program}:" in str(function):
            self.pids.put(int(pid))


def _kill_later(target: _Target, seconds: float) -> bool:
    """Kill the program from outside, some time after its start; tell whether it was there."""
    pid = target.find()
    time.sleep(seconds)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
