"""Identifying the cells of an assignment."""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import threading
from collections.abc import Iterable

from nbformat import NotebookNode
from nbformat.v4 import nbformat_minor
from nbgrader import utils

from course_utils.notebook_format import grade_id


def give_ids(notebook: NotebookNode) -> None:
    """Give an id to every cell of a lecturer's notebook; older formats have none."""
    notebook.nbformat_minor = nbformat_minor
    for number, cell in enumerate(notebook.cells, 1):
        cell.setdefault("id", f"lecturers-{number}")


def is_test(cell: NotebookNode) -> bool:
    """Tell whether a cell is an automatic test."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


# Line from which nbgrader makes a test at the release.
AUTOTEST = re.compile(r"^\s*#.*AUTOTEST", re.MULTILINE)


def has_autotest(cell: NotebookNode) -> bool:
    """Tell whether nbgrader makes tests of lines of a cell at the release."""
    return cell.cell_type == "code" and AUTOTEST.search(cell.source) is not None


# Start of a region that nbgrader removes from the version that students receive.
BEGIN = re.compile(r"BEGIN (?P<kind>SOLUTION|HIDDEN TESTS|MARK SCHEME)")
# A whole region. As in nbgrader, a mark is any line that contains these words.
SECRETS = re.compile(
    rf"^[^\n]*{BEGIN.pattern}[^\n]*\n"
    r"(?P<text>.*?)^[^\n]*END (?P=kind)[^\n]*\n?",
    re.DOTALL | re.MULTILINE,
)

# The package from which tests take what makes a `Grade`.
GRADERS = "course_utils.grading"


def ordinary_tests(cells: Iterable[NotebookNode], given: Iterable[str] = ()) -> set[str]:
    """Return the ids of the tests that earn points by nbgrader's rule.

    All other tests return a `Grade`: they use a name that a test, or a cell that the examiner runs
    before the tests, imports from `course_utils.grading`.

    Parameters
    ----------
    cells : iterable of NotebookNode
        The cells of the assignment.
    given : iterable of str
        Sources of the cells that the examiner runs before the tests.
    """
    tests = {grade_id(cell) or "": cell.source for cell in cells if is_test(cell)}
    graders: set[str] = set()
    for source in [*tests.values(), *given]:
        for node in nodes(source):
            if isinstance(node, ast.Import | ast.ImportFrom) and GRADERS in ast.unparse(node):
                graders |= {(each.asname or each.name).split(".")[0] for each in node.names}
    return {
        name
        for name, source in tests.items()
        if GRADERS not in source
        and not any(isinstance(n, ast.Name) and n.id in graders for n in nodes(source))
    }


def is_python(source: str) -> bool:
    """Tell whether a cell is plain Python, without magics and shell commands."""
    return bool(nodes(source))  # at least the module itself


_parsing = threading.Lock()


def nodes(source: str) -> tuple[ast.AST, ...]:
    """Return all parts of a lecturer's cell; none if it is not valid Python."""
    return tuple(ast.walk(tree)) if (tree := parse(source)) else ()


# The cells of an assignment are the same for each submission.
@functools.lru_cache(maxsize=256)
def parse(source: str) -> ast.Module | None:
    """Return the syntax tree of a lecturer's cell; None if it is not valid Python.

    One thread parses at a time, because Python before 3.11.8 and 3.12.2 counts the depth of trees
    for all threads together, and raises a `SystemError` if it is wrong:
    https://github.com/python/cpython/issues/106905.
    """
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError), _parsing:
        return ast.parse(source)
    return None
