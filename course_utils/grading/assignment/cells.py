"""Identifying the cells of an assignment."""

from __future__ import annotations

import re

from nbformat import NotebookNode
from nbgrader import utils


def grade_id(cell: NotebookNode) -> str | None:
    """Return a cell's nbgrader id; None if it has no valid one."""
    metadata = cell.metadata.get("nbgrader")
    grade_id = metadata.get("grade_id") if isinstance(metadata, dict) else None
    return grade_id if isinstance(grade_id, str) else None


def is_test(cell: NotebookNode) -> bool:
    """Tell whether a cell is an automatic test."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


# Regions that nbgrader removes from the version that students receive.
SECRETS = re.compile(
    r"### BEGIN (?P<kind>SOLUTION|HIDDEN TESTS|MARK SCHEME)\n(?P<text>.*?)### END (?P=kind)",
    re.DOTALL,
)
