"""Grading one complete submission with plain ``nbgrader autograde``, including imports."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.tables import Table
from course_utils.grading.assignment.course import CONFIG, nbgrader, source_path
from course_utils.grading.examine.store import FOLDER
from course_utils.grading.gradebook import results

ASSIGNMENTS = Path(__file__).resolve().parent.parent / "assignments"
NAMES = ("a1-fully-connected", "a2-cnn", "a3-regularisation", "a4-own-design")
RUNS = 3


def measure() -> Table:
    """Grade the lecturer's own answers to the four assignments of the lab."""
    rows = [_row(name) for name in NAMES]
    headings = ["assignment", "automatic points", f"seconds, median of {RUNS} (max)", "may take"]
    return Table("Grading one submission", headings, rows)


def _row(name: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        hand_in(course, name)
        seconds = [_grade(course, name) for _ in range(RUNS)]
        (graded,) = results(course, name)
    print(f"{name}: {seconds}", flush=True)
    return [
        name,
        f"{graded.score:g}",
        f"{statistics.median(seconds):.1f} ({max(seconds):.1f})",
        "25 s",
    ]


def make_course(course: Path, name: str) -> None:
    """Create a course with one assignment."""
    course.mkdir(exist_ok=True)
    shutil.copy(ASSIGNMENTS / CONFIG, course)
    shutil.copytree(ASSIGNMENTS / "source" / name, course / "source" / name)
    shutil.copy(ASSIGNMENTS / "source" / "header.ipynb", course / "source")
    nbgrader(course, "generate_assignment", name)


def hand_in(course: Path, name: str) -> None:
    """Create a course with one assignment, and submit the lecturer's notebook and files."""
    make_course(course, name)
    handed_in = course / "submitted" / "lecturer" / name
    shutil.copytree(ASSIGNMENTS / "solutions" / name, handed_in)
    shutil.copy(source_path(ASSIGNMENTS, name), handed_in)


def _grade(course: Path, name: str) -> float:
    # Stored results are deleted, because they would be reused.
    shutil.rmtree(course / FOLDER, ignore_errors=True)
    start = time.perf_counter()
    nbgrader(course, "autograde", name, "--force")
    return time.perf_counter() - start
