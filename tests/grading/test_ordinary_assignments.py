"""Ordinary nbgrader assignments, whose tests are assertions, earn what nbgrader gives."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrading import add_assignment, autograde, make_course, new_cell, release
from rich.console import Console
from small_notebooks import KERNELSPEC
from stock import EXAMPLES, Scores, hand_in_to, make_both, scores, stock_scores
from typer.testing import CliRunner

from course_utils.cli import app
from course_utils.errors import AssignmentError
from course_utils.grading.class_grading import FAILED, GRADED, RENEWED, UNCHANGED, grade_class
from course_utils.grading.class_report import collect, write_class_report
from course_utils.grading.class_summary import print_summary
from course_utils.grading.examine.store import PROVENANCE
from course_utils.grading.gradebook import graded_notebooks, results

pytestmark = pytest.mark.sandbox

# The line of the feedback about points that wait.
WAITING = re.compile(r"Points: (\d+) waiting</strong>")

# Submissions: what students wrote instead of the lecturer's answers; None for nothing at all.
HALF = {
    "squares": "def squares(n):\n    return [i ** 2 for i in range(1, n + 1)]",
    "sum_of_squares": "def sum_of_squares(n):\n    return n * (n + 1) * (2 * n + 1) // 6",
    "sum_of_squares_application": "# YOUR CODE HERE",
}
STUDENTS = {"solved": {}, "untouched": None, "half": HALF}

# Each kind of test in nbgrader's documentation, and others: answer, test, a wrong answer, and
# whether the test runs in the notebook's process.
GIVEN = "import math\nimport numpy as np\nfrom helper import double\nfrom unittest import TestCase"
KINDS = {
    "assertion": (
        "def mean(values):\n    ### BEGIN SOLUTION\n    return np.mean(values)\n"
        "    ### END SOLUTION",
        "assert math.isclose(mean([1, 2, 6]), 3)\n"
        "### BEGIN HIDDEN TESTS\nassert np.allclose(mean(np.arange(5)), 2)\n### END HIDDEN TESTS",
        "def mean(values):\n    return 3",
        False,
    ),
    "partial": (
        "def sign(x):\n    ### BEGIN SOLUTION\n    return (x > 0) - (x < 0)\n    ### END SOLUTION",
        "earned = 0\nfor x in (-2, 0, 5):\n    earned += sign(x) == (x > 0) - (x < 0)\n"
        "float(earned)",
        "def sign(x):\n    return 1 if x >= 0 else -1",
        False,
    ),
    "hidden": (
        "### BEGIN SOLUTION\nworth = 1.5\n### END SOLUTION",
        "### BEGIN HIDDEN TESTS\n2 * worth;\n### END HIDDEN TESTS",
        "worth = 'nothing' - 1",
        False,
    ),
    "raises": (
        "def root(x):\n    ### BEGIN SOLUTION\n    if x < 0:\n        raise ValueError(x)\n"
        "    return x ** 0.5\n    ### END SOLUTION",
        "TestCase().assertRaises(ValueError, root, -1)",
        "def root(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        False,
    ),
    "helper": (
        "### BEGIN SOLUTION\nfour = double(2)\n### END SOLUTION",
        "from helper import double as twice\nassert twice(2) == four, 'not four'",
        "four = 5",
        False,
    ),
    "in_place": (
        "def order(values):\n    ### BEGIN SOLUTION\n    values.sort()\n    ### END SOLUTION",
        "values = [3, 1, 2]\norder(values)\nassert values == [1, 2, 3]",
        "def order(values):\n    return sorted(values)",
        False,
    ),
    "object": (
        "class Point:\n    ### BEGIN SOLUTION\n    def __init__(self, x):\n        self.x = x\n"
        "    ### END SOLUTION\n    pass",
        "assert Point(3).x == 3",
        "class Point:\n    pass",
        True,
    ),
    "magic": (
        "### BEGIN SOLUTION\nplace = %pwd\n### END SOLUTION",
        "here = %pwd\nassert place == here",
        "place = 3",
        True,
    ),
    "printed": (
        "def greet():\n    ### BEGIN SOLUTION\n    print('hello')\n    ### END SOLUTION\n    pass",
        "from unittest.mock import patch\nwith patch('builtins.print') as printed:\n    greet()\n"
        "printed.assert_called_once_with('hello')",
        "def greet():\n    print('goodbye')",
        True,
    ),
    "without_sum": (
        "def total(values):\n    ### BEGIN SOLUTION\n    return math.fsum(values)\n"
        "    ### END SOLUTION",
        "def sum(values):\n    raise AssertionError('do not use sum')\n"
        "assert total([1, 2]) == 3\ndel sum",
        "def total(values):\n    return sum(values)",
        True,
    ),
    "complains": (
        "### BEGIN SOLUTION\nquiet = True\n### END SOLUTION",
        "import sys\nif not quiet:\n    print('loud', file=sys.stderr)",
        "quiet = False",
        False,
    ),
}


@dataclass(frozen=True)
class Graded:
    """An assignment, graded in three ways.

    Attributes
    ----------
    course : Path
        Graded by ``course grade``.
    by_stock, by_course, by_nbgrader : dict of Scores
        The scores by student: of nbgrader alone, of ``course grade``, and of
        nbgrader's autograde in the course.
    """

    course: Path
    by_stock: dict[str, Scores]
    by_course: dict[str, Scores]
    by_nbgrader: dict[str, Scores]


def grade_in_three_ways(
    folder: Path, source: Path, name: str, students: dict, left_out: tuple[str, ...] = ()
) -> Graded:
    """Grade submissions; of those of some students, leave the last notebook out."""
    course, stock = make_both(folder, source, name)
    for student, answers in students.items():
        hand_in_to((course, stock), student, name, answers)
    for student in left_out:
        for each in (course, stock):
            sorted((each / "submitted" / student / name).glob("*.ipynb"))[-1].unlink()
    other = shutil.copytree(course, folder / "other")
    outcomes = grade_class(course, name)
    assert [outcome for outcome in outcomes if outcome.state == FAILED] == []
    autograde(other, name)
    return Graded(
        course,
        stock_scores(stock, name, *students),
        {student: scores(course, name, student) for student in students},
        {student: scores(other, name, student) for student in students},
    )


@pytest.fixture(scope="module")
def ps1(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ps1")
    students = STUDENTS | {"without": {}}
    source = EXAMPLES / "source" / "ps1"
    return grade_in_three_ways(folder, source, "ps1", students, left_out=("without",))


def test_nbgraders_example_earns_what_nbgrader_gives(ps1):
    tests = {"correct_squares": (1, False), "sum_of_squares_uses_squares": (0.5, False)}
    assert ps1.by_stock["solved"]["problem1"].items() >= tests.items()
    assert ps1.by_stock["half"]["problem1"]["sum_of_squares_uses_squares"] == (0, False)
    assert ps1.by_course == ps1.by_stock
    assert ps1.by_nbgrader == ps1.by_stock


def test_a_test_in_the_notebooks_process_is_marked_everywhere(ps1):
    """Student, lecturer, class report and provenance are told."""
    course, test = ps1.course, "sum_of_squares_uses_squares"
    page = (course / "feedback" / "solved" / "ps1" / "problem1.html").read_text()
    assert page.count("less trustworthy") == 1
    graded = graded_notebooks(course, "solved", "ps1")
    assert graded["problem1"].metadata[PROVENANCE]["live_tests"] == [test]
    assert graded["problem2"].metadata[PROVENANCE]["live_tests"] == []
    notes = {result.student: result.notes for result in results(course, "ps1")}
    assert any(test in note and "trustworthy" in note for note in notes["untouched"])
    record = collect(course, "ps1")
    assert record.live == {f"problem1: {test}"}
    assert "less trustworthy" in write_class_report(course, "ps1").read_text()


def test_all_notebooks_are_in_the_report(ps1):
    record = collect(ps1.course, "ps1")
    assert record.parts["problem1: correct_squares"] == [1.0, 1.0, 0.0, 1.0]
    assert record.by_hand["problem2: part-a"] == 2
    assert {question.test for question in record.asked} >= set(record.parts)
    assert {result.points for result in record.results} == {13}


def test_points_that_wait_are_no_zeros(ps1):
    """Terminal, class report and feedback say it in the same way."""
    said = Console(file=io.StringIO(), width=200)
    found = {result.student: result for result in results(ps1.course, "ps1")}
    assert found["solved"].standing == "3.00 of 13, 10 waiting"
    print_summary([], list(found.values()), said)
    report = write_class_report(ps1.course, "ps1").read_text()
    for result in found.values():
        assert result.standing in said.file.getvalue()
        assert result.standing in report
    pages = (ps1.course / "feedback" / "solved" / "ps1").glob("*.html")
    waiting = {page.stem: WAITING.findall(page.read_text()) for page in pages}
    assert waiting == {"problem1": ["7"], "problem2": ["3"]}


def test_a_notebook_that_was_not_handed_in_earns_nothing_and_is_named(ps1):
    assert set(ps1.by_course["without"]["problem2"].values()) == {(0, False)}
    assert ps1.by_course["without"]["problem1"] == ps1.by_course["solved"]["problem1"]
    page = (ps1.course / "feedback" / "without" / "ps1" / "problem2.html").read_text()
    assert "The notebook problem2.ipynb was not handed in." in page


def test_a_graded_assignment_is_not_graded_again(ps1):
    assert {outcome.state for outcome in grade_class(ps1.course, "ps1")} == {UNCHANGED}


def test_of_several_notebooks_each_is_found_and_made_again(ps1, tmp_path):
    course = shutil.copytree(ps1.course, tmp_path / "course")
    hand_in_to((course,), "renamed", "ps1", {})
    folder = course / "submitted" / "renamed" / "ps1"
    (folder / "problem1.ipynb").rename(folder / "problem1 (1).ipynb")
    (folder / "problem2.ipynb").rename(folder / "Untitled.ipynb")
    page, graded = (course / step / "renamed" / "ps1" for step in ("feedback", "autograded"))
    states = [grade_class(course, "ps1", only="renamed")[0].state]
    for missing in (page / "problem2.html", graded / "problem2.ipynb"):
        missing.unlink()
        states.append(grade_class(course, "ps1", only="renamed")[0].state)
        assert missing.is_file()
    assert states == [GRADED, RENEWED, GRADED]
    assert scores(course, "ps1", "renamed") == ps1.by_course["solved"]
    assert "handed in as Untitled.ipynb" in (page / "problem2.html").read_text()


def write_kinds(folder: Path) -> Path:
    """Write an assignment of two notebooks with every kind of test, and helper files."""
    folder.mkdir()
    (folder / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    halves = [list(KINDS)[::2], list(KINDS)[1::2]]
    for number, names in enumerate(halves, 1):
        cells = [new_code_cell(GIVEN)]
        for name in names:
            answer, test, *_ = KINDS[name]
            cells.append(new_cell(name, answer, answer=True))
            cells.append(new_cell(f"{name}-test", test, points=3))
        notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC})
        nbformat.write(notebook, folder / f"part{number}.ipynb")
    return folder


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    wrong = {name: wrong for name, (_, _, wrong, _) in KINDS.items()}
    students = {"solved": {}, "untouched": None, "wrong": wrong}
    return grade_in_three_ways(folder, write_kinds(folder / "example"), "kinds", students)


def test_every_kind_of_test_earns_what_nbgrader_gives(kinds):
    for student, notebooks in kinds.by_stock.items():
        for notebook, tests in notebooks.items():
            assert kinds.by_course[student][notebook] == tests, student
            assert kinds.by_nbgrader[student][notebook] == tests, student
    stock = {
        name: score for part in kinds.by_stock["solved"].values() for name, score in part.items()
    }
    assert set(stock.values()) == {(3, False)}
    wrong = {
        name: score for part in kinds.by_stock["wrong"].values() for name, score in part.items()
    }
    assert wrong.pop("partial-test") == (2, False)
    assert set(wrong.values()) == {(0, False)}


def test_only_what_needs_the_notebooks_process_runs_there(kinds):
    expected = {f"{name}-test" for name, (_, _, _, is_live) in KINDS.items() if is_live}
    for student in kinds.by_stock:
        graded = graded_notebooks(kinds.course, student, "kinds").values()
        assert {t for nb in graded for t in nb.metadata[PROVENANCE]["live_tests"]} == expected


@pytest.fixture(scope="module")
def autotests(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autotests")
    source = EXAMPLES / "source" / "ps1_autotest"
    return grade_in_three_ways(folder, source, "ps1_autotest", STUDENTS)


def test_autotests_earn_what_nbgrader_gives(autotests):
    tests = autotests.by_stock["solved"]["problem1"]
    assert tests["correct_squares"] == (1, False)
    assert tests["sum_of_squares_uses_squares"] == (0.5, False)
    assert autotests.by_stock["half"]["problem1"]["squares_invalid_input"] == (0, False)
    assert autotests.by_course == autotests.by_stock
    assert autotests.by_nbgrader == autotests.by_stock


def course_command(course: Path, *arguments: str) -> tuple[int, str]:
    """Call ``course`` in the folder of a course; return its exit code and what it says."""
    with contextlib.chdir(course):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    return done.exit_code, done.output


@pytest.mark.parametrize("name", ["ps1", "ps1_autotest"])
def test_the_examples_of_nbgrader_are_in_order(tmp_path, name):
    course = make_course(tmp_path / "course")
    shutil.copytree(EXAMPLES / "source" / name, course / "source" / name)
    shutil.copy(EXAMPLES / "autotests.yml", course)
    code, said = course_command(course, "assignment", "check", name)
    # Without real data, the stand-in is announced, too.
    first = next(line for line in said.splitlines() if not line.startswith("Using the stand-in"))
    assert (code, first.split()[0]) == (0, "ok"), said
    code, said = course_command(course, "assignment", "build", name)
    assert (code, said.count("built")) == (0, 2), said


def test_what_nobody_can_pass_is_not_built(tmp_path):
    course = make_course(tmp_path / "course")
    cells = [
        new_cell("answer", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", answer=True),
        new_cell("right", "assert x == 1", points=1),
        new_cell("wrong", "assert x == 2, 'not two'", points=1),
    ]
    add_assignment(course, "a9", cells)
    sentence = "a9: wrong: the lecturer's own answers do not pass it: AssertionError: not two"
    for command, expected in (("check", 1), ("build", 2)):
        code, said = course_command(course, "assignment", command, "a9")
        assert code == expected
        assert sentence in said
        assert "right:" not in said
    # nbgrader builds it, and says so, too.
    said = release(course, "a9")
    assert "wrong: the lecturer's own answers do not pass it" in said


def test_what_cannot_be_graded_is_not_released(tmp_path):
    course = make_course(tmp_path / "course")
    (course / "source" / "a9").mkdir()
    kernel = {"name": "ir", "display_name": "R", "language": "R"}
    cells = [new_cell("test", "stopifnot(TRUE)", points=1)]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, course / "source" / "a9" / "a9.ipynb")
    with pytest.raises(AssignmentError, match="is written in R, and only Python can be graded"):
        release(course, "a9")
