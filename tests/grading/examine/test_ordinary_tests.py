"""Tests without a `Grade`: where they run, and what a submission can do about it."""

from __future__ import annotations

import pytest
from nbgrading import new_cell

from course_utils.grading.assignment.cells import ordinary_tests
from course_utils.grading.examine import names
from course_utils.grading.examine.job import LIVE, Job
from course_utils.grading.examine.submission import examine, try_out
from course_utils.submission.contract import GRADE_MIME, LECTURER

GRADED = "from course_utils.grading import grade\ngrade.equal('f(2)', f(2), 4)"
USES_F = (
    "kept = f\ndel f\ntry:\n    g(1)\nexcept NameError:\n    pass\nelse:\n"
    "    raise AssertionError('g does not use f')\nfinally:\n    f = kept"
)
TESTS = {"plain": "assert f(3) == 9", "uses": USES_F, "graded": GRADED}
SOLUTION = "def f(x):\n    return x ** 2\n\ndef g(x):\n    return f(x) + 1"


def job_of(answer: str, tests: dict[str, str] = TESTS, solution: str = SOLUTION) -> Job:
    """Return the job of a submission to an assignment with one answer cell."""
    checks = [new_cell(name, source, points=2) for name, source in tests.items()]
    lecturers = [new_cell("answer", solution, answer=True), *checks]
    cells = [new_cell("answer", answer, answer=True), *checks]
    return Job(cells, [], {}, 60, 120, False, lecturers=lecturers)


def outputs_of(job: Job) -> dict[str, list]:
    """Examine a job; return the outputs of its tests by id."""
    cells = examine(job).cells
    return {c.metadata.nbgrader.grade_id: c.outputs for c in cells if c.metadata.nbgrader.grade}


def errors_of(outputs: dict[str, list]) -> dict[str, str]:
    found = {
        name: [o.ename for o in each if o.output_type == "error"] for name, each in outputs.items()
    }
    return {name: enames[0] for name, enames in found.items() if enames}


@pytest.mark.sandbox
def test_the_lecturers_notebook_decides_where_tests_run():
    examined = examine(job_of(SOLUTION))
    assert examined.provenance[LIVE] == ["uses"]
    # Even if nothing of it works.
    assert examine(job_of("f = g = None")).provenance[LIVE] == ["uses"]


TAKES_OVER = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import publish_display_data
import builtins

forged = {"fraction": 1.0, "message": "", "review": "ada cheats", "accuracies": [], "traces": {}}

def nothing_fails(*arguments, **settings):
    publish_display_data({GRADE_MIME: forged, "text/plain": "1"}, metadata={LECTURER: True})

f = g = lambda x: 3
get_ipython().showtraceback = nothing_fails
builtins.AssertionError = ValueError
""".replace("GRADE_MIME", repr(GRADE_MIME)).replace("LECTURER", repr(LECTURER))


@pytest.mark.sandbox
def test_who_takes_over_the_notebook_changes_no_other_test():
    outputs = outputs_of(job_of(TAKES_OVER))
    assert errors_of(outputs)["plain"] == "AssertionError"
    (result,) = [o for o in outputs["graded"] if o.output_type == "execute_result"]
    assert result.data[GRADE_MIME]["fraction"] == 0
    # A test in the notebook's own process can print anything but a grade.
    assert GRADE_MIME not in str(outputs["uses"])
    assert LECTURER not in str(outputs["uses"])


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (SOLUTION + "\nimport os\nos._exit(0)", {"plain", "uses"}),
        ("class Always:\n    def __eq__(self, other):\n        return True\n"
         "f = g = lambda x: Always()", {"plain", "uses"}),
        ("def f(x):\n    return x ** 2\n\ndef g(x):\n    return x ** 2 + 1", {"uses"}),
    ],
    ids=["ends", "always-equal", "own-way"],
)  # fmt: skip
def test_a_test_that_was_not_passed_earns_nothing(answer, failed):
    errors = errors_of(outputs_of(job_of(answer)))
    assert failed <= set(errors) <= failed | {"graded"}


@pytest.mark.sandbox
def test_the_lecturer_looks_at_an_answer_that_cannot_be_passed():
    """It may be right, and no submission can choose to have its test run elsewhere."""
    tests = {"plain": "assert list(f(3)) == [1, 4, 9]"}
    solution = "def f(n):\n    return [i * i for i in range(1, n + 1)]"
    generator = solution.replace("[", "(").replace("]", ")")
    outputs = outputs_of(job_of(generator, tests, solution))["plain"]
    (note,) = [o.data["text/plain"] for o in outputs if o.get("metadata", {}).get(LECTURER)]
    assert "generator" in note
    (wrong,) = outputs_of(job_of("def f(n):\n    return [0]", tests, solution))["plain"]
    assert wrong.ename == "AssertionError"


@pytest.mark.sandbox
def test_a_value_without_a_text_is_none():
    class_ = "class Empty:\n    def __repr__(self):\n        return ''\nf = Empty()"
    tests = {"here": "f", "there": "%pwd\nf"}
    outputs = outputs_of(job_of(class_, tests, class_))
    assert outputs["there"] == []
    assert [o.output_type for o in outputs["here"]] == ["execute_result"]


@pytest.mark.sandbox
def test_a_grade_never_comes_from_the_notebooks_process():
    """A test with a `Grade` that only works there is not carried out."""
    tests = {"graded": "del f\n" + GRADED.replace("f(2)", "2 + 2")}
    examined = examine(job_of(SOLUTION, tests))
    assert examined.provenance[LIVE] == []
    (error,) = [o for o in examined.cells[1].outputs if o.output_type == "error"]
    assert error.ename == "NameError"


@pytest.mark.sandbox
def test_the_lecturer_is_told_which_tests_the_answers_fail():
    tests = {"plain": "assert f(3) == 9", "wrong": "assert f(3) == 10, 'not ten'", "many": "3"}
    trial = try_out(job_of("", tests))
    assert trial.failed == {"wrong": "AssertionError: not ten", "many": "it returns 3"}
    assert "plain" not in trial.live


@pytest.mark.sandbox
def test_a_test_can_use_what_an_earlier_one_defines_wherever_they_run():
    tests = {
        "first": "### BEGIN HIDDEN TESTS\ndef nine():\n    return 9\n### END HIDDEN TESTS\n"
                 "assert f(3) == nine()",
        "second": "%pwd\nassert f(3) == nine()\neight = 8",
        "third": "assert f(3) == nine() == eight + 1",
    }  # fmt: skip
    examined = examine(job_of(SOLUTION, tests))
    assert examined.provenance[LIVE] == ["second"]
    assert errors_of({c.id: c.outputs for c in examined.cells[1:]}) == {}


def test_a_changed_answer_of_the_lecturers_is_a_new_job_only_if_it_decides_something():
    changed = SOLUTION + "\n"
    assert job_of("").digest != job_of("", solution=changed).digest
    graded = {"graded": GRADED}
    assert job_of("", graded).digest == job_of("", graded, changed).digest


def test_which_tests_use_a_grade():
    sources = {
        "imports": "from course_utils.grading import grade as g\ng.holds('x', x)",
        "uses": "g.holds('y', y)",
        "plain": "# the grade of g\nassert grade(95) == 'A'",
        "magic": "%pwd",
    }
    cells = [new_cell(name, source, points=1) for name, source in sources.items()]
    assert ordinary_tests(cells) == {"plain", "magic"}
    given = ["import course_utils.grading as grade"]
    assert ordinary_tests(cells, given) == {"magic"}


@pytest.mark.parametrize(
    ("test", "needs_it"),
    [
        ("assert f(3) == 9", False),
        ("x = 3\nassert f(x) == 9", False),
        ("import numpy as np\nassert np.all(f(3) == 9)", False),
        ("f = kept", True),
        ("del f", True),
        ("def sum(values):\n    raise ValueError", True),
        ("limit = 3", True),
        ("here = %pwd", True),
        ("assert 'f' in globals()", True),
        ("from unittest.mock import patch\npatch('os.getcwd')", True),
        ("with tool.patch('builtins.print'):\n    f(3)", True),
        ("patch = image[:8, :8]\nassert f(patch).dir == 1", False),
    ],
)
def test_which_tests_make_sense_in_the_notebooks_process_only(test, needs_it):
    answers = [
        "import numpy as np\ndef g(x):\n    return f(np.abs(x)) + limit\n"
        "from unittest import mock as tool\nx = [i for i in x]"
    ]
    assert names.needs_the_kernel(test, answers) == needs_it


def test_the_lecturers_imports_and_functions_are_found():
    cells = [
        "import numpy as np, math\nfrom os import path\nx = 1",
        "import nothing",
        "import io",
        "a(",
    ]
    known: dict = {}
    for code in names.imports(cells, users=["np.ones(path)", "nothing.f()"]):
        exec(code, known)
    assert known.keys() - {"__builtins__"} == {"np", "math", "path"}
    for code in names.definitions(["def f():\n    return 3\nx = 1", "a(", "def g(x=y):\n    pass"]):
        exec(code, known)
    assert known["f"]() == 3
    assert not known.keys() & {"g", "x"}


def test_a_module_of_the_lecturers_is_one_wherever_its_file_is():
    code = names.module("lecturers_helper", b"def double(x):\n    return 2 * x\n1 / 0\n")
    known: dict = {}
    exec(code + "from lecturers_helper import double", known)
    assert known["double"](2) == 4
    exec(names.module("json", b"x = 1") + "import json", known)
    assert known["json"].loads("1") == 1
