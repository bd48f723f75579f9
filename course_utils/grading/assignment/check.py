"""Finding mistakes in an assignment."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.grading.assignment.course import read_released, read_source, released_path
from course_utils.grading.assignment.leaks import leaks, secrets

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"

END_HIDDEN = "### END HIDDEN TESTS"

# Lines that mark the gaps in a released notebook; `nbgrader_config.py` sets the same.
GAPS = ("# YOUR CODE HERE", "YOUR ANSWER HERE")

# Line that gives students the name of a value to compute.
PLACEHOLDER = re.compile(r"^(\w+) = None$")


def check(course: Path, assignment: str) -> list[str]:
    """Return the mistakes in an assignment, one sentence each; empty if there are none.

    The released notebook is checked too if it has been built.
    """
    source = read_source(course, assignment)
    problems = [p for cell in source.cells for p in _cell_problems(cell)]
    graded = [c for c in source.cells if c.metadata.get("nbgrader", {}).get("grade")]
    if not graded:
        problems.append("no cell is graded")
    problems += _rubric_problems(source)
    if released_path(course, assignment).is_file():
        released = read_released(course, assignment)
        problems += stub_problems(source, released)
        text = nbformat.writes(released)
        problems += [f"released: {p[:60]}..." for p in leaks(secrets(source, released), text)]
    return [f"{assignment}: {problem}" for problem in problems]


def stub_problems(source: NotebookNode, released: NotebookNode) -> list[str]:
    """Return the mistakes in released answers, one sentence each.

    Every line of a released answer must be the lecturer's or a marked gap, and the solution must
    set every name that the answer asks for.
    """
    answers = {_id(cell): cell for cell in source.cells if _is_answer(cell)}
    problems = []
    for cell in released.cells:
        if not _is_answer(cell) or _id(cell) not in answers:
            continue
        given, solved = _split(answers[_id(cell)].source)
        lines = [line for line in cell.source.splitlines() if line.strip() not in GAPS]
        if cell.cell_type == "code" and lines != given:
            problems.append(f"{_id(cell)}: released lines differ from the lecturer's")
        for line in given:
            name = PLACEHOLDER.match(line)
            if name and not any(re.match(rf"\s*{name[1]} = ", line) for line in solved):
                problems.append(f"{_id(cell)}: {name[1]} is asked for, but no solution sets it")
    return problems


def _cell_problems(cell: NotebookNode) -> list[str]:
    graded = cell.metadata.get("nbgrader", {})
    problems = []
    if cell.get("outputs") or cell.get("execution_count"):
        problems.append(f"{cell.get('id')}: has outputs; clear them")
    if graded.get("grade"):
        about = cell.metadata.get("course", {})
        if not about.get("question") or not about.get("objective"):
            problems.append(f"{_id(cell)}: names no question or no objective in its metadata")
        if graded.get("points", 0) <= 0:
            problems.append(f"{_id(cell)}: has no points")
    is_test = graded.get("grade") and not graded.get("solution")
    if is_test and not cell.source.rstrip().endswith(END_HIDDEN):
        problems.append(f"{_id(cell)}: does not end in a hidden test, which returns the grade")
    if _is_answer(cell) and cell.cell_type == "code" and BEGIN_SOLUTION not in cell.source:
        problems.append(f"{_id(cell)}: marks no solution")
    return problems


def _rubric_problems(source: NotebookNode) -> list[str]:
    problems, rubric = [], False
    for cell in source.cells:
        rubric = rubric or "### BEGIN MARK SCHEME" in cell.source
        graded = cell.metadata.get("nbgrader", {})
        if graded.get("grade") and graded.get("solution"):
            if not rubric:
                problems.append(f"{_id(cell)}: is graded by hand but has no rubric before it")
            rubric = False
    return problems


def _split(source: str) -> tuple[list[str], list[str]]:
    """Return the lines of an answer outside and inside its solution regions."""
    given: list[str] = []
    solved: list[str] = []
    inside = False
    for line in source.splitlines():
        if BEGIN_SOLUTION in line or END_SOLUTION in line:
            inside = BEGIN_SOLUTION in line
        else:
            (solved if inside else given).append(line)
    return given, solved


def _is_answer(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _id(cell: NotebookNode) -> str:
    return cell.metadata["nbgrader"]["grade_id"]
