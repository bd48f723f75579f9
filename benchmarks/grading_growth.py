"""Classes of different sizes: time for each submission, and memory of the grader."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.grading import make_course
from benchmarks.grading_class import NAME, hand_in_a_class
from benchmarks.tables import Table
from course_utils.grading.class_grading import FAILED, grade_class

SIZES = (10, 100, 300)


def measure() -> Table:
    """Grade classes of `SIZES` submissions, each in a new process."""
    rows = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, _new_process() as process:
            make_course(Path(folder), NAME)
            hand_in_a_class(Path(folder), size)
            seconds, memory = process.submit(_grade, Path(folder), size).result()
        rows.append([str(size), f"{seconds:.0f}", f"{seconds / size:.2f}", f"{memory / 2**20:.0f}"])
        print(rows[-1], flush=True)
    headings = [f"submissions of {NAME}", "seconds", "seconds each", "memory of the grader, MiB"]
    return Table("Grading classes of different sizes", headings, rows)


def _new_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


def _grade(course: Path, size: int) -> tuple[float, int]:
    """Return the seconds, and the largest memory of this process in bytes."""
    start = time.perf_counter()
    outcomes = grade_class(course, NAME)
    seconds = time.perf_counter() - start
    assert len(outcomes) == size, outcomes
    assert not any(outcome.state == FAILED for outcome in outcomes), outcomes
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
