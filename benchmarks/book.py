"""The whole book: all chapters executed again, and the book built with and without changes."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.tables import Table

COURSE = [sys.executable, "-m", "course_utils.cli"]


def measure() -> Table:
    """Time the execution of all chapters, the build of the book, and a second build."""
    rows = [
        ["all chapters, cold", _seconds("run", "--again"), "900 s"],
        ["course book, chapters done", _seconds("book"), ""],
        ["course book, nothing changed", _seconds("book"), "30 s"],
    ]
    return Table("The book, fast profile", ["what", "seconds", "may take"], rows)


def _seconds(*command: str) -> str:
    start = time.perf_counter()
    subprocess.run([*COURSE, *command], check=True)
    return f"{time.perf_counter() - start:.1f}"
