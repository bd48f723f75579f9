"""Questions of the assignments, read from the lecturer's notebooks, which are their only source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from course_utils.grading.assignment.cells import is_test
from course_utils.grading.assignment.course import read_sources


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
        Id of the graded cell; see `test_name`.
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
    """Return the graded cells of an assignment and its tasks, in order."""
    found = []
    for notebook, source in read_sources(course, assignment).items():
        for cell in source.cells:
            graded = cell.metadata.get("nbgrader", {})
            if graded.get("grade") or graded.get("task"):
                about = cell.metadata.get("course", {})
                found.append(
                    Question(
                        assignment=assignment,
                        name=about.get("question", ""),
                        objective=about.get("objective", ""),
                        test=test_name(assignment, notebook, graded["grade_id"]),
                        points=float(graded.get("points", 0)),
                        automatic=is_test(cell),
                    )
                )
    return found


def test_name(assignment: str, notebook: str, grade_id: str) -> str:
    """Return how a report names a graded cell: with its notebook, if there can be several.

    Two notebooks of an assignment may have cells with the same id.
    """
    return grade_id if notebook == assignment else f"{notebook}: {grade_id}"
