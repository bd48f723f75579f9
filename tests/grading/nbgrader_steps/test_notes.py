"""Notes for the student and the lecturer."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils import printable
from course_utils.grading.nbgrader_steps import notes


def test_notes_are_for_both():
    notebook = new_notebook(cells=[new_code_cell("1")])
    notes.add_note(notebook, "You left one out.", "One left out.")
    assert "You left one out." in notebook.cells[0].source
    assert notes.lecturer_notes(notebook) == ["One left out."]


def test_a_list_has_one_line_and_few_and_short_names():
    assert printable.listed(["a\nb", "c" * 200]) == f"a b, {'c' * 100}..."
    assert printable.listed(["a"] * 23).endswith("a and 3 more")


FORGED = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\n\n"]


@pytest.mark.parametrize("line_break", FORGED, ids=ascii)
def test_no_name_begins_a_line_of_its_own(line_break):
    """As a student's file or cell could be called, to look like what the grader says."""
    name = f"a.txt{line_break}# <b>All points</b> of eve: 100"
    notebook = new_notebook(cells=[])
    notes.add_note(notebook, f"Left out: {name}", f"Left out: {name}")
    (told,) = notes.lecturer_notes(notebook)
    assert len(told.splitlines()) == len(notebook.cells[0].source.splitlines()) == 1
    assert "<b>" not in notebook.cells[0].source
    assert len(printable.listed([name]).splitlines()) == 1
