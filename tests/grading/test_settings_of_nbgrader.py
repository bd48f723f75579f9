"""nbgrader's settings count: folders, gradebook, groups, hooks. Its errors are sentences."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrading import (
    add_assignment,
    autograde,
    copy_of,
    hand_in,
    make_course,
    solved,
    value_cells,
)
from typer.testing import CliRunner, Result

from course_utils.cli import app
from course_utils.errors import CacheError
from course_utils.grading.assignment.course import (
    assignments,
    course_directory,
    nbgrader,
    released_path,
)
from course_utils.grading.class_grading import GRADED, UNCHANGED, grade_class
from course_utils.grading.database import advice_on
from course_utils.grading.gradebook import results
from course_utils.runtime import cache_dir

NAME = "small"
SETTINGS = """
c.CourseDirectory.db_url = "sqlite:///{gradebook}"
c.CourseDirectory.submitted_directory = "handed-in"
c.CourseDirectory.autograded_directory = "graded"
c.CourseDirectory.feedback_directory = "pages"
c.CourseDirectory.release_directory = "for-students"
c.CourseDirectory.source_directory = "mine"
c.CourseDirectory.directory_structure = "{{nbgrader_step}}/{{assignment_id}}/{{student_id}}"
c.CourseDirectory.student_id_exclude = "gone,left"
c.IncludeHeaderFooter.header = "mine/header.ipynb"
"""
GROUP = "c.CourseDirectory.groupshared = True\n"
HOOK = """
def tell(assignment, student, notebooks):
    with open("told.txt", "a") as file:
        file.write(f"{student} ")

c.Autograde.pre_convert_hook = tell
"""


@pytest.fixture(scope="module")
def ungraded(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("settings") / "course")
    add_assignment(course, NAME, value_cells("first", 1, points=2), GROUP + HOOK)
    hand_in(course, "ada", NAME, solved(course, NAME))
    return course


course = copy_of("ungraded")


@pytest.fixture
def arranged(course, tmp_path):
    """The same course, with other folders and another gradebook."""
    elsewhere = tmp_path / "elsewhere" / "points.db"
    elsewhere.parent.mkdir()
    with (course / "nbgrader_config.py").open("a") as config:
        config.write(SETTINGS.format(gradebook=elsewhere))
    (course / "gradebook.db").unlink()
    (course / "source" / NAME).rename(course / "source" / "here")
    (course / "mine" / NAME).mkdir(parents=True)
    (course / "source" / "here").rename(course / "mine" / NAME / ".")
    (course / "source" / "header.ipynb").rename(course / "mine" / "header.ipynb")
    for student in ("ada", "gone"):
        shutil.copytree(course / "submitted" / "ada" / NAME, course / "handed-in" / NAME / student)
    for folder in ("source", "submitted", "release"):
        shutil.rmtree(course / folder)
    nbgrader(course, "generate_assignment", NAME)
    return course, elsewhere


def command(course: Path, *words: str, **options) -> Result:
    """Call ``course`` in the folder of a course, without a process of its own.

    An exception that it does not turn into a sentence is one of the test.
    """
    with contextlib.chdir(course):
        return CliRunner().invoke(app, words, catch_exceptions=False, **options)


def program(course: Path, *words: str) -> subprocess.CompletedProcess:
    """Run a Python module as a program in the folder of a course."""
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=course, capture_output=True, text=True, check=False
    )


@pytest.mark.sandbox
@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_folders_gradebook_and_hook_are_those_of_the_settings(arranged, by):
    course, elsewhere = arranged
    if by == "course":
        assert {o.student: o.state for o in grade_class(course, NAME)} == {"ada": GRADED}
        assert {o.student: o.state for o in grade_class(course, NAME)} == {"ada": UNCHANGED}
        assert (course / "pages" / NAME / "ada" / f"{NAME}.html").is_file()
    else:
        nbgrader(course, "autograde", NAME)
    assert (course / "told.txt").read_text() == "ada "
    assert (course / "graded" / NAME / "ada" / f"{NAME}.ipynb").is_file()
    assert [(r.student, r.score) for r in results(course, NAME)] == [("ada", 2.0)]
    with Gradebook(f"sqlite:///{elsewhere}", "image-classification") as gradebook:
        assert [s.student_id for s in gradebook.assignment_submissions(NAME)] == ["ada"]
    assert not (course / "gradebook.db").exists()
    assert not (course / "autograded").exists()
    assert assignments(course) == [NAME]
    assert released_path(course, NAME).is_relative_to(course / "for-students")
    for words in (["assignment", "report", NAME], ["assignment", "check"]):
        done = command(course, *words)
        assert done.exit_code in (0, 1), done.output
        assert "no gradebook" not in done.output
    assert (course / "report" / f"{NAME}.html").is_file()


@pytest.mark.sandbox
def test_a_group_of_lecturers_may_write_what_is_written(course):
    before = os.umask(0o022)
    try:
        assert command(course, "grade", NAME).exit_code == 0
    finally:
        os.umask(before)
    written = [course / "autograded" / "ada" / NAME, course / "feedback" / "ada" / NAME,
               course / ".examined", course / ".examined" / "graded" / "ada"]  # fmt: skip
    for folder in written:
        assert folder.stat().st_mode & stat.S_IWGRP, folder
    assert (course / "autograded" / "ada" / NAME / f"{NAME}.ipynb").stat().st_mode & 0o777 == 0o664
    assert (course / ".examined" / "grading.lock").stat().st_mode & 0o777 == 0o666


@pytest.mark.process
def test_a_submission_in_the_wrong_place_is_named(course):
    (course / "submitted" / "ada" / NAME).rename(course / "submitted" / "ada" / "Small")
    done = program(course, "course_utils.cli", "grade", NAME)
    assert done.returncode == 2
    assert f"one in it that is called {NAME}: ada/Small/{NAME}.ipynb." in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.filterwarnings("ignore:Object of type")  # nbgrader's own
def test_what_nbgrader_refuses_is_one_sentence_with_advice(course):
    """A question is taken out of an assignment for which there are points already."""
    with Gradebook(course_directory(course).db_url) as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission(NAME, "ada")
    source = course / "source" / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells += value_cells("second", 2, points=3)
    for cell in notebook.cells:
        cell.metadata["course"] = {"question": "Q", "objective": "Computes a value."}
    nbformat.write(notebook, source)
    done = command(course, "assignment", "build", NAME)
    assert done.exit_code == 2
    assert "RuntimeError: Cannot add or remove cells" in done.stderr
    assert "To add one, make a new assignment of it" in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.sandbox
def test_a_student_who_is_not_in_the_list_is_named(course):
    config = course / "nbgrader_config.py"
    config.write_text(f"{config.read_text()}\nc.Autograde.create_student = False\n")
    (outcome,) = grade_class(course, NAME)
    assert outcome.reason.endswith("No student with ID 'ada' exists in the database")


@pytest.mark.sandbox
@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_a_student_can_have_any_name(course, by):
    """Read as patterns, some of these names would also mean others of them."""
    names = ("a*b", "a?b", "[a]", "a b", "李雷")
    for name in names:
        hand_in(course, name, NAME, solved(course, NAME))
    hand_in(course, "axb", NAME, solved(course, NAME, {"first": "first = 3"}))
    if by == "course":
        grade_class(course, NAME)
    else:
        autograde(course, NAME)
    found = {result.student: result.score for result in results(course, NAME)}
    assert found == dict.fromkeys(("ada", *names), 2.0) | {"axb": 0.0}


def lock(course):
    connection = sqlite3.connect(course / "gradebook.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def remove(course):
    (course / "gradebook.db").unlink()


def damage(course):
    (course / "gradebook.db").write_text("no database " * 1000)


def make_old(course):
    with sqlite3.connect(course / "gradebook.db") as connection:
        connection.execute("ALTER TABLE submitted_assignment DROP COLUMN extension")


def test_a_network_drive_without_locks_is_named():
    advice = advice_on("(sqlite3.OperationalError) locking protocol", CourseDirectory())
    assert advice.startswith("Move the gradebook to a local disk")


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lock, "Close the program that is writing to the gradebook"),
        (remove, "Release an assignment first"),
        (damage, "Restore the gradebook from a backup"),
        (make_old, "Copy the gradebook, and then call `nbgrader db upgrade`"),
    ],
)
@pytest.mark.parametrize("words", [["grade", NAME], ["assignment", "report", NAME]])
def test_a_gradebook_that_cannot_be_used_is_one_sentence(course, change, advice, words):
    kept = change(course)
    start = time.monotonic()
    done = command(course, *words)
    assert time.monotonic() - start < 60
    said = done.output
    assert done.exit_code == 2, said
    assert f"Error: {advice}" in said
    assert "graded yet" not in said
    assert len(said.strip().splitlines()) == 1
    assert kept or (course / "gradebook.db").exists() is (change is not remove)


@pytest.mark.process
@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_gradebook_that_may_only_be_read_is_one_sentence(course):
    (course / "gradebook.db").chmod(0o444)
    done = command(course, "grade", NAME)
    assert "Error: Ask the owner of the gradebook" in done.output


@pytest.mark.process
@pytest.mark.parametrize("name", ["Kurs [WS 26]", "what?", "a*"])
def test_a_folder_that_nbgrader_cannot_deal_with_is_one_sentence(course, name):
    place = course.rename(course.with_name(name))
    before = sorted(place.parent.rglob("*"))
    for words in (["grade", NAME], ["assignment", "report", NAME], ["assignment", "check"]):
        done = command(place, *words)
        assert done.exit_code == 2
        assert "Error: Rename the folder of the course" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    done = program(place, "nbgrader", "autograde", NAME)
    assert "Rename the folder of the course" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(place.parent.rglob("*")) == before


def test_settings_are_read_from_the_course(course):
    assert course_directory(course).groupshared is True
    assert course_directory(course).root == str(course)


@pytest.mark.process
@pytest.mark.parametrize("folder", ["/proc/no-such-folder", "/dev/null/cache"])
def test_a_cache_that_cannot_be_written_is_one_sentence(course, folder):
    done = command(course, "grade", NAME, env={"COURSE_CACHE": folder})
    assert done.exit_code == 2
    assert "COURSE_CACHE" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_a_home_one_sentence_names_the_variable(monkeypatch):
    def no_home(name):
        raise RuntimeError

    monkeypatch.delenv("COURSE_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    with pytest.raises(CacheError, match="Set COURSE_CACHE to a folder"):
        cache_dir()
