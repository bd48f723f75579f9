"""Every assignment, graded by the real nbgrader: right, untouched and wrong submissions."""

from __future__ import annotations

import pytest
from nbgrading import ASSIGNMENTS, RIGHT, UNTOUCHED, errors, full_points, points, said

from course_utils.grading.assignment.check import check
from course_utils.grading.assignment.course import assignments, read_source
from course_utils.grading.assignment.leaks import leaks_in_folder, secrets
from course_utils.grading.assignment.questions import questions


def test_the_right_answers_earn_every_automatic_point(graded):
    course, assignment = graded.folder, graded.assignment
    full = full_points(course, assignment)
    assert full, "nothing is graded automatically"
    for student in graded.right:
        assert errors(course, student, assignment) == {}
        earned = points(course, student, assignment)
        assert {test: earned[test] for test in full} == full, student


def test_the_released_notebook_runs_without_an_error_and_earns_nothing(graded):
    assert errors(graded.folder, UNTOUCHED, graded.assignment) == {}
    earned = points(graded.folder, UNTOUCHED, graded.assignment)
    assert set(earned.values()) == {0.0}


def test_each_mistake_costs_what_it_should_and_is_told(graded):
    course, assignment = graded.folder, graded.assignment
    full = full_points(course, assignment)
    assert len(graded.wrong) >= 3
    for wrong in graded.wrong:
        assert wrong.earns, wrong.name
        earned = points(course, wrong.name, assignment)
        for test, reachable in full.items():
            # A network's noise ends within half a point of accuracy, a twentieth of the points.
            tolerance = 0.05 * reachable if test in wrong.earns else 0
            expected = pytest.approx(wrong.earns.get(test, reachable), abs=tolerance)
            what_was_said = said(course, wrong.name, assignment, test)
            assert earned[test] == expected, (wrong.name, test, what_was_said)
        for test, sentence in wrong.says.items():
            assert sentence in said(course, wrong.name, assignment, test), (wrong.name, test)


def test_the_visible_checks_pass_what_is_right_and_say_what_is_missing(graded):
    """While grading they print what they raise for a student: see test_round_trip for that."""
    tests = full_points(graded.folder, graded.assignment)
    right, untouched = (
        "\n".join(said(graded.folder, student, graded.assignment, test) for test in tests)
        for student in (RIGHT, UNTOUCHED)
    )
    assert "✗" not in right
    assert "✓" in right
    assert "Expected:" in untouched


def test_students_see_neither_solutions_nor_hidden_tests(graded):
    course, assignment = graded.folder, graded.assignment
    pieces = secrets(read_source(course, assignment))
    assert len(pieces) > 10
    assert leaks_in_folder(pieces, course / "release", (".ipynb",)) == {}
    assert leaks_in_folder(pieces, course / "feedback" / UNTOUCHED, (".html",)) == {}
    for page in (course / "feedback").rglob("*.html"):
        assert "HIDDEN TESTS" not in page.read_text()
        assert "MARK SCHEME" not in page.read_text()


@pytest.mark.parametrize("assignment", assignments(ASSIGNMENTS))
def test_the_lecturers_notebook_is_in_order(assignment):
    assert check(ASSIGNMENTS, assignment) == []
    asked = questions(ASSIGNMENTS, assignment)
    assert len({question.test for question in asked}) == len(asked)
    assert any(question.automatic for question in asked)
