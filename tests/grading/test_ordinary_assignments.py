"""Ordinary nbgrader assignments, whose tests are assertions, earn what nbgrader gives."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from stock import EXAMPLES, Scores, hand_in_to, make_both, scores, stock_scores

from course_utils.grading.assignment.course import nbgrader
from course_utils.grading.class_grading import FAILED, grade_class

pytestmark = pytest.mark.sandbox

# Submissions: what students wrote instead of the lecturer's answers; None for nothing at all.
HALF = {
    "squares": "def squares(n):\n    return [i ** 2 for i in range(1, n + 1)]",
    "sum_of_squares": "def sum_of_squares(n):\n    return n * (n + 1) * (2 * n + 1) // 6",
    "sum_of_squares_application": "# YOUR CODE HERE",
}
STUDENTS = {"solved": {}, "untouched": None, "half": HALF}


@dataclass(frozen=True)
class Graded:
    """An assignment, graded in three ways.

    Attributes
    ----------
    course : Path
        Graded by ``course grade``.
    by_stock, by_course, by_nbgrader : dict of Scores
        The scores by student: of nbgrader alone, of ``course grade``, and of
        ``nbgrader autograde`` in the course.
    """

    course: Path
    by_stock: dict[str, Scores]
    by_course: dict[str, Scores]
    by_nbgrader: dict[str, Scores]


def grade_in_three_ways(folder: Path, source: Path, name: str, students: dict) -> Graded:
    course, stock = make_both(folder, source, name)
    for student, answers in students.items():
        hand_in_to((course, stock), student, name, answers)
    other = shutil.copytree(course, folder / "other")
    outcomes = grade_class(course, name)
    assert [outcome for outcome in outcomes if outcome.state == FAILED] == []
    nbgrader(other, "autograde", name)
    return Graded(
        course,
        stock_scores(stock, name, *students),
        *({student: scores(each, name, student) for student in students} for each in (course, other)),
    )


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    source = folder / "example"
    source.mkdir()
    for each in ("problem1.ipynb", "jupyter.png"):
        shutil.copy(EXAMPLES / "source" / "ps1" / each, source)
    return grade_in_three_ways(folder, source, "problem1", STUDENTS)


def test_one_notebook_of_nbgraders_example(problem):
    assert problem.by_stock["solved"]["problem1"]["correct_squares"] == (1, False)
    assert problem.by_course == problem.by_stock
    assert problem.by_nbgrader == problem.by_stock
