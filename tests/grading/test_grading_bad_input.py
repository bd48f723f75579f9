"""Submissions that are not as they should be, graded by the real nbgrader beside good ones.

Each is graded as far as it can be, with a sentence for the student and one for the lecturer, and
none stops the others.
"""

from __future__ import annotations

import re
import shutil

import pytest
from nbgrading import (
    ASSIGNMENTS,
    DAMAGED,
    RIGHT,
    UNTOUCHED,
    add_assignment,
    full_points,
    grade,
    grade_id,
    hand_in,
    is_test,
    make_course,
    points,
    said,
    solved,
    value_cells,
)

from course_utils.grading.assignment.course import read_source

# Such tests load what was handed in.
USES_FILES = re.compile(r"grade\.network|grade\.claim|load_trained|test_accuracy|read_json|a\d-")


def feedback(course, student, assignment):
    return (course / "feedback" / student / assignment / f"{assignment}.html").read_text()


def notes(results, student):
    return " ".join(next(r for r in results if r.student == student).notes)


def test_every_submission_is_in_the_gradebook(graded):
    handed_in = {*graded.right, UNTOUCHED, *DAMAGED, *(wrong.name for wrong in graded.wrong)}
    assert {result.student for result in graded.results} == handed_in
    for student in handed_in:
        assert feedback(graded.folder, student, graded.assignment)


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ("no-notebook", "was not handed in"),
        ("cut-notebook", "cannot be read"),
        ("another-assignment", "is it another one?"),
    ],
)
def test_what_cannot_be_graded_earns_nothing_and_says_why(graded, student, sentence):
    course, assignment = graded.folder, graded.assignment
    assert set(points(course, student, assignment).values()) == {0.0}
    assert sentence in feedback(course, student, assignment)
    assert sentence in notes(graded.results, student)


def test_moved_cells_cost_nothing_and_bad_files_what_needs_them(graded):
    course, assignment = graded.folder, graded.assignment
    full = full_points(course, assignment)
    earned = points(course, "mixed-up", assignment)
    source = {grade_id(c): c.source for c in read_source(course, assignment).cells if is_test(c)}
    independent = [test for test in full if not USES_FILES.search(source[test])]
    assert {test: earned[test] for test in independent} == {t: full[t] for t in independent}
    assert sum(earned[test] for test in full) < sum(full.values())
    assert next(r for r in graded.results if r.student == "mixed-up").waiting > 0


def test_both_are_told_what_was_wrong(graded):
    course, assignment = graded.folder, graded.assignment
    told, text = notes(graded.results, "mixed-up"), feedback(course, "mixed-up", assignment)
    assert "not as" in told
    for changed in graded.mixed_up:
        assert changed in told
    assert "my-own-name" in text
    networks = list((ASSIGNMENTS / "solutions" / assignment).glob("*.keras"))
    for _, sentence in zip(networks, ("is damaged", "is missing", "belongs to the question")):
        assert sentence in text


ENDLESS = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    pass
"""
GIGABYTE = "for _ in range(10**9 // 100): print('x' * 99)"
EXIT = "import os; os._exit(0)"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A small assignment, and submissions that have to be stopped, beside a good one."""
    course = make_course(tmp_path_factory.mktemp("course") / "course")
    name = "small"
    cells = [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    add_assignment(course, name, cells, "c.Examine.total_timeout = 40\n")
    hand_in(course, RIGHT, name, solved(course, name))
    for student, source in {"endless": ENDLESS, "gigabyte": GIGABYTE, "exit": EXIT}.items():
        hand_in(course, student, name, solved(course, name, {"second": source + "\n\nsecond = 2"}))
    shutil.copytree(course / "submitted" / RIGHT, course / "submitted" / "zoe")
    return course, name, grade(course, name)


@pytest.mark.process
def test_a_program_that_must_be_stopped_stops_nobody_else(stopped):
    course, name, results = stopped
    assert len(results) == 5
    assert points(course, RIGHT, name) == {"first-test": 2, "second-test": 3}
    assert points(course, "zoe", name) == {"first-test": 2, "second-test": 3}


@pytest.mark.process
@pytest.mark.parametrize(
    ("student", "for_lecturer", "for_student"),
    [
        ("endless", "Stopped: a cell that did not end", "all of them for 40"),
        ("gigabyte", "Endless output", "printed more than"),
        ("exit", "The kernel ended", "ended before its last cell"),
    ],
)
def test_what_ran_before_is_graded_and_both_are_told(stopped, student, for_lecturer, for_student):
    course, name, results = stopped
    assert points(course, student, name)["first-test"] == 2
    assert for_lecturer in notes(results, student)
    assert for_student in feedback(course, student, name)
    assert len(feedback(course, student, name)) < 3_000_000


@pytest.mark.process
def test_a_test_that_never_ran_earns_nothing(stopped):
    course, name, _ = stopped
    assert points(course, "endless", name)["second-test"] == 0
    assert "could not be carried out" in said(course, "endless", name, "second-test")
