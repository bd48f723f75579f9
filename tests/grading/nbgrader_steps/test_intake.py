"""Reading submissions that are not as they should be."""

from __future__ import annotations

import json
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.nbgrader_steps import intake
from course_utils.grading.sandbox import limits


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"cells": 3}', "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "was not handed in"),
        (nbformat.writes(new_notebook()), "was not handed in"),
    ],
)
def test_what_cannot_be_read_counts_as_empty(tmp_path, content, sentence):
    path = tmp_path / "a1.ipynb"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    notebook, problem = intake.read_notebook(path)
    assert notebook.cells == []
    assert sentence in problem


def test_a_huge_notebook_is_not_read(tmp_path):
    path = tmp_path / "a1.ipynb"
    with path.open("wb") as file:
        file.truncate(limits.MAX_NOTEBOOK_BYTES + 1)
    assert "clear its outputs" in intake.read_notebook(path)[1]


def test_a_notebook_under_another_name_is_read(tmp_path):
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "a1 (1).ipynb")
    notebook, problem = intake.read_notebook(tmp_path / "a1.ipynb")
    assert len(notebook.cells) == 1
    assert "a1 (1).ipynb" in problem


def read(tmp_path, cells, **more):
    path = tmp_path / "a1.ipynb"
    content = json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5} | more)
    path.write_text(content, encoding="utf-8")
    return intake.read_notebook(path)


def cell(source="x = 1", **more):
    return {"cell_type": "code", "id": "a", "metadata": {}, "source": source} | more


def test_of_a_cell_only_what_is_used_is_read(tmp_path):
    about = {"grade_id": "q1", "points": 100, "solution": False}
    picture = {"a.png": {"image/png": "iVBO"}, "a.svg": {"image/svg+xml": ["<svg>", "</svg>"]}}
    notebook, problem = read(
        tmp_path,
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
        ([cell({"a": 1})], "cannot be read"),
        ([cell(["x", 1])], "cannot be read"),
        ([3], "cannot be read (cell 1 has no type)"),
        ([{"cell_type": ["code"], "source": ""}], "cannot be read"),
        ([{"cell_type": "other", "source": ""}], "cannot be read"),
        ({"0": cell()}, "no list of cells"),
    ],
)
def test_cells_that_are_too_many_too_long_or_none(tmp_path, monkeypatch, cells, sentence):
    monkeypatch.setattr(intake, "MAX_CELLS", 10)
    monkeypatch.setattr(intake, "MAX_CELL_CHARACTERS", 10_000)
    notebook, problem = read(tmp_path, cells)
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
def test_an_odd_cell_does_not_cost_the_others(tmp_path, change):
    notebook, problem = read(tmp_path, [cell() | change, cell("y = 2", id="b")])
    assert problem == ""
    assert notebook.cells[1].source == "y = 2"
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 400_000 + "]" * 400_000,
        '{"cells": [], "a": ' + "1" * 10_000_000 + "}",
        '{"cells": [' + "{}," * 100_000 + "{}]}",
        '{"cells": [{"cell_type": "code", "source": ' + "[" * 3000 + "]" * 3000 + "}]}",
        json.dumps({"cells": [cell({"a": "x" * 10_000_000})]}),
        json.dumps({"cells": [cell(metadata={"tags": ["t", "t", *map(str, range(400_000))]})]}),
        json.dumps({"cells": [cell(metadata={str(n): 0 for n in range(400_000)})]}),
        json.dumps({"cells": [cell()] * 90_000}),
        json.dumps({"cells": [cell(metadata={"tags": ["ab"] * 3_300_000})]}),
        json.dumps({"cells": [cell(["ab"] * 3_300_000)]}),
        '{"cells": [' + "1," * 6_000_000 + "1]}",
        '{"cells": [], "cells": 3}',
        '{"cells": [NaN]}',
    ],
    ids=["deep", "long-number", "no-cells", "deep-text", "text-is-none", "tags", "keys", "many",
         "more-tags", "lines", "numbers", "twice", "nan"],
)  # fmt: skip
def test_the_worst_files_are_read_in_seconds(tmp_path, text):
    path = tmp_path / "a1.ipynb"
    path.write_text(text, encoding="utf-8")
    start = time.process_time()
    notebook, problem = intake.read_notebook(path)
    nbformat.writes(notebook)
    assert time.process_time() - start < 20
    assert problem or notebook.cells


def test_a_notebook_of_another_system_is_read_as_it_was_meant(tmp_path):
    cell = {"cell_type": "code", "source": ["a = 1\r\n", "b = 2\r"], "metadata": {}, "outputs": []}
    for name in ("a1 (1).ipynb", "._a1 (1).ipynb"):
        (tmp_path / name).write_text(json.dumps({"cells": [cell]}))
    notebook, problem = intake.read_notebook(tmp_path / "a1.ipynb")
    assert notebook.cells[0].source == "a = 1\nb = 2\n"
    assert problem == "The notebook was handed in as a1 (1).ipynb, not as a1.ipynb."


def test_a_million_numbers_in_an_output_do_not_cost_an_answer(tmp_path):
    """As an interactive figure has them; outputs are not kept anyway."""
    figure = {"application/vnd.plotly.v1+json": {"x": list(range(10**6))}}
    shown = [{"output_type": "display_data", "data": figure, "metadata": {}}]
    notebook, problem = read(tmp_path, [cell("x = 1", outputs=shown), cell("y = 2", id="b")])
    assert problem == ""
    assert [(each.source, each.outputs) for each in notebook.cells] == [
        ("x = 1", []),
        ("y = 2", []),
    ]
