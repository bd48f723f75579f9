"""One submission has one outcome: points of an earlier one never pass for its own.

Whatever ends the grading of a second submission, the gradebook, `autograded`, the feedback and the
report then hold nothing of the first one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nbgrading import (
    add_assignment,
    autograde,
    grade,
    hand_in,
    make_course,
    points,
    solved,
    value_cells,
)
from small_notebooks import wait_for

from course_utils.errors import AssignmentError
from course_utils.grading.class_grading import FAILED, GRADED, grade_class
from course_utils.grading.class_report import collect
from course_utils.grading.gradebook import open_gradebook, results
from course_utils.grading.sandbox import fork_server

pytestmark = pytest.mark.sandbox

NAME = "small"
FULL = {"first-test": 2.0, "second-test": 3.0}
# A step that fails for whoever is called eve, before or after the points are saved.
FAILS = """
from nbgrader.preprocessors.base import NbGraderPreprocessor


class Fails(NbGraderPreprocessor):
    def preprocess(self, nb, resources):
        if resources["nbgrader"]["student"] == "eve":
            raise {error}
        return nb, resources


c.Autograde.{step} = {order}
"""
IN_FIRST_PASS = ("sanitize_preprocessors", "[Fails, *c.Autograde.sanitize_preprocessors]")
AT_THE_END = ("autograde_preprocessors", "[*c.Autograde.autograde_preprocessors, Fails]")
SLOW = "import time\ntime.sleep(1000)\nsecond = 2"


@pytest.fixture(scope="module")
def graded_once(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("outcome") / "course")
    cells = [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    add_assignment(course, NAME, cells)
    for student in ("ada", "eve", "zoe"):
        hand_in(course, student, NAME, solved(course, NAME))
    grade(course, NAME)
    return course


@pytest.fixture
def course(graded_once, tmp_path):
    """A course with three graded submissions, and a second one of eve's."""
    place = shutil.copytree(graded_once, tmp_path / "course")
    hand_in_again(place, "second = 5")
    return place


def hand_in_again(course: Path, second: str) -> None:
    shutil.rmtree(course / "submitted" / "eve")
    hand_in(course, "eve", NAME, solved(course, NAME, {"second": second}))


def assert_nothing_is_left(course: Path) -> None:
    """Check that only the others have a result."""
    assert [result.student for result in results(course, NAME)] == ["ada", "zoe"]
    assert [result.score for result in collect(course, NAME).results] == [5, 5]
    assert not (course / "feedback" / "eve" / NAME).exists()
    assert not (course / "autograded" / "eve" / NAME / f"{NAME}.ipynb").exists()
    for student in ("ada", "zoe"):
        assert points(course, student, NAME) == FULL


@pytest.mark.parametrize(
    ("by", "step", "error"),
    [
        ("course", IN_FIRST_PASS, "RuntimeError('broken')"),
        ("course", AT_THE_END, "MemoryError()"),
        ("course", AT_THE_END, "SystemExit('broken')"),
        ("nbgrader", IN_FIRST_PASS, "RecursionError()"),
        ("nbgrader", AT_THE_END, "RuntimeError('broken')"),
    ],
    ids=["course-first", "course-end", "course-exit", "nbgrader-first", "nbgrader-end"],
)
def test_a_step_that_fails_leaves_no_points(course, by, step, error):
    config = course / "nbgrader_config.py"
    settings = FAILS.format(error=error, step=step[0], order=step[1])
    config.write_text(config.read_text() + settings)
    if by == "course":
        states = {outcome.student: outcome.state for outcome in grade_class(course, NAME)}
        assert states["eve"] == FAILED
    else:
        with pytest.raises(AssignmentError):
            autograde(course, NAME, again=True)
    assert_nothing_is_left(course)


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_an_interrupted_call_leaves_no_points_and_the_next_one_grades(course, by):
    hand_in_again(course, SLOW)
    module = ["course_utils.cli", "grade"] if by == "course" else ["nbgrader", "autograde"]
    options = [] if by == "course" else ["--force", "--student=eve"]
    running = subprocess.Popen(
        [sys.executable, "-m", *module, NAME, *options],
        cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: not (course / "feedback" / "eve" / NAME).exists())
    time.sleep(1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert_nothing_is_left(course)
    hand_in_again(course, "second = 5")
    if by == "course":
        grade_class(course, NAME)
    else:
        # Without `again`: an interrupted submission does not count as graded.
        autograde(course, NAME)
    assert points(course, "eve", NAME) == {"first-test": 2, "second-test": 0}


def test_a_program_that_is_killed_twice_leaves_no_points(course, monkeypatch):
    start = fork_server.ForkServer.start

    def start_and_kill(self, program, *arguments):
        pid = start(self, program, *arguments)
        if "examiner" in program:
            os.kill(pid, signal.SIGKILL)
        return pid

    with monkeypatch.context() as killing:
        killing.setattr(fork_server.ForkServer, "start", start_and_kill)
        (outcome,) = grade_class(course, NAME, only="eve")
    assert outcome.state == FAILED
    assert_nothing_is_left(course)
    assert [outcome.state for outcome in grade_class(course, NAME, only="eve")] == [GRADED]
    assert points(course, "eve", NAME) == {"first-test": 2, "second-test": 0}


@pytest.mark.parametrize("content", ["", "{", '{"cells": []}', "[" * 100_000, None])
def test_a_second_notebook_that_cannot_be_read_earns_nothing(course, content):
    path = course / "submitted" / "eve" / NAME / f"{NAME}.ipynb"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    (outcome,) = grade_class(course, NAME, only="eve")
    assert outcome.state == GRADED
    assert points(course, "eve", NAME) == dict.fromkeys(FULL, 0)
    page = (course / "feedback" / "eve" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "About your submission" in page


def test_what_the_lecturer_entered_stays_and_waits(course):
    with open_gradebook(course) as gradebook:
        saved = gradebook.find_grade("second-test", NAME, NAME, "eve")
        saved.manual_score = 1.5
        gradebook.db.commit()
    config = course / "nbgrader_config.py"
    settings = FAILS.format(error="RuntimeError()", step=AT_THE_END[0], order=AT_THE_END[1])
    config.write_text(config.read_text() + settings)
    (outcome,) = grade_class(course, NAME, only="eve")
    assert outcome.state == FAILED
    (result,) = (each for each in results(course, NAME) if each.student == "eve")
    assert (result.score, result.waiting) == (1.5, 2)
    assert points(course, "eve", NAME) == {"first-test": None, "second-test": None}
