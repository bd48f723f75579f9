"""Points of a cell, and penalties."""

from __future__ import annotations

import pytest
from graded_cells import graded_cell, result
from nbformat.v4 import new_output

from course_utils.grading.nbgrader_steps import points
from course_utils.submission.contract import ORDINARY


def shown(text):
    return new_output("execute_result", data={"text/plain": text}, execution_count=1)


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


@pytest.mark.parametrize(
    ("outputs", "score", "said"),
    [
        ([], 4.0, "was passed"),
        ([new_output("stream", name="stdout", text="fine")], 4.0, "was passed"),
        ([shown("2.5")], 2.5, "2.5"),
        ([shown("'well done'")], 4.0, "was passed"),
        ([shown("5")], 0.0, "more points than there are"),
        ([new_output("error", ename="E", evalue="so", traceback=["secret"])], 0.0, "passed. E: so"),
        ([new_output("stream", name="stderr", text="noise")], 0.0, "standard error"),
    ],
)
def test_a_test_without_a_grade_earns_what_nbgrader_gives(outputs, score, said):
    from nbgrader.utils import determine_grade

    cell = graded_cell(outputs=outputs)
    cell.metadata[ORDINARY] = True
    cell, _ = points.GradeCells().preprocess_cell(cell, {}, 0)
    assert determine_grade(cell) == (score, 4.0)
    assert said in str(cell.outputs)
    assert "secret" not in str(cell.outputs)


def test_a_traceback_of_a_hidden_test_is_cut_to_its_last_line():
    secret = new_output(
        "error", ename="NameError", evalue="name 'x' is not defined", traceback=["secret == 42"]
    )
    cell, _ = points.GradeCells().preprocess_cell(graded_cell(outputs=[secret]), {}, 0)
    text = str(cell.outputs)
    assert "secret" not in text
    assert "name 'x' is not defined" in text


@pytest.mark.parametrize(
    ("seconds", "taken"), [(1, 2.0), (86_400, 2.0), (86_401, 4.0), (86_400 * 30, 20.0)]
)
def test_each_day_late_costs_a_tenth(seconds, taken):
    assert points.PerDay().late_submission_penalty("s", 20.0, seconds) == pytest.approx(taken)
