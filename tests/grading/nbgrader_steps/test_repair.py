"""Repairing the cells of a submission."""

from __future__ import annotations

import time

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.nbgrader_steps import repair

COLAB = "from google.colab import drive"
LONG = 500_000


def without_commands(source: str) -> str:
    commands = repair._commands_of_other_systems(new_notebook(cells=[new_code_cell(source)]))
    return repair._without(commands, source)


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
