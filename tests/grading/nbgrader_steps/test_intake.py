"""Reading submissions that are not as they should be."""

from __future__ import annotations

import os

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


def test_what_is_set_aside_a_second_time_has_room(tmp_path):
    folder = tmp_path / "submitted" / "ada" / "a1"
    (folder / "x").mkdir(parents=True)
    (folder / "x" / "link").symlink_to("/etc")
    (folder / "x").chmod(0o555)
    intake.receive("a1", "ada", [str(folder / "a1.ipynb")])
    assert not (folder / "x" / "link").is_symlink()
    (folder / "x").rmdir()
    os.mkfifo(folder / "x")
    intake.receive("a1", "ada", [str(folder / "a1.ipynb")])
    assert not list(folder.iterdir())
    assert len(list((tmp_path / "set-aside" / "ada" / "a1").iterdir())) == 2
