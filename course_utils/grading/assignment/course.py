"""The folder of an nbgrader course: its assignments, its submissions and its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.cells import give_ids


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
    found = sorted({p.parent.name for p in course.glob("source/*/*.ipynb")})
    if not found:
        raise AssignmentError(f"There is no assignment in {course / 'source'}.")
    return found


def notebooks(course: Path, assignment: str) -> list[str]:
    """Return the names of an assignment's notebooks, without their ending, in order."""
    folder = course / "source" / assignment
    return sorted(path.stem for path in folder.glob("*.ipynb") if not path.name.startswith("."))


def read_sources(course: Path, assignment: str) -> dict[str, NotebookNode]:
    """Read the lecturer's notebooks of an assignment.

    Returns
    -------
    dict of NotebookNode
        Name of a notebook -> the notebook, in order.

    Raises
    ------
    AssignmentError
        If there is no such assignment, or one of its notebooks cannot be read.
    """
    names = notebooks(course, assignment)
    if not names:
        known = ", ".join(assignments(course))
        raise AssignmentError(f"There is no assignment {assignment!r}: choose one of {known}.")
    folder = course / "source" / assignment
    return {name: read_lecturers_notebook(folder / f"{name}.ipynb") for name in names}


def read_source(course: Path, assignment: str) -> NotebookNode:
    """Read the lecturer's only or first notebook of an assignment.

    Raises
    ------
    AssignmentError
        As for `read_sources`.
    """
    return next(iter(read_sources(course, assignment).values()))


def read_lecturers_notebook(path: Path) -> NotebookNode:
    """Read a notebook of the lecturer's; each of its cells has an id.

    Raises
    ------
    AssignmentError
        If it cannot be read.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:
        raise AssignmentError(f"{path} cannot be read: {error}") from error
    give_ids(notebook)
    return notebook


def source_path(course: Path, assignment: str) -> Path:
    """Return the path of the lecturer's notebook that is named like its assignment."""
    return course / "source" / assignment / f"{assignment}.ipynb"


def released_path(course: Path, assignment: str, notebook: str | None = None) -> Path:
    """Return the path at which nbgrader writes a notebook that students receive.

    Without a name, it is the notebook that is named like its assignment.
    """
    return course / "release" / assignment / f"{notebook or assignment}.ipynb"


def read_released(course: Path, assignment: str, notebook: str | None = None) -> NotebookNode:
    """Read a notebook that students receive; see `released_path`."""
    return nbformat.read(released_path(course, assignment, notebook), as_version=4)
