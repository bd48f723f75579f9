"""The grader's parts: grades, points, repairs, scans, penalties."""

from __future__ import annotations

import os

import nbformat
import numpy as np
import pytest
from jinja2 import Environment
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.errors import AssignmentError
from course_utils.grading import grade
from course_utils.grading.assignment import check, leaks
from course_utils.grading.assignment.course import course_folder, read_source
from course_utils.grading.nbgrader_steps import feedback, intake, notes, points
from course_utils.grading.sandbox import limits


def graded_cell(source="", *, points=4.0, grade_id="q", outputs=(), answer=False, course=None):
    about = {"grade_id": grade_id, "grade": True, "solution": answer, "locked": not answer,
             "points": points, "task": False, "schema_version": 3}  # fmt: skip
    cell = new_code_cell(source, metadata={"nbgrader": about, "course": course or {}})
    cell.outputs = list(outputs)
    return cell


def result(fraction):
    data = grade.Grade(fraction, "said")._repr_mimebundle_()
    return new_output("execute_result", data=data, execution_count=1)


# Grades


@pytest.mark.parametrize(
    ("accuracy", "part"),
    [(0.30, 0.0), (0.35, 0.0), (0.40, 0.5), (0.44, 0.9), (0.45, 1.0), (0.99, 1.0)],
)
def test_points_rise_over_ten_points_of_accuracy(accuracy, part):
    assert grade.partial_credit(accuracy, 0.45) == pytest.approx(part)


@pytest.mark.parametrize(
    ("got", "expected", "right"),
    [
        (3072, 3072, True),
        (np.int64(3072), 3072, True),
        (3072.0, 3072, True),
        (True, 1, False),
        ("3072", 3072, False),
        (None, 3072, False),
        (np.longdouble(3072), 3072, True),
        (np.array([1, 2], dtype="longdouble"), [1, 2], True),
        ((1, 2), [1, 2], True),
        (np.array([1, 2]), [1, 2], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1}, True),
        ({"b": 1}, {"a": 1}, False),
        (float("nan"), 1.0, False),
        (False, False, True),
    ],
)
def test_equal_takes_what_is_right_in_any_usual_type(got, expected, right):
    assert grade.equal("it", got, expected).fraction == right


def test_an_object_that_equals_everything_earns_nothing():
    class Always:
        def __eq__(self, other):
            return True

        def __float__(self):
            return 3072.0

        __hash__ = None

    assert grade.equal("it", Always(), 3072).fraction == 0
    assert grade.equal("it", [Always()], [1]).fraction == 0
    assert grade.holds("it", Always()).fraction == 0
    assert grade.claim("it", Always(), 0.5).fraction == 0


def test_the_right_answer_is_not_told():
    assert "3072" not in grade.equal("inputs", 5, 3072, hint="Every pixel counts.").message


def test_parts_are_weighted():
    one, none = grade.Grade(1.0, "yes"), grade.Grade(0.0, "no", review="look")
    both = grade.together(one, none, weights=(3, 1))
    assert both.fraction == 0.75
    assert both.message == "yes\nno"
    assert both.review == "look"


@pytest.mark.parametrize(
    ("claimed", "earned"), [(0.481, 1), (0.486, 0), (48.1, 0), (None, 0), ("0.481", 0), (True, 0)]
)
def test_a_claim_must_be_what_is_measured(claimed, earned):
    assert grade.claim("accuracy", claimed, 0.480).fraction == earned


def test_a_network_that_was_not_handed_in_says_so(tmp_path, monkeypatch, small_data):
    monkeypatch.chdir(tmp_path)
    given = grade.network("a1-q2", small_data)
    assert given.fraction == 0
    assert "a1-q2.keras is missing" in given.message
    assert given.review


# Points of a cell


@pytest.mark.parametrize(
    ("outputs", "score"),
    [
        ([result(1.0)], 4.0),
        ([result(0.25)], 1.0),
        ([result(0.0)], 0.0),
        ([], 0.0),
        ([new_output("stream", name="stdout", text="fine")], 0.0),
        ([new_output("execute_result", data={"text/plain": "4"}, execution_count=1)], 0.0),
        ([result(1.0), result(1.0)], 0.0),
        ([result(1.0), new_output("error", ename="E", evalue="", traceback=[])], 0.0),
        ([new_output("stream", name="stderr", text="I0000 noise"), result(1.0)], 4.0),
        ([result(float("nan"))], 0.0),
        ([result(2.0)], 0.0),
    ],
)
def test_a_test_cell_earns_what_its_one_grade_says(outputs, score):
    from nbgrader.utils import determine_grade

    cell, _ = points.GradeCells().preprocess_cell(graded_cell(outputs=outputs), {}, 0)
    assert determine_grade(cell) == (score, 4.0)


def test_a_traceback_of_a_hidden_test_is_cut_to_its_last_line():
    secret = new_output(
        "error", ename="NameError", evalue="name 'x' is not defined", traceback=["secret == 42"]
    )
    cell, _ = points.GradeCells().preprocess_cell(graded_cell(outputs=[secret]), {}, 0)
    text = str(cell.outputs)
    assert "secret" not in text
    assert "name 'x' is not defined" in text


def test_feedback_hides_tests_rubrics_and_reasons():
    locked = graded_cell("shown = 1\n### BEGIN HIDDEN TESTS\nsecret = 2\n### END HIDDEN TESTS")
    locked.outputs = [result(1.0), points._for_lecturer("copied")]
    rubric = new_markdown_cell("Why?\n### BEGIN MARK SCHEME\nsecret\n### END MARK SCHEME")
    rubric.metadata["nbgrader"] = {"locked": True, "grade": False, "solution": False}
    shown, _ = feedback.HideFromStudents().preprocess(new_notebook(cells=[locked, rubric]), {})
    text = nbformat.writes(shown)
    assert "shown = 1" in text
    assert "secret" not in text
    assert "copied" not in text


def test_the_templates_of_the_page_are_compiled_once(monkeypatch):
    compiled = []
    compile_template = Environment.compile

    def counted(self, source, name=None, *rest, **settings):
        compiled.append(name)
        return compile_template(self, source, name, *rest, **settings)

    monkeypatch.setattr(Environment, "compile", counted)
    monkeypatch.setattr(feedback, "_compiled", feedback._InMemory())
    notebook = new_notebook(cells=[new_markdown_cell("# Hello")])
    first, _ = feedback.FeedbackExporter().from_notebook_node(notebook)
    assert len(compiled) == len(set(compiled)) > 1
    compiled.clear()
    second, _ = feedback.FeedbackExporter().from_notebook_node(notebook)
    assert compiled == []
    assert second == first


# Notebooks that are not as they should be


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


def test_notes_are_for_both():
    notebook = new_notebook(cells=[new_code_cell("1")])
    notes.add_note(notebook, "You left one out.", "One left out.")
    assert "You left one out." in notebook.cells[0].source
    assert notes.lecturer_notes(notebook) == ["One left out."]


# The lecturer's notebook


def answer_cell(source, grade_id="a"):
    about = {"grade_id": grade_id, "grade": False, "solution": True, "locked": False}
    return new_code_cell(source, metadata={"nbgrader": about})


SOLVED = "x = None\n### BEGIN SOLUTION\nx = the_long_way_to_the_answer(42)\n### END SOLUTION"


def test_released_lines_are_the_lecturers_or_gaps():
    source = new_notebook(cells=[answer_cell(SOLVED)])
    good = new_notebook(cells=[answer_cell("x = None\n# YOUR CODE HERE")])
    assert check.stub_problems(source, good) == []
    changed = new_notebook(cells=[answer_cell("x = 1\n# YOUR CODE HERE")])
    assert "differ" in check.stub_problems(source, changed)[0]


def test_a_gap_without_a_solution_is_found():
    source = new_notebook(cells=[answer_cell("y = None\n" + SOLVED)])
    released = new_notebook(cells=[answer_cell("y = None\nx = None\n# YOUR CODE HERE")])
    assert "y is asked for" in check.stub_problems(source, released)[0]


def test_the_scan_finds_what_was_left_in():
    secret = "### BEGIN HIDDEN TESTS\nfirst_secret_line = 1\nsecond_secret_line = 2\n### END HIDDEN TESTS"  # noqa: E501
    source = new_notebook(cells=[graded_cell(f"visible_line = 0\n{secret}"), answer_cell(SOLVED)])
    clean = new_notebook(cells=[graded_cell("visible_line = 0"), answer_cell("x = None")])
    pieces = leaks.secrets(source, clean)
    assert pieces
    assert leaks.leaks(pieces, nbformat.writes(clean)) == []
    left_in = new_notebook(cells=[graded_cell(secret)])
    assert leaks.leaks(pieces, nbformat.writes(left_in))
    page = "<pre><span>first_secret_line</span> = <b>1</b>\nsecond_secret_line = 2</pre>"
    assert leaks.leaks(pieces, page)
    assert leaks.leaks(pieces, "<p>first_secret_line = 1</p>") == []


def test_the_scan_finds_one_long_line_and_quotes():
    long = 'answer = compute("a rather long line that only the lecturer has", 42)'
    source = new_notebook(cells=[answer_cell(f"### BEGIN SOLUTION\n{long}\n### END SOLUTION")])
    pieces = leaks.secrets(source, new_notebook())
    assert leaks.leaks(pieces, nbformat.writes(new_notebook(cells=[new_code_cell(long)])))
    assert leaks.leaks(pieces, long.replace('"', "&quot;"))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (graded_cell("assert True"), "does not end in a hidden test"),
        (graded_cell("### BEGIN HIDDEN TESTS\n1\n### END HIDDEN TESTS"), "names no question"),
        (graded_cell(points=0), "has no points"),
        (graded_cell(outputs=[result(1.0)]), "has outputs"),
        (answer_cell("x = 1"), "marks no solution"),
        (graded_cell("because", answer=True), "has no rubric"),
    ],
)
def test_check_finds_what_is_wrong(tmp_path, cell, problem):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[cell]), folder / "a9.ipynb")
    assert any(problem in found for found in check.check(tmp_path, "a9"))


def test_unknown_assignment_names_those_that_exist(tmp_path):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(), folder / "a9.ipynb")
    with pytest.raises(AssignmentError, match="choose one of a9"):
        read_source(tmp_path, "a8")


def test_outside_a_course_one_sentence(tmp_path):
    with pytest.raises(AssignmentError, match=r"no nbgrader_config.py"):
        course_folder(tmp_path)


# Late


@pytest.mark.parametrize(
    ("seconds", "taken"), [(1, 2.0), (86_400, 2.0), (86_401, 4.0), (86_400 * 30, 20.0)]
)
def test_each_day_late_costs_a_tenth(seconds, taken):
    assert points.PerDay().late_submission_penalty("s", 20.0, seconds) == pytest.approx(taken)


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
