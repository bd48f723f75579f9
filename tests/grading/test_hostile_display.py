"""Texts and outputs that would keep a program busy for hours that cleans or renders them.

The real nbgrader and `course grade` grade them beside honest submissions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from nbgrading import (
    add_assignment,
    grade_by_command,
    hand_in,
    make_course,
    points,
    solved,
    value_cells,
)

from course_utils.grading.assignment.course import nbgrader
from course_utils.grading.gradebook import read_graded, results
from course_utils.grading.nbgrader_steps.display import CANNOT_BE_SHOWN, FOR_STUDENT
from course_utils.grading.sandbox.limits import SHOW_SECONDS

pytestmark = pytest.mark.sandbox

NAME = "display"
HONEST = ("aaa-honest", "zzz-honest")
REPEATS = 40_000
DISPLAYS = "from IPython.display import display, HTML\ndisplay(HTML('<b>' * {}))"
HOSTILE = {
    "environment": new_markdown_cell("\\begin{a}" * REPEATS),
    "formula": new_markdown_cell("\\\\[" * REPEATS),
    "output": new_code_cell(DISPLAYS.format(REPEATS)),
    "raw": new_raw_cell("<b>" * REPEATS),
}


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """Return a course with honest and hostile submissions."""
    course = make_course(tmp_path_factory.mktemp("handed-in") / "course")
    add_assignment(course, NAME, value_cells("value", 7, points=2))
    for student in (*HONEST, *HOSTILE):
        notebook = solved(course, NAME)
        notebook.cells.append(new_markdown_cell("$$\\frac{a}{b}$$ is **good**."))
        if student in HOSTILE:
            notebook.cells.append(HOSTILE[student])
        hand_in(course, student, NAME, notebook)
    return course


@pytest.fixture(scope="module", params=["nbgrader", "course grade"])
def graded(request, handed_in, tmp_path_factory):
    """Return the course after it was graded with one of the two commands."""
    course = shutil.copytree(handed_in, tmp_path_factory.mktemp("graded") / "course")
    if request.param == "nbgrader":
        grade_by_command(course, NAME)
    else:
        command = [sys.executable, "-m", "course_utils.cli", "grade", NAME]
        subprocess.run(command, cwd=course, check=True)
    return course


def feedback(course, student):
    return (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("student", [*HONEST, *HOSTILE])
def test_everybody_keeps_the_points_and_gets_a_page(graded, student):
    assert points(graded, student, NAME) == {"value-test": 2}
    page = feedback(graded, student)
    assert "(Score: 2.0 / 2.0)" in page
    assert "is <strong>good</strong>." in page


@pytest.mark.parametrize("student", HOSTILE)
def test_both_are_told_what_is_not_shown(graded, student):
    page = feedback(graded, student)
    assert FOR_STUDENT in page
    assert CANNOT_BE_SHOWN in page
    (result,) = (each for each in results(graded, NAME) if each.student == student)
    assert any(note.startswith("Cannot be shown: cell ") for note in result.notes)


@pytest.mark.parametrize("student", HONEST)
def test_honest_students_are_told_nothing(graded, student):
    assert CANNOT_BE_SHOWN not in feedback(graded, student)
    (result,) = (each for each in results(graded, NAME) if each.student == student)
    assert result.notes == []


@pytest.mark.parametrize("student", [*HONEST, *HOSTILE])
def test_formgrader_can_show_every_notebook(graded, student):
    started = time.process_time()
    HTMLExporter(template_name="classic").from_notebook_node(read_graded(graded, student, NAME))
    assert time.process_time() - started < SHOW_SECONDS


def test_a_notebook_that_was_never_cleaned_costs_only_its_page(graded):
    path = graded / "autograded" / HONEST[1] / NAME / f"{NAME}.ipynb"
    notebook = read_graded(graded, HONEST[1], NAME)
    notebook.cells.append(HOSTILE["formula"])
    path.chmod(0o644)
    nbformat.write(notebook, path)
    said = nbgrader(graded, "generate_feedback", NAME, "--force", f"--student={HONEST[1]}")
    assert f"missing on the page, because it took more than {SHOW_SECONDS} seconds" in said
    page = feedback(graded, HONEST[1])
    assert "(Score: 2.0 / 2.0)" in page
    assert CANNOT_BE_SHOWN in page
    assert points(graded, HONEST[1], NAME) == {"value-test": 2}


def test_without_a_sandbox_no_page_is_rendered(graded, tmp_path):
    command = [sys.executable, "-m", "nbgrader", "generate_feedback", NAME, "--force"]
    without = os.environ | {"PATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=graded, env=without, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "install bubblewrap" in done.stderr
    assert "Traceback" not in done.stderr
    assert feedback(graded, HONEST[0])
