"""What the assignments ask: read from the lecturer's notebooks, which are its only place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.errors import AssignmentError

CONFIG = "nbgrader_config.py"


@dataclass(frozen=True)
class Question:
    """One graded cell.

    Attributes
    ----------
    assignment, name : str
        ``"a2-cnn"``, ``"Q4"``.
    objective : str
        What somebody who answers it can do.
    test : str
        The graded cell's id.
    points : float
    automatic : bool
        Graded by a hidden test, or by the lecturer with a rubric.
    """

    assignment: str
    name: str
    objective: str
    test: str
    points: float
    automatic: bool


def course_folder(start: Path | None = None) -> Path:
    """Return the folder of the nbgrader course: this one, or ``assignments`` in it.

    Raises
    ------
    AssignmentError
        Where neither is one.
    """
    start = start or Path.cwd()
    for folder in (start, start / "assignments"):
        if (folder / CONFIG).is_file():
            return folder
    raise AssignmentError(f"There is no {CONFIG} here, nor in ./assignments: go to the course.")


def assignments(course: Path) -> list[str]:
    """Return the names of all assignments, in order."""
    found = sorted(p.parent.name for p in course.glob("source/*/*.ipynb"))
    if not found:
        raise AssignmentError(f"There is no assignment in {course / 'source'}.")
    return found


def read_source(course: Path, assignment: str) -> NotebookNode:
    """Read the lecturer's notebook of an assignment.

    Raises
    ------
    AssignmentError
        Where there is none, or it cannot be read.
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
    """Return where the lecturer's notebook of an assignment lies."""
    return course / "source" / assignment / f"{assignment}.ipynb"


def questions(course: Path, assignment: str) -> list[Question]:
    """Return the graded cells of an assignment, in order."""
    found = []
    for cell in read_source(course, assignment).cells:
        graded = cell.metadata.get("nbgrader", {})
        if graded.get("grade"):
            about = cell.metadata.get("course", {})
            found.append(
                Question(
                    assignment=assignment,
                    name=about.get("question", ""),
                    objective=about.get("objective", ""),
                    test=graded["grade_id"],
                    points=float(graded["points"]),
                    automatic=cell.cell_type == "code" and not graded["solution"],
                )
            )
    return found
