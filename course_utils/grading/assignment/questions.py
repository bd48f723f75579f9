"""Questions of the assignments, read from the lecturer's notebooks, which are their only source."""

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
        Such as ``"a2-cnn"`` and ``"Q4"``.
    objective : str
        What a student who answers the question is able to do.
    test : str
        Id of the graded cell.
    points : float
    automatic : bool
        Whether a hidden test grades the answer. If not, the lecturer grades it with a rubric.
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
