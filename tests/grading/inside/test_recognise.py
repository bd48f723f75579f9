"""Which cell of a submission is which cell of the assignment."""

from __future__ import annotations

import copy

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_utils.grading.inside.recognise import recognise
from course_utils.grading.nbgrader_steps.repair import without_secrets

HIDDEN = "assert x\n# BEGIN HIDDEN TESTS\nassert x == 1\n# END HIDDEN TESTS"


def cell(make, name, source, *, answer=False, grade=False):
    about = {"grade_id": name, "solution": answer, "grade": grade, "locked": not answer}
    return make(source, id=name, metadata={"nbgrader": about})


SOURCE = [
    new_markdown_cell("# Task"),
    cell(new_code_cell, "x", "x = None", answer=True),
    cell(new_code_cell, "x-test", HIDDEN, grade=True),
    new_markdown_cell("Why?"),
    cell(new_markdown_cell, "why", "YOUR ANSWER HERE", answer=True, grade=True),
    cell(new_code_cell, "empty", "", grade=True),
]
EXPECTED = {c.metadata.nbgrader.grade_id: c for c in SOURCE if "nbgrader" in c.metadata}
ASSIGNMENT = without_secrets(SOURCE)


def submitted(*without, header=0):
    """The cells of a right submission; these, or all of them, have lost their metadata."""
    cells = copy.deepcopy(SOURCE)
    for place, text in ((1, "x = None\nx = 1"), (2, "assert x"), (4, "Because.")):
        cells[place].source = text
    for each in cells:
        if not without or each.id in without:
            each.metadata.pop("nbgrader", None)
    return [new_code_cell("import keras") for _ in range(header)] + cells


def found(cells):
    return recognise(cells, ASSIGNMENT)


@pytest.mark.parametrize("header", [0, 2])
def test_all_cells_are_found_without_their_ids(header):
    there = found(submitted(header=header))
    places = {"x": 1, "x-test": 2, "why": 4, "empty": 5}
    assert there.places == {name: place + header for name, place in places.items()}
    assert there.by_text == list(places)


def test_an_answer_is_told_from_what_was_added():
    cells = submitted()
    cells.insert(1, new_code_cell("print('trying')"))
    cells.insert(6, new_markdown_cell("And why not?"))
    there = found(cells)
    assert [cells[there.places[name]].source for name in ("x", "why")] == [
        "x = None\nx = 1", "Because."
    ]  # fmt: skip


def test_one_cell_is_found_among_those_with_ids():
    there = found(submitted("why"))
    assert there.places == {"x": 1, "x-test": 2, "why": 4, "empty": 5}
    assert there.by_text == ["why"]


def test_nothing_is_recognised_in_another_notebook():
    cells = [new_markdown_cell("# Another"), new_code_cell("x = None\nx = 1"), new_code_cell("")]
    assert found(cells).places == {}


def test_of_copies_the_one_with_an_answer_counts():
    cells = submitted("none")
    cells.insert(4, copy.deepcopy(EXPECTED["why"]))
    assert found(cells).places["why"] == 5
    cells[4].source = "The first answer."
    assert found(cells).places["why"] == 4


def test_an_answer_is_found_below_its_cell():
    cells = submitted("none")
    cells[4].source = "YOUR ANSWER HERE"
    cells.insert(5, new_markdown_cell("Because."))
    there = found(cells)
    assert (there.places["why"], there.below) == (5, ["why"])


@pytest.mark.parametrize("below", [new_markdown_cell("Why?"), new_markdown_cell(" "),
                                   new_code_cell("1")])  # fmt: skip
def test_what_is_no_answer_is_not_taken_for_one(below):
    cells = submitted("none")
    cells[4].source = "YOUR ANSWER HERE"
    cells.insert(5, copy.deepcopy(below))
    there = found(cells)
    assert (there.places["why"], there.below) == (4, [])


def test_cells_that_are_all_the_same_take_no_time():
    cells = [new_code_cell("") for _ in range(2_000)]
    assert found(cells).places == {}
