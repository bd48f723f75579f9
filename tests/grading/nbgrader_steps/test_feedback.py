"""The feedback page."""

from __future__ import annotations

import nbformat
from graded_cells import graded_cell, result
from nbformat.v4 import new_markdown_cell, new_notebook

from course_utils.grading.nbgrader_steps import feedback, points


def test_feedback_hides_tests_rubrics_and_reasons():
    locked = graded_cell("shown = 1\n### BEGIN HIDDEN TESTS\nsecret = 2\n### END HIDDEN TESTS")
    locked.outputs = [result(1.0), points._for_lecturer("copied")]
    rubric = new_markdown_cell("Why?\n### BEGIN MARK SCHEME\nsecret\n### END MARK SCHEME")
    rubric.metadata["nbgrader"] = {"locked": True, "grade": False, "solution": False}
    shown, _ = feedback.HideFromStudents().preprocess(new_notebook(cells=[locked, rubric]), {})
    text = nbformat.writes(shown)
    assert "shown = 1" in text
    assert "secret" not in text
    assert "copied" not in text
