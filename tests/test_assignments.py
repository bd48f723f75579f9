"""Every assignment, graded by the real nbgrader: right, untouched and wrong submissions."""

from __future__ import annotations

import importlib
import time

import pytest
from nbgrading import (
    ASSIGNMENTS,
    RIGHT,
    errors,
    full_points,
    hand_in,
    hand_in_wrong,
    make_course,
    points,
    said,
    solved,
)

from course_utils.grading import course as grading
from course_utils.grading.questions import assignments, questions, read_source
from course_utils.grading.scan import leaks_in_folder, read_released, secrets

NAMES = assignments(ASSIGNMENTS)
UNTOUCHED = "untouched"


def wrong_submissions(assignment):
    module = assignment.replace("-", "_")
    return importlib.import_module(f"wrong_submissions.{module}").wrong


@pytest.fixture(scope="module", params=NAMES)
def graded(request, tmp_path_factory, cifar10):
    """A course in which a right, an untouched and several wrong submissions were graded."""
    assignment = request.param
    course = make_course(tmp_path_factory.mktemp("course") / "course", assignment)
    hand_in(course, RIGHT, assignment, solved(course, assignment))
    hand_in(course, UNTOUCHED, assignment, files=False)
    wrong = wrong_submissions(assignment)(cifar10)
    for each in wrong:
        hand_in_wrong(course, assignment, each)
    start = time.perf_counter()
    results = grading.grade(course, assignment)
    print(f"{assignment}: {(time.perf_counter() - start) / len(results):.1f} s a submission")
    return course, assignment, {each.name: each for each in wrong}


def test_the_right_answers_earn_every_automatic_point(graded):
    course, assignment, _ = graded
    assert errors(course, RIGHT, assignment) == {}
    earned = points(course, RIGHT, assignment)
    full = full_points(course, assignment)
    assert {test: earned[test] for test in full} == full
    assert full, "nothing is graded automatically"


def test_the_released_notebook_runs_without_an_error_and_earns_nothing(graded):
    course, assignment, _ = graded
    assert errors(course, UNTOUCHED, assignment) == {}
    assert set(points(course, UNTOUCHED, assignment).values()) == {0.0}


def test_each_mistake_costs_what_it_should_and_is_told(graded):
    course, assignment, wrong = graded
    assert len(wrong) >= 3
    full = full_points(course, assignment)
    for name, mistake in wrong.items():
        assert mistake.earns, name
        earned = points(course, name, assignment)
        expected = full | dict(mistake.earns)
        seen = {test: earned[test] for test in full}
        assert seen == pytest.approx(expected, abs=0.26), f"{assignment}, {name}"
        assert seen.keys() >= mistake.earns.keys()
        for test, reached in seen.items():
            assert test in mistake.earns or reached == full[test], (name, test)
        for test, sentence in mistake.says.items():
            assert sentence in said(course, name, assignment, test), (name, test)


def test_students_see_neither_solutions_nor_hidden_tests(graded):
    course, assignment, _ = graded
    source, released = read_source(course, assignment), read_released(course, assignment)
    pieces = secrets(source, released)
    assert len(pieces) > 10
    assert leaks_in_folder(pieces, course / "release", (".ipynb",)) == {}
    assert leaks_in_folder(pieces, course / "feedback" / UNTOUCHED, (".html",)) == {}
    hidden = [cell.source.split(grading.BEGIN_HIDDEN)[1] for cell in source.cells
              if grading.BEGIN_HIDDEN in cell.source]  # fmt: skip
    for page in (course / "feedback").rglob("*.html"):
        assert "HIDDEN TESTS" not in page.read_text()
        assert "grade.together(" not in page.read_text()
    assert hidden


@pytest.mark.parametrize("assignment", NAMES)
def test_the_lecturers_notebook_is_in_order(assignment):
    assert grading.check(ASSIGNMENTS, assignment) == []
    asked = questions(ASSIGNMENTS, assignment)
    assert all(q.points > 0 and q.objective and q.name for q in asked)
    assert len({q.test for q in asked}) == len(asked)
    assert any(q.automatic for q in asked)
