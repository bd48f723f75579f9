"""Mistakes in a lecturer's notebook."""

from __future__ import annotations

import nbformat
import pytest
from graded_cells import answer_cell, graded_cell, result
from nbformat.v4 import new_notebook

from course_utils.grading.assignment import check

SOLVED = "x = None\n### BEGIN SOLUTION\nx = the_long_way_to_the_answer(42)\n### END SOLUTION"


def test_released_lines_are_the_lecturers_or_gaps():
    source = new_notebook(cells=[answer_cell(SOLVED)])
    good = new_notebook(cells=[answer_cell("x = None\n# YOUR CODE HERE")])
    assert check.stub_problems(source, good) == []
    changed = new_notebook(cells=[answer_cell("x = 1\n# YOUR CODE HERE")])
    assert "differ" in check.stub_problems(source, changed)[0]


def test_a_gap_without_a_solution_is_found():
    source = new_notebook(cells=[answer_cell("y = None\n" + SOLVED)])
    released = new_notebook(cells=[answer_cell("y = None\nx = None\n# YOUR CODE HERE")])
    assert "y is asked for" in check.stub_problems(source, released)[0]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (graded_cell("assert True"), "does not end in a hidden test"),
        (graded_cell("### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS"), "names no question"),
        (graded_cell(points=0), "has no points"),
        (graded_cell(outputs=[result(1.0)]), "has outputs"),
        (answer_cell("x = 1"), "marks no solution"),
        (graded_cell("because", answer=True), "has no rubric"),
    ],
)
def test_check_finds_what_is_wrong(tmp_path, cell, problem):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[cell]), folder / "a9.ipynb")
    assert any(problem in found for found in check.check(tmp_path, "a9"))
