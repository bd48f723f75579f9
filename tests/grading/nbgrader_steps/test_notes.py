"""Notes for the student and the lecturer."""

from __future__ import annotations

from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.nbgrader_steps import notes


def test_notes_are_for_both():
    notebook = new_notebook(cells=[new_code_cell("1")])
    notes.add_note(notebook, "You left one out.", "One left out.")
    assert "You left one out." in notebook.cells[0].source
    assert notes.lecturer_notes(notebook) == ["One left out."]


def test_a_list_has_one_line_and_few_and_short_names():
    assert notes.listed(["a\nb", "c" * 200]) == f"a b, {'c' * 100}..."
    assert notes.listed(["a"] * 23).endswith("a and 3 more")
