"""Points that wait for the lecturer, such as those of written answers: no zeros."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader import utils
from nbgrader.api import Grade
from nbgrader.preprocessors import GetGrades


def waiting_points(grades: Iterable[Grade]) -> float:
    """Return the largest possible score of all cells that have no points yet."""
    return sum(
        grade.max_score
        for grade in grades
        if grade.needs_manual_grade and grade.auto_score is None and grade.manual_score is None
    )


def waiting(points: float) -> str:
    """Return what is said of points that wait; empty if there are none."""
    return f"{points:g} waiting" if points else ""


class GetGradesAndWaiting(GetGrades):
    """Puts the scores into the feedback, and says how many points are waiting."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        self._waiting = 0.0
        nb, resources = super().preprocess(nb, resources)
        if said := waiting(self._waiting):
            text = f"<blockquote><strong>Points: {said}</strong> for the lecturer.</blockquote>"
            nb.cells.insert(0, new_markdown_cell(text))
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: Any, cell_index: int) -> Any:
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        if utils.is_grade(cell) or utils.is_task(cell):
            name = cell.metadata["nbgrader"]["grade_id"]
            place = (self.notebook_id, self.assignment_id, self.student_id)
            self._waiting += waiting_points([self.gradebook.find_grade(name, *place)])
        return cell, resources
