"""Reading notebooks that are not as they should be."""

from __future__ import annotations

import json
import time

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.inside import submitted
from course_utils.grading.sandbox import limits


def read_file(content: bytes) -> tuple[NotebookNode, str]:
    """Read a notebook; return it, and the sentences for student and lecturer."""
    notebook, repairs = submitted.read_notebook(content, "a1.ipynb")
    return notebook, " ".join(repairs.losses)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"cells": 3}', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (nbformat.writes(new_notebook()), "was not handed in"),
        ("", "it is empty"),
        (b"\0" * 3_000, "it is empty"),
        ("\n\n<!DOCTYPE html>\n<html lang='en'>", "it is a web page"),
        (b"PK\3\4\x14\0\0\0", "it is an archive: unpack it"),
        (b"\x1f\x8b\x08\0\0\0", "it is an archive: unpack it"),
        (b"%PDF-1.7\n%\xe2\xe3", "it is a PDF: hand in the notebook"),
        ('{\n"cells": [\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> b\n]}', "a conflict of git"),
        ("first = 1", "it is damaged (Expecting value"),
    ],
)
def test_what_cannot_be_read_counts_as_empty(content, sentence):
    content = content if isinstance(content, bytes) else content.encode()
    notebook, problem = read_file(content)
    assert notebook.cells == []
    assert sentence in problem


def test_a_huge_notebook_is_not_read():
    assert "clear its outputs" in read_file(b" " * (limits.MAX_NOTEBOOK_BYTES + 1))[1]


def read(cells, **more):
    content = json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5} | more)
    return read_file(content.encode("utf-8", "surrogatepass"))


def cell(source="x = 1", **more):
    return {"cell_type": "code", "id": "a", "metadata": {}, "source": source} | more


def test_of_a_cell_only_what_is_used_is_read():
    about = {"grade_id": "q1", "points": 100, "solution": False}
    picture = {"a.png": {"image/png": "iVBO"}, "a.svg": {"image/svg+xml": ["<svg>", "</svg>"]}}
    notebook, problem = read(
        [
            cell(["x = 1\n", "y = 2"], metadata={"nbgrader": about, "tags": ["t", "t"], "a": 1}),
            {"cell_type": "markdown", "metadata": {}, "source": "text", "attachments": picture},
        ],
        metadata={"course_notes": ["forged"]},
    )
    first, second = notebook.cells
    assert problem == ""
    assert (first.id, first.source, first.outputs) == ("a", "x = 1\ny = 2", [])
    assert first.metadata == {"nbgrader": {"grade_id": "q1"}, "tags": ["t"]}
    assert second.id == "cell-2"
    assert second.attachments == {
        "a.png": {"image/png": "iVBO"}, "a.svg": {"image/svg+xml": "<svg></svg>"}
    }  # fmt: skip
    assert notebook.metadata == {}


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([cell("x" * 20_000)], "Cell 1 has 20,000 characters"),
        ([cell()] * 11, "has 11 cells, and only the first 10 are graded"),
        ([cell({"a": 1}), cell("x")], "Cell 1 has no text and was left out"),
        ([cell(["x", 1])], "Cell 1 has no text"),
        ([3], "or it is empty. Cell 1 has no text and was left out"),
        ([{"cell_type": ["code"], "source": ""}], "Cell 1 is of no known type"),
        ([{"cell_type": "other", "source": ""}], "Cell 1 is of no known type"),
        ([3] * 10_000, "only the first 10 are graded"),
        ({"0": cell()}, "no list of cells"),
    ],
)
def test_cells_that_are_too_many_too_long_or_none(monkeypatch, cells, sentence):
    monkeypatch.setattr(submitted, "MAX_CELLS", 10)
    monkeypatch.setattr(submitted, "MAX_CELL_CHARACTERS", 10_000)
    notebook, problem = read(cells)
    assert sentence in problem
    assert len(notebook.cells) <= 10
    assert all(len(each.source) <= 10_000 for each in notebook.cells)


@pytest.mark.parametrize(
    "change",
    [
        {"source": "a\ud800b"},
        {"id": "\ud800"},
        {"id": "x" * 1000},
        {"metadata": {"tags": ["\udfff", "a,b", "", 3, None]}},
        {"metadata": {"nbgrader": {"grade_id": [1]}}},
        {"metadata": {"nbgrader": {"grade_id": float("nan")}}},
        {"metadata": {"nbgrader": "q1"}},
        {"metadata": ["tags"]},
        {"cell_type": "markdown", "attachments": {"\ud800": {"image/png": "\ud800", "a": 1}}},
        {"cell_type": "markdown", "attachments": [1]},
        {"outputs": float("inf"), "execution_count": 10**1000, "extra": [[[[]]]]},
    ],
)
def test_an_odd_cell_does_not_cost_the_others(change):
    notebook, problem = read([cell() | change, cell("y = 2", id="b")])
    assert problem == ""
    assert notebook.cells[1].source == "y = 2"
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode("utf-8")


def with_tags(tags: list[str]) -> str:
    return json.dumps({"cells": [cell(metadata={"tags": tags})]})


@pytest.mark.parametrize(
    "text",
    [
        lambda: "[" * 400_000 + "]" * 400_000,
        lambda: '{"cells": [], "a": ' + "1" * 10_000_000 + "}",
        lambda: '{"cells": [' + "{}," * 100_000 + "{}]}",
        lambda: '{"cells": [{"cell_type": "code", "source": ' + "[" * 3000 + "]" * 3000 + "}]}",
        lambda: json.dumps({"cells": [cell({"a": "x" * 10_000_000})]}),
        lambda: with_tags(["t", "t", *map(str, range(400_000))]),
        lambda: json.dumps({"cells": [cell(metadata={str(n): 0 for n in range(400_000)})]}),
        lambda: json.dumps({"cells": [cell()] * 90_000}),
        lambda: with_tags(["ab"] * 3_300_000),
        lambda: json.dumps({"cells": [cell(["ab"] * 3_300_000)]}),
        lambda: '{"cells": [' + "1," * 6_000_000 + "1]}",
        lambda: '{"cells": [], "cells": 3}',
        lambda: '{"cells": [NaN]}',
    ],
    ids=["deep", "long-number", "no-cells", "deep-text", "text-is-none", "tags", "keys", "many",
         "more-tags", "lines", "numbers", "twice", "nan"],
)  # fmt: skip
def test_the_worst_files_are_read_in_seconds(text):
    text = text()
    start = time.process_time()
    notebook, problem = read_file(text.encode())
    nbformat.writes(notebook)
    assert time.process_time() - start < 20
    assert problem or notebook.cells


def test_a_notebook_of_another_system_is_read_as_it_was_meant():
    cell = {"cell_type": "code", "source": ["a = 1\r\n", "b = 2\r"], "metadata": {}, "outputs": []}
    notebook, problem = read([cell])
    assert notebook.cells[0].source == "a = 1\nb = 2\n"
    assert problem == ""


def test_a_million_numbers_in_an_output_do_not_cost_an_answer():
    """As an interactive figure has them; outputs are not kept anyway."""
    figure = {"application/vnd.plotly.v1+json": {"x": list(range(10**6))}}
    shown = [{"output_type": "display_data", "data": figure, "metadata": {}}]
    notebook, problem = read([cell("x = 1", outputs=shown), cell("y = 2", id="b")])
    assert problem == ""
    assert [(each.source, each.outputs) for each in notebook.cells] == [
        ("x = 1", []),
        ("y = 2", []),
    ]


COLAB = "from google.colab import drive"
LONG = 500_000


def without_commands(source: str) -> str:
    notebook = new_notebook(cells=[new_code_cell(source)])
    submitted.make_runnable(notebook)
    return notebook.cells[0].source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (COLAB, f"pass  # {COLAB}"),
        ("if x:\n\tmpl.use('Agg') ; \ny = 1", "if x:\n\tpass  # mpl.use('Agg')\ny = 1"),
        ("%matplotlib inline", "%matplotlib inline"),
        ("%matplotlib qt\n", "pass  # %matplotlib qt\n"),
        ("x = 1 ;  \n\n", "x = 1 ;  \n\n"),
        ("drive.mount('/x')", "drive.mount('/x')"),  # another drive: nothing is of Colab here
    ],
)
def test_lines_of_other_systems_do_nothing(source, expected):
    assert without_commands(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        f"{COLAB}{' ' * LONG}(",
        f"{COLAB}{' ;' * LONG}(",
        f"{COLAB}\nimport{' ' * LONG}x",
        f"{COLAB}\ndrive.mount({' ' * LONG}",
        f"matplotlib.use(){' ' * LONG}x",
        f"%matplotlib{' ' * LONG}inlin",
        f"%load_ext{' ' * LONG}x",
        f"{' ' * LONG}x",
        f"{COLAB}\n" * 10_000,
    ],
    ids=lambda source: source[:20].strip(),
)
def test_no_line_keeps_the_grader_busy(source):
    start = time.process_time()
    without_commands(source)
    assert time.process_time() - start < 1
