"""Killing each program of the grader at random moments: honest work never gets a zero for it."""

from __future__ import annotations

import logging
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from distributed import Client, LocalCluster

from benchmarks.grading import hand_in
from benchmarks.tables import Table
from course_utils.grading.class_grading import FAILED, grade_class
from course_utils.grading.gradebook import results
from course_utils.grading.sandbox import fork_server

NAME = "a0-mnist"
KILLS = 50
PROGRAMS = ("kernel", "predictor", "examiner", "fork server", "worker")


def measure() -> Table:
    """Kill each program of `PROGRAMS` in as many calls of ``course grade``."""
    rows = []
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder, _killer(program) as (kill, scheduler):
            rows.append(_row(program, Path(folder), kill, scheduler))
        print(rows[-1], flush=True)
    headings = ["killed", "calls", "killed in time", "graded", "not graded", "graded by the next "
                "call", "other scores"]  # fmt: skip
    return Table("Kills at random moments", headings, rows)


def _row(program: str, course: Path, kill: Callable[[], bool], scheduler: str | None) -> list[str]:
    """Grade again and again, and kill a program each time."""
    hand_in(course, NAME)

    def grade(again: bool) -> str:
        (outcome,) = grade_class(course, NAME, again=again, scheduler=scheduler)
        return outcome.state

    def score() -> float:
        (graded,) = results(course, NAME)
        return graded.score

    seconds = []
    for _ in range(3):
        started = time.monotonic()
        grade(again=True)
        seconds.append(time.monotonic() - started)
    usual, right = statistics.median(seconds), score()
    counts: Counter[str] = Counter()
    for number in range(KILLS):
        after = random.Random(number).uniform(0, usual)
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(_later, kill, after)
            state = grade(again=True)
        counts["in time"] += killed.result()
        counts[state] += 1
        counts["other scores"] += state != FAILED and score() != right
        if state == FAILED:
            counts["next"] += grade(again=False) != FAILED
            counts["other scores"] += score() != right
    failed = counts[FAILED]
    graded = KILLS - failed
    return [
        program, str(KILLS), str(counts["in time"]), str(graded), str(failed),
        f"{counts['next']} of {failed}", str(counts["other scores"]),
    ]  # fmt: skip


@contextmanager
def _killer(program: str) -> Iterator[tuple[Callable[[], bool], str | None]]:
    """Yield what kills the program that was started last, and a scheduler's address."""
    if program == "worker":
        cluster = LocalCluster(n_workers=1, dashboard_address=None)
        with cluster, Client(cluster) as client:

            def kill_worker() -> bool:
                ((address, pid),) = client.run(os.getpid).items()
                killed = _kill(pid)
                while not client.nthreads().keys() - {address}:
                    time.sleep(0.1)
                return killed

            yield kill_worker, cluster.scheduler_address
        return
    if program == "fork server":
        yield lambda: _kill(fork_server.shared()._process.pid), None
        return
    started = _Started(program)
    fork_server.log.addHandler(started)
    fork_server.log.setLevel(logging.DEBUG)
    try:
        yield lambda: bool(started.pids) and _kill(started.pids[-1]), None
    finally:
        fork_server.log.setLevel(logging.NOTSET)
        fork_server.log.removeHandler(started)


class _Started(logging.Handler):
    """Remembers the processes of one program, from the log of the fork server."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.pids: list[int] = []
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        function, pid = record.args or ("", 0)
        if f".{self._program}:" in str(function):
            self.pids.append(int(pid))


def _later(kill: Callable[[], bool], seconds: float) -> bool:
    time.sleep(seconds)
    return kill()


def _kill(pid: int) -> bool:
    """Kill a process from outside; tell whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
