"""The folder of an nbgrader course: its assignments, its submissions and its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.errors import AssignmentError


def submissions(course: Path, assignment: str, student: str | None = None) -> list[Path]:
    """Return the folders of an assignment's submissions, of all students or of one.

    Raises
    ------
    AssignmentError
        If there are none.
    """
    read_source(course, assignment)
    found = [
        folder
        for folder in sorted(course.glob(f"submitted/*/{assignment}"))
        if student in (None, folder.parent.name)
    ]
    if not found:
        raise AssignmentError(f"Nothing was handed in for {assignment} in {course / 'submitted'}.")
    return found


def nbgrader(course: Path, *arguments: str, **environment: str) -> str:
    """Run an nbgrader command in the course's folder and return its output.

    Raises
    ------
    AssignmentError
        If the command fails; the message contains its last lines.
    """
    # nbgrader calls alembic by name, and alembic is installed beside this Python.
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": programs} | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        last = "\n".join(said.strip().splitlines()[-12:])
        raise AssignmentError(f"nbgrader {' '.join(arguments)} failed:\n{last}")
    return said


CONFIG = "nbgrader_config.py"


def course_folder(start: Path | None = None) -> Path:
    """Return the folder of the nbgrader course: the current one, or ``assignments`` in it.

    Raises
    ------
    AssignmentError
        If neither has an ``nbgrader_config.py``.
    """
    start = start or Path.cwd()
    for folder in (start, start / "assignments"):
        if (folder / CONFIG).is_file():
            return folder
    raise AssignmentError(
        f"There is no {CONFIG} here or in ./assignments: change to the folder of the course."
    )


def assignments(course: Path) -> list[str]:
    """Return the names of all assignments, in order.

    Raises
    ------
    AssignmentError
        If there are none.
    """
    found = sorted(p.parent.name for p in course.glob("source/*/*.ipynb"))
    if not found:
        raise AssignmentError(f"There is no assignment in {course / 'source'}.")
    return found


def read_source(course: Path, assignment: str) -> NotebookNode:
    """Read the lecturer's notebook of an assignment.

    Raises
    ------
    AssignmentError
        If there is no such assignment, or its notebook cannot be read.
    """
    path = source_path(course, assignment)
    if not path.is_file():
        known = ", ".join(assignments(course))
        raise AssignmentError(f"There is no assignment {assignment!r}: choose one of {known}.")
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise AssignmentError(f"{path} cannot be read: {error}") from error


def source_path(course: Path, assignment: str) -> Path:
    """Return the path of the lecturer's notebook of an assignment."""
    return course / "source" / assignment / f"{assignment}.ipynb"


def released_path(course: Path, assignment: str) -> Path:
    """Return the path at which nbgrader writes the notebook that students receive."""
    return course / "release" / assignment / f"{assignment}.ipynb"


def read_released(course: Path, assignment: str) -> NotebookNode:
    """Read the notebook that students receive."""
    return nbformat.read(released_path(course, assignment), as_version=4)
