"""A mark of a region is any line with its words, as for nbgrader, whatever else is in it."""

from __future__ import annotations

import nbformat
import pytest
from graded_cells import graded_cell
from nbformat.v4 import new_markdown_cell, new_notebook
from nbgrading import add_assignment, hand_in, make_course, new_cell, points, read_released, solved

from course_utils.grading.assignment import leaks
from course_utils.grading.assignment.cells import SECRETS
from course_utils.grading.assignment.check import check
from course_utils.grading.class_grading import grade_class
from course_utils.grading.gradebook import read_graded

MARKS = ("### {}", "# {}", "###{}  ", "    ### {}", "### {} (do not remove)", "{}")
LONG = "a_secret_line_of_the_lecturer_that_nobody_else_writes = 'for this test'"


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("kind", ["SOLUTION", "HIDDEN TESTS", "MARK SCHEME"])
def test_a_region_ends_where_nbgrader_ends_it(mark, kind):
    begin, end = mark.format(f"BEGIN {kind}"), mark.format(f"END {kind}")
    source = f"shown = 1\n{begin}\nhidden = 2\n{end}\nshown += 1"
    assert SECRETS.sub("", source) == "shown = 1\nshown += 1"
    assert [each["text"] for each in SECRETS.finditer(source)] == ["hidden = 2\n"]


@pytest.mark.parametrize("mark", MARKS)
def test_a_region_is_secret_whatever_its_marks_are(mark):
    begin, end = mark.format("BEGIN HIDDEN TESTS"), mark.format("END HIDDEN TESTS")
    source = new_notebook(cells=[graded_cell(f"{begin}\n{LONG}\n{end}")])
    pieces = leaks.secrets(source)
    assert leaks.leaks(pieces, f"<pre>{LONG}</pre>") == [LONG.replace(" ", "")]


@pytest.mark.parametrize("kind", ["SOLUTION", "HIDDEN TESTS", "MARK SCHEME"])
def test_a_mark_without_an_end_is_found(tmp_path, kind):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    cell = graded_cell(f"x = 1\n# BEGIN {kind}\nx = 2")
    cell.id = "here"
    nbformat.write(new_notebook(cells=[cell]), folder / "a9.ipynb")
    assert f"a9: here: BEGIN {kind} has no END {kind}" in check(tmp_path, "a9")


@pytest.mark.sandbox
def test_pictures_of_solutions_and_mark_schemes_stay_with_the_lecturer(tmp_path):
    pictures = {"task 1.png": {"image/png": "dGFzaw=="}, "it.png": {"image/png": "c2VjcmV0"}}
    cells = []
    for name, kind in {"answer": "SOLUTION", "task": "MARK SCHEME"}.items():
        source = f"![](attachment:task%201.png)\n### BEGIN {kind}\n![](attachment:it.png)\n"
        about = new_cell(name, "", answer=name == "answer", points=1).metadata
        about.nbgrader |= {"task": True, "grade": False} if name == "task" else {}
        cells.append(new_markdown_cell(f"{source}### END {kind}", id=name, metadata=about))
        cells[-1].attachments = pictures
    course = make_course(tmp_path / "course")
    add_assignment(course, "a9", cells)
    given = {cell.get("id"): cell for cell in read_released(course, "a9").cells}
    for name in ("answer", "task"):
        assert set(given[name].attachments) == {"task 1.png"}
        assert "it.png" not in given[name].source
    hand_in(course, "ada", "a9")
    grade_class(course, "a9")
    graded = {cell.get("id"): cell for cell in read_graded(course, "ada", "a9").cells}
    assert graded["task"].attachments == pictures
    assert "c2VjcmV0" not in str(graded["answer"])


@pytest.mark.sandbox
def test_hidden_tests_between_other_marks_are_released_and_graded(tmp_path):
    """Without their tests, the cells are empty, so nothing but their ids says what they are."""
    course = make_course(tmp_path / "course")
    cells = []
    for name, mark in zip(("first", "second"), ("# {}", "###{}  "), strict=True):
        begin, end = mark.format("BEGIN HIDDEN TESTS"), mark.format("END HIDDEN TESTS")
        solution = f"{name} = None\n# BEGIN SOLUTION\n{name} = 1\n# END SOLUTION"
        cells.append(new_cell(name, solution, answer=True))
        cells.append(new_cell(f"{name}-test", f"{begin}\nassert {name} == 1\n{end}", points=2))
    add_assignment(course, "a9", cells)
    assert "assert" not in nbformat.writes(read_released(course, "a9"))
    hand_in(course, "ada", "a9", solved(course, "a9"))
    hand_in(course, "eve", "a9")
    grade_class(course, "a9")
    assert points(course, "ada", "a9") == {"first-test": 2.0, "second-test": 2.0}
    assert points(course, "eve", "a9") == {"first-test": 0.0, "second-test": 0.0}
