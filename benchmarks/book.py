"""The whole book: every chapter executed anew, and again with nothing changed."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.tables import Table

COURSE = [sys.executable, "-m", "course_utils.cli"]


def measure() -> Table:
    """Time a cold run of all chapters, the book's build, and a second build."""
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
