"""Unchanged means that nothing has changed on which a score, or the page with it, depends."""

from __future__ import annotations

import datetime
import gc
import os
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook
from nbgrading import add_assignment, hand_in, make_course, solved, value_cells

from course_utils.grading.assignment.course import course_directory, read_settings, source_path
from course_utils.grading.class_grading import GRADED, RENEWED, UNCHANGED, grade_class
from course_utils.grading.database import differences_from_release, open_gradebook
from course_utils.grading.examine import store
from course_utils.grading.gradebook import graded_paths, nbgrader_api, results

pytestmark = pytest.mark.sandbox

NAME = "small"
DUE = datetime.datetime(2027, 3, 14, 18, 0)
LATE = "2027-03-14 19:00:00 UTC"
HALF_A_DAY = "\nc.PerDay.fraction = 0.5\n"
PLUG_IN = """
from nbgrader.plugins import LateSubmissionPlugin

class Flat(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return {points}

c.AssignLatePenalties.plugin_class = Flat
"""


@pytest.fixture(scope="module")
def graded_once(tmp_path_factory):
    """A course with a late submission and one in time, graded."""
    course = make_course(tmp_path_factory.mktemp("unchanged") / "course")
    cells = [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    add_assignment(course, NAME, cells)
    set_due(course, DUE)
    for student, stamp in {"ada": LATE, "zoe": "2027-03-14 17:00:00 UTC"}.items():
        folder = hand_in(course, student, NAME, solved(course, NAME))
        (folder / "timestamp.txt").write_text(stamp)
    assert states(course) == {"ada": GRADED, "zoe": GRADED}
    assert scores(course) == {"ada": 4.5, "zoe": 5.0}
    assert states(course) == {"ada": UNCHANGED, "zoe": UNCHANGED}
    return course


@pytest.fixture
def course(graded_once, tmp_path, monkeypatch):
    # Whatever changes here, no program of a student has to run again for it.
    monkeypatch.setattr(store, "examine", None)
    return shutil.copytree(graded_once, tmp_path / "course")


def states(course: Path) -> dict[str, str]:
    return {outcome.student: outcome.state for outcome in grade_class(course, NAME)}


def scores(course: Path) -> dict[str, float]:
    return {result.student: result.score for result in results(course, NAME)}


def set_due(course: Path, due: datetime.datetime) -> None:
    coursedir = course_directory(course)
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        gradebook.update_or_create_assignment(NAME, duedate=due)


def configure(course: Path, settings: str) -> None:
    with (course / "nbgrader_config.py").open("a") as config:
        config.write(settings)


def assert_becomes(course: Path, changed: set[str], ada: float) -> None:
    """Check which submissions are graded, the score of the late one, and that it then stays."""
    expected = {name: GRADED if name in changed else UNCHANGED for name in ("ada", "zoe")}
    assert states(course) == expected
    assert scores(course) == {"ada": ada, "zoe": 5.0}
    assert set(states(course).values()) == {UNCHANGED}


def test_the_due_date_moves(course):
    set_due(course, DUE + datetime.timedelta(days=1))
    assert_becomes(course, {"ada", "zoe"}, 5.0)
    set_due(course, DUE - datetime.timedelta(hours=0))
    assert_becomes(course, {"ada", "zoe"}, 4.5)


def test_an_extension_is_given_and_stays(course):
    with open_gradebook(course) as gradebook:
        gradebook.grant_extension(NAME, "ada", hours=2)
    assert_becomes(course, {"ada"}, 5.0)
    # Grading again removes no extension.
    graded_paths(course_directory(course), "ada", NAME)[0].unlink()
    assert_becomes(course, {"ada"}, 5.0)


def test_the_time_of_a_submission_is_corrected(course):
    (course / "submitted" / "ada" / NAME / "timestamp.txt").write_text("2027-03-14 19:00:00 +0200")
    assert_becomes(course, {"ada"}, 5.0)


def test_the_policy_for_late_work_changes(course):
    configure(course, HALF_A_DAY)
    assert_becomes(course, {"ada", "zoe"}, 2.5)


def test_another_plug_in_decides(course):
    configure(course, PLUG_IN.format(points=1))
    assert_becomes(course, {"ada", "zoe"}, 4.0)


def test_the_program_of_the_plug_in_changes(course):
    configure(course, PLUG_IN.format(points=1))
    states(course)
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text().replace("return 1", "return 2"))
    assert_becomes(course, {"ada", "zoe"}, 3.0)


@pytest.mark.parametrize("step", ["autograded", "feedback"])
def test_a_result_that_is_missing_is_made_again(course, step):
    shutil.rmtree(course / step / "ada")
    assert states(course) == {"ada": GRADED if step == "autograded" else RENEWED, "zoe": UNCHANGED}
    assert scores(course) == {"ada": 4.5, "zoe": 5.0}
    assert list((course / step / "ada" / NAME).glob(f"{NAME}.*"))
    assert set(states(course).values()) == {UNCHANGED}


def test_points_that_another_program_changed_are_written_again(course):
    with open_gradebook(course) as gradebook:
        gradebook.find_grade("first-test", NAME, NAME, "ada").auto_score = 0
        gradebook.db.commit()
    assert_becomes(course, {"ada"}, 4.5)


def test_what_the_lecturer_enters_reaches_the_feedback(course):
    with open_gradebook(course) as gradebook:
        saved = gradebook.find_grade("first-test", NAME, NAME, "ada")
        saved.manual_score, saved.needs_manual_grade = 1.0, False
        gradebook.find_comment("first", NAME, NAME, "ada").manual_comment = "Well thought."
        gradebook.db.commit()
    assert states(course) == {"ada": RENEWED, "zoe": UNCHANGED}
    page = course / "feedback" / "ada" / NAME / f"{NAME}.html"
    assert "Well thought." in page.read_text(encoding="utf-8")
    (ada, _) = results(course, NAME)
    # The penalty is that of the points before, as in nbgrader, and nothing waits again.
    assert (ada.score, ada.waiting) == (3.5, 0)
    assert set(states(course).values()) == {UNCHANGED}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # those of nbgrader
def test_formgrader_releases_the_course_when_a_submission_is_graded(graded_once, tmp_path):
    """It goes on running, so nothing may depend on when Python removes what is not used."""
    course = shutil.copytree(graded_once, tmp_path / "course")
    formgrader = nbgrader_api(read_settings(course))
    gc.disable()
    try:
        said = formgrader.autograde(NAME, "ada")
        with FileLock(course / ".examined" / "grading.lock", timeout=0, is_singleton=False):
            assert said["success"], said
    finally:
        gc.enable()
    assert scores(course) == {"ada": 4.5, "zoe": 5.0}


def test_a_picture_belongs_to_the_student_who_attached_it(graded_once, tmp_path):
    """Programs give pasted pictures the same name, so the texts of cells are often equal."""
    course = shutil.copytree(graded_once, tmp_path / "course")

    def attach(student: str, picture: bytes) -> None:
        path = course / "submitted" / student / NAME / f"{NAME}.ipynb"
        notebook = solved(course, NAME)
        shown = {"image.png": {"image/png": b64encode(picture).decode()}}
        text = "![a plot](attachment:image.png)"
        notebook.cells.append(new_markdown_cell(text, id="plot", attachments=shown))
        nbformat.write(notebook, path)

    def pictures(student: str) -> set[bytes]:
        (path,) = graded_paths(course_directory(course), student, NAME)
        page = course / "feedback" / student / NAME / f"{NAME}.html"
        texts = path.read_text("utf-8") + page.read_text("utf-8")
        return {
            each for each in (b"first", b"second", b"third") if b64encode(each).decode() in texts
        }

    attach("ada", b"first")
    attach("zoe", b"second")
    assert states(course) == {"ada": GRADED, "zoe": GRADED}
    assert (pictures("ada"), pictures("zoe")) == ({b"first"}, {b"second"})
    attach("ada", b"third")
    assert states(course) == {"ada": GRADED, "zoe": UNCHANGED}
    assert pictures("ada") == {b"third"}


def test_source_and_release_that_differ_are_named(course):
    assert differences_from_release(course, NAME) == []
    path = source_path(course, NAME)
    path.write_text(path.read_text().replace("first, 1)", "first, 1, hint='look again')"))
    assert differences_from_release(course, NAME) == ["first-test"]
    done = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "grade", NAME],
        cwd=course, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "first-test" in done.stdout
    assert f"course assignment build {NAME}" in done.stdout


def test_a_second_call_waits_and_says_so(course):
    command = [sys.executable, "-u", "-m", "course_utils.cli", "grade", NAME]
    with FileLock(course / ".examined" / "grading.lock"):
        waiting = subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, text=True)
        first = waiting.stdout.readline()
        assert "Another call grades in this course" in first
        time.sleep(1)
        assert waiting.poll() is None
    rest, _ = waiting.communicate(timeout=300)
    assert waiting.returncode == 0
    assert "2 unchanged" in rest


def test_plain_nbgrader_waits_too(course):
    command = [sys.executable, "-m", "nbgrader", "autograde", NAME, "--force"]
    (course / ".examined" / "received-by-a-call-that-was-killed").mkdir()
    with FileLock(course / ".examined" / "grading.lock"):
        waiting = subprocess.Popen(command, cwd=course, stderr=subprocess.PIPE, text=True)
        said = iter(waiting.stderr.readline, "")
        assert any("Another call grades in this course" in line for line in said)
        time.sleep(1)
        assert waiting.poll() is None
    waiting.communicate(timeout=300)
    assert waiting.returncode == 0
    assert not list((course / ".examined").glob("received-*"))


def test_two_calls_at_once_lose_nothing(course):
    set_due(course, DUE + datetime.timedelta(days=1))
    command = [sys.executable, "-m", "course_utils.cli", "grade", NAME]
    both = [
        subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [each.communicate(timeout=600)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sorted("2 graded" in text for text in said) == [False, True]
    assert scores(course) == {"ada": 5.0, "zoe": 5.0}
    assert not [name for name in os.listdir(course / ".examined") if name.startswith("received")]
