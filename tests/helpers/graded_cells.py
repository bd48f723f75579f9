"""Cells of a graded assignment, and their outputs."""

from __future__ import annotations

from collections.abc import Iterable

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbgrader import utils

from course_utils.grading import grade
from course_utils.grading.assignment.cells import is_test
from course_utils.grading.inside.cleaning import clean_cell


def graded_cell(source="", *, points=4.0, grade_id="q", outputs=(), answer=False, course=None):
    about = {"grade_id": grade_id, "grade": True, "solution": answer, "locked": not answer,
             "points": points, "task": False, "schema_version": 3}  # fmt: skip
    cell = new_code_cell(source, metadata={"nbgrader": about, "course": course or {}})
    cell.outputs = list(outputs)
    return cell


def result(fraction):
    data = grade.Grade(fraction, "said")._repr_mimebundle_()
    return new_output("execute_result", data=data, execution_count=1)


def answer_cell(source, grade_id="a", **metadata):
    about = {"grade_id": grade_id, "grade": False, "solution": True, "locked": False}
    return new_code_cell(source, metadata={"nbgrader": about} | metadata)


def clean_cells(cells: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Clean cells as the renderer does, in this process."""
    return [clean_cell(cell, is_test(cell), utils.is_locked(cell)) for cell in cells]
