"""Finding mistakes in an assignment."""

from __future__ import annotations

import math
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.grading.assignment.cells import (
    BEGIN,
    SECRETS,
    has_autotest,
    is_python,
    is_test,
    ordinary_tests,
)
from course_utils.grading.assignment.course import (
    course_directory,
    read_released,
    read_sources,
    released_path,
    source_folder,
)
from course_utils.grading.assignment.leaks import leaks, secrets
from course_utils.notebook_format import grade_id

# Marks, as nbgrader looks for them: in any line that has these words.
BEGIN_SOLUTION, END_SOLUTION = "BEGIN SOLUTION", "END SOLUTION"
BEGIN_MARK_SCHEME, END_HIDDEN = "BEGIN MARK SCHEME", "END HIDDEN TESTS"

# Lines that mark the gaps in a released notebook; `nbgrader_config.py` sets the same.
GAPS = ("# YOUR CODE HERE", "YOUR ANSWER HERE")

# The ids of cells that nbgrader takes.
GRADE_ID = re.compile("[a-zA-Z0-9_-]+")

# The file with the templates of nbgrader's automatic tests.
AUTOTESTS = "autotests.yml"

# Line that gives students the name of a value to compute.
PLACEHOLDER = re.compile(r"^(\w+) = None$")


def check(course: Path, assignment: str) -> list[str]:
    """Return the mistakes in an assignment, one sentence each; empty if there are none.

    The released notebooks are checked too if they have been built.
    """
    return [*check_source(course, assignment), *check_release(course, assignment)]


def check_source(course: Path, assignment: str) -> list[str]:
    """Return the mistakes in the lecturer's notebooks, one sentence each."""
    sources = read_sources(course, assignment)
    found = {name: _source_problems(course, assignment, each) for name, each in sources.items()}
    problems = _named(assignment, found)
    if "+" in assignment:
        problems.append(
            f"{assignment}: nbgrader takes no assignment with a + in its name: give it another one"
        )
    problems += [f"{assignment}: {problem}" for problem in _copies(sources)]
    if not any(_is_graded(cell) for source in sources.values() for cell in source.cells):
        problems.append(f"{assignment}: no cell is graded")
    return problems


def check_release(course: Path, assignment: str) -> list[str]:
    """Return the mistakes in the notebooks that students receive, one sentence each.

    Notebooks that have not been built have none.
    """
    found = {
        name: _release_problems(source, read_released(course, assignment, name))
        if released_path(course, assignment, name).is_file()
        else []
        for name, source in read_sources(course, assignment).items()
    }
    return _named(assignment, found)


def _named(assignment: str, found: dict[str, list[str]]) -> list[str]:
    """Put before each problem where it is: the assignment and, of several, the notebook."""
    return [
        f"{assignment}: {problem}" if len(found) == 1 else f"{assignment}: {name}: {problem}"
        for name, problems in found.items()
        for problem in problems
    ]


def _source_problems(course: Path, assignment: str, source: NotebookNode) -> list[str]:
    found = [*problems_of_grading(source), *_autotest_problems(course, assignment, source)]
    if follows_the_rules_of_the_course(source):
        ordinary = ordinary_tests(source.cells)
        for cell in source.cells:
            found += _cell_problems(cell, grade_id(cell) in ordinary)
        found += _rubric_problems(source)
    return found


def _release_problems(source: NotebookNode, released: NotebookNode) -> list[str]:
    found = stub_problems(source, released) if follows_the_rules_of_the_course(source) else []
    text = nbformat.writes(released)
    return found + [f"released: {p[:60]}..." for p in leaks(secrets(source), text)]


def follows_the_rules_of_the_course(source: NotebookNode) -> bool:
    """Tell whether a notebook has questions of the course's kind.

    These have a question and an objective in their metadata, or tests that return a `Grade`. In any
    other notebook, all that nbgrader allows is right.
    """
    tests = {grade_id(cell) for cell in filter(is_test, source.cells)}
    return tests > ordinary_tests(source.cells) or any("course" in c.metadata for c in source.cells)


def problems_of_grading(source: NotebookNode) -> list[str]:
    """Return why cells of the lecturer's notebook cannot be graded, one sentence each."""
    kernel = source.metadata.get("kernelspec", {})
    language = kernel.get("language", "python")
    problems = []
    if language.lower() != "python":
        problems.append(f"is written in {language}, and only Python can be graded")
    ids = [name for cell in source.cells if (name := grade_id(cell))]
    for name in ids:
        if not GRADE_ID.fullmatch(name):
            problems.append(f"{name}: an id may only have letters from a to z, digits, - and _")
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        problems.append(f"{name}: two cells have this id")
    ordinary = ordinary_tests(source.cells)
    for cell in source.cells:
        if mark := BEGIN.search(SECRETS.sub("", cell.source)):
            problems.append(f"{cell.get('id')}: {mark[0]} has no {mark[0].replace('BEGIN', 'END')}")
        about = cell.metadata.get("nbgrader", {})
        points = about.get("points", 0)
        if about.get("grade") and "points" not in about:
            problems.append(f"{_id(cell)}: is graded, but has no number of points (0 is allowed)")
        if not isinstance(points, int | float) or not 0 <= points < math.inf:
            problems.append(f"{_id(cell)}: {points!r} is no number of points")
        if is_test(cell) and grade_id(cell) not in ordinary and not is_python(cell.source):
            problems.append(
                f"{_id(cell)}: returns a Grade, so it runs outside the notebook, where only plain "
                "Python can be run: no magics"
            )
    return problems


def _autotest_problems(course: Path, assignment: str, source: NotebookNode) -> list[str]:
    with_autotests = list(filter(has_autotest, source.cells))
    problems = [
        f"{c.get('id')}: has an AUTOTEST, but is no test" for c in with_autotests if not is_test(c)
    ]
    folder = source_folder(course_directory(course), assignment)
    places = (folder / AUTOTESTS, course / AUTOTESTS)
    if with_autotests and not any(place.is_file() for place in places):
        problems.append(f"has an AUTOTEST, which needs {AUTOTESTS} here or in {course}")
    return problems


def _copies(sources: dict[str, NotebookNode]) -> list[str]:
    """Return sentences about notebooks with the same graded cells, as a copy of a draft has."""
    problems, first = [], dict[tuple[str, ...], str]()
    for name, source in sources.items():
        cells = tuple(
            f"{cell.metadata.nbgrader} {cell.source}" for cell in source.cells if _is_graded(cell)
        )
        if cells and cells in first:
            problems.append(
                f"{first[cells]} and {name} have the same graded cells, and both are part of the "
                "assignment: move the one that is a copy to another folder"
            )
        first.setdefault(cells, name)
    return problems


def _is_graded(cell: NotebookNode) -> bool:
    about = cell.metadata.get("nbgrader", {})
    return bool(about.get("grade") or about.get("task"))


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


def _cell_problems(cell: NotebookNode, is_ordinary: bool) -> list[str]:
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
    if is_test(cell) and not is_ordinary and END_HIDDEN not in cell.source.rstrip().split("\n")[-1]:
        problems.append(f"{_id(cell)}: does not end in a hidden test, which returns the grade")
    if _is_answer(cell) and cell.cell_type == "code" and BEGIN_SOLUTION not in cell.source:
        problems.append(f"{_id(cell)}: marks no solution")
    return problems


def _rubric_problems(source: NotebookNode) -> list[str]:
    problems, rubric = [], False
    for cell in source.cells:
        rubric = rubric or BEGIN_MARK_SCHEME in cell.source
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
