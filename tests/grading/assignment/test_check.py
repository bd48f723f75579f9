"""Mistakes in a lecturer's notebook."""

from __future__ import annotations

import nbformat
import pytest
from graded_cells import answer_cell, graded_cell, result
from nbformat.v4 import new_markdown_cell, new_notebook

from course_utils.grading.assignment import check
from course_utils.grading.assignment.cells import has_autotest

TASK = {"grade_id": "t", "grade": False, "solution": False, "locked": True, "task": True,
        "points": 4, "schema_version": 3}  # fmt: skip
SHOWN_GRADE = "from course_utils.grading import grade\ngrade.holds('a test', True)"
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
        (graded_cell(SHOWN_GRADE), "does not end in a hidden test"),
        (graded_cell("### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS"), "names no question"),
        (graded_cell(points=0), "has no points"),
        (graded_cell(outputs=[result(1.0)]), "has outputs"),
        (answer_cell("x = 1", course={}), "marks no solution"),
        (graded_cell("because", answer=True), "has no rubric"),
    ],
)
def test_check_finds_what_is_wrong(tmp_path, cell, problem):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[cell]), folder / "a9.ipynb")
    assert any(problem in found for found in check.check(tmp_path, "a9"))


def write_source(course, *cells, kernel=None, name="a9"):
    folder = course / "source" / "a9"
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"kernelspec": kernel} if kernel else {}
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), folder / f"{name}.ipynb")


def ordinary_cell(source, **about):
    cell = graded_cell(source, **about)
    del cell.metadata["course"]
    return cell


def without_points(cell):
    del cell.metadata.nbgrader["points"]
    return cell


def test_what_nbgrader_allows_is_no_mistake(tmp_path):
    """Without metadata of the course's and without a `Grade`, its rules do not apply."""
    task = new_markdown_cell("Do it.", metadata={"nbgrader": TASK})
    cells = [ordinary_cell("assert 1"), ordinary_cell("", grade_id="b", points=0), task]
    by_hand = ordinary_cell("x = 1", grade_id="c", answer=True)
    write_source(tmp_path, *cells, by_hand, answer_cell("y = 1"))
    assert check.check(tmp_path, "a9") == []


@pytest.mark.parametrize(
    ("cells", "kernel", "sentence"),
    [
        (
            [ordinary_cell("stopifnot(x)")],
            {"name": "ir", "display_name": "R", "language": "R"},
            "is written in R",
        ),
        ([ordinary_cell("1"), ordinary_cell("2")], None, "q: two cells have this id"),
        ([ordinary_cell("1", points=-1)], None, "q: -1 is no number of points"),
        ([without_points(ordinary_cell("1"))], None, "q: is graded, but has no number of points"),
        ([ordinary_cell(f"%pwd\n{SHOWN_GRADE}")], None, "q: returns a Grade, so it runs outside"),
        ([ordinary_cell("### AUTOTEST x")], None, "needs autotests.yml"),
        (
            [ordinary_cell("1"), answer_cell("# AUTOTEST x")],
            None,
            "has an AUTOTEST, but is no test",
        ),
        ([new_markdown_cell("nothing")], None, "no cell is graded"),
        ([ordinary_cell("1", grade_id="Frage 1 ä")], None, "Frage 1 ä: an id may only have"),
    ],
)
def test_what_cannot_be_graded_is_refused(tmp_path, cells, kernel, sentence):
    write_source(tmp_path, *cells, kernel=kernel)
    assert any(sentence in problem for problem in check.check(tmp_path, "a9"))


def test_a_release_that_is_out_of_date_is_no_mistake_of_the_source(tmp_path):
    """It is to be built again, so it must not stop that."""
    graded = graded_cell(SHOWN_GRADE.join(("### BEGIN HIDDEN TESTS\n", "\n### END HIDDEN TESTS")))
    write_source(tmp_path, answer_cell(SOLVED), graded)
    old = new_notebook(cells=[answer_cell("y = None\n# YOUR CODE HERE")])
    released = tmp_path / "release" / "a9" / "a9.ipynb"
    released.parent.mkdir(parents=True)
    nbformat.write(old, released)
    (mistake,) = check.check_release(tmp_path, "a9")
    assert "released lines differ" in mistake
    assert mistake not in check.check_source(tmp_path, "a9")
    assert check.check(tmp_path, "a9") == [*check.check_source(tmp_path, "a9"), mistake]


@pytest.mark.parametrize(
    ("cell", "is_autotest"),
    [
        (ordinary_cell("x\n  ### HASHED AUTOTEST x"), True),
        (ordinary_cell("print('# AUTOTEST')"), False),
        (new_markdown_cell("# AUTOTEST x"), False),
    ],
)
def test_autotests_are_comments_of_code(cell, is_autotest):
    assert has_autotest(cell) is is_autotest


def test_a_copy_of_a_draft_is_no_second_notebook(tmp_path):
    write_source(tmp_path, ordinary_cell("assert 1"))
    assert check.check(tmp_path, "a9") == []
    write_source(tmp_path, ordinary_cell("assert 1"), new_markdown_cell("new"), name="a9-Copy1")
    assert check.check(tmp_path, "a9") == [
        "a9: a9 and a9-Copy1 have the same graded cells, and both are part of the assignment: move "
        "the one that is a copy to another folder"
    ]
    write_source(tmp_path, ordinary_cell("assert 2"), name="a9-Copy1")
    assert check.check(tmp_path, "a9") == []


def test_a_name_that_nbgrader_refuses_is_found(tmp_path):
    folder = tmp_path / "source" / "a+b"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[ordinary_cell("1")]), folder / "a+b.ipynb")
    assert [problem for problem in check.check(tmp_path, "a+b") if "a + in its name" in problem]


def test_a_problem_names_its_notebook_if_there_are_several(tmp_path):
    write_source(tmp_path, ordinary_cell("1", points=-1), name="one")
    write_source(tmp_path, ordinary_cell("1"), name="two")
    assert check.check(tmp_path, "a9") == ["a9: one: q: -1 is no number of points"]
