"""Grades a class again and again, each time in a child that is killed at a random moment.

Run as a program: course, assignment, number of times. After each death it prints, as JSON, every
student's points as the gradebook has them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

from course_utils.grading.class_grading import grade_class

# The score in the gradebook before each child: no answer earns it.
BEFORE = -1.0


def main(course: Path, assignment: str, times: int) -> None:
    luck = random.Random(0)
    whole = life(course, assignment)
    for _ in range(times):
        life(course, assignment, luck.uniform(0, 1.2 * whole))
        print(json.dumps(points(course)), flush=True)


def life(course: Path, assignment: str, seconds: float | None = None) -> float:
    """Grade the class in a child, which lives so long, or to its end; return how long that was."""
    forget(course)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        grade_class(course, assignment)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - start


def forget(course: Path) -> None:
    """Have everything written again, from what was examined."""
    shutil.rmtree(course / ".examined" / "graded", ignore_errors=True)
    with sqlite3.connect(course / "gradebook.db") as gradebook:
        gradebook.execute("UPDATE grade SET auto_score = ?", [BEFORE])


def points(course: Path) -> dict[str, list[float]]:
    """Return every student's points in the order of their tests."""
    query = """
        SELECT submission.student_id, grade.auto_score
        FROM grade
        JOIN submitted_notebook AS notebook ON notebook.id = grade.notebook_id
        JOIN submitted_assignment AS submission ON submission.id = notebook.assignment_id
        JOIN grade_cells ON grade_cells.id = grade.cell_id
        JOIN base_cell ON base_cell.id = grade_cells.id
        ORDER BY submission.student_id, base_cell.name
    """
    found: dict[str, list[float]] = {}
    with sqlite3.connect(course / "gradebook.db") as gradebook:
        for student, score in gradebook.execute(query):
            found.setdefault(student, []).append(score)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
