"""Searching what is published for solutions and hidden tests."""

from __future__ import annotations

import nbformat
from graded_cells import answer_cell, graded_cell
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.assignment import leaks


def test_the_scan_finds_what_was_left_in():
    secret = "### BEGIN HIDDEN TESTS\nfirst_secret_line = 1\nsecond_secret_line = 2\n### END HIDDEN TESTS"  # noqa: E501
    source = new_notebook(cells=[graded_cell(f"visible_line = 0\n{secret}"), answer_cell("x = 1")])
    clean = new_notebook(cells=[graded_cell("visible_line = 0"), answer_cell("x = None")])
    pieces = leaks.secrets(source)
    assert pieces
    assert leaks.leaks(pieces, nbformat.writes(clean)) == []
    left_in = new_notebook(cells=[graded_cell(secret)])
    assert leaks.leaks(pieces, nbformat.writes(left_in))
    page = "<pre><span>first_secret_line</span> = <b>1</b>\nsecond_secret_line = 2</pre>"
    assert leaks.leaks(pieces, page)
    assert leaks.leaks(pieces, "<p>first_secret_line = 1</p>") == []


def test_the_scan_finds_one_long_line_and_quotes():
    long = 'answer = compute("a rather long line that only the lecturer has", 42)'
    source = new_notebook(cells=[answer_cell(f"### BEGIN SOLUTION\n{long}\n### END SOLUTION")])
    pieces = leaks.secrets(source)
    assert leaks.leaks(pieces, nbformat.writes(new_notebook(cells=[new_code_cell(long)])))
    assert leaks.leaks(pieces, long.replace('"', "&quot;"))


def test_a_source_that_was_released_as_it_is_has_leaks():
    region = "### BEGIN SOLUTION\nfirst_secret_line = 1\nsecond_secret_line = 2\n### END SOLUTION"
    public = answer_cell("a line of an answer\nthat another cell shows")
    shown = new_code_cell("a line of an answer\nthat another cell shows")
    source = new_notebook(cells=[answer_cell(region), public, shown])
    assert leaks.leaks(leaks.secrets(source), nbformat.writes(source)) == [
        "first_secret_line=1second_secret_line=2"
    ]
