"""What the assignments ask: read from the lecturer's notebooks, the only place for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.assignment.course import read_source


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
