"""Whatever is handed in, the grader accepts it or refuses it with a sentence.

The benchmark `fuzzing` tries ten thousand inputs of each kind.
"""

from __future__ import annotations

import fuzzing
import pytest
from fuzzing import ACCEPTED, REFUSED, InAnotherProcess, Intake, try_each
from nbgrading import add_assignment, make_course, value_cells

from course_utils.grading.assignment.course import read_released

NUMBER = 300


def test_a_changed_structure_is_refused_or_holds_nothing_outside_the_table():
    outcomes = try_each(fuzzing.changed_structures(), fuzzing.check_structure, NUMBER)
    assert outcomes[ACCEPTED]
    assert outcomes[REFUSED]


@pytest.fixture
def another_process():
    """Calls a check in another process."""
    process = InAnotherProcess()
    yield process
    process.close()


@pytest.mark.process
def test_nothing_outside_the_table_is_built(another_process):
    outcomes = try_each(
        fuzzing.changed_structures(),
        lambda drawn: another_process(fuzzing.check_building, drawn),
        NUMBER // 3,
    )
    assert outcomes[ACCEPTED]
    assert outcomes[REFUSED]


@pytest.mark.process
def test_a_changed_archive_is_refused_or_has_a_structure(another_process):
    outcomes = try_each(
        fuzzing.changed_archives(),
        lambda drawn: another_process(fuzzing.check_archive, drawn),
        NUMBER,
    )
    assert outcomes[ACCEPTED]
    assert outcomes[REFUSED]


def test_a_message_arrives_as_it_was_sent():
    assert try_each(fuzzing.MESSAGES, fuzzing.check_message, NUMBER) == {ACCEPTED: NUMBER}


def test_a_forged_message_is_refused_or_has_the_form_of_its_kind():
    outcomes = try_each(fuzzing.forged_messages(), fuzzing.check_forged_message, NUMBER)
    assert outcomes[REFUSED]


def test_a_value_arrives_as_it_was_packed():
    assert try_each(fuzzing.PYTHON_VALUES, fuzzing.check_value, NUMBER) == {ACCEPTED: NUMBER}


def test_a_forged_value_is_refused_or_plain():
    outcomes = try_each(fuzzing.forged_values(), fuzzing.check_forged_value, NUMBER)
    assert outcomes[ACCEPTED]
    assert outcomes[REFUSED]


@pytest.mark.process
def test_a_changed_notebook_is_read_and_has_all_cells(tmp_path):
    course = make_course(tmp_path / "course")
    cells = value_cells("value", 3, 2.0) + value_cells("other", 4, 1.0)
    add_assignment(course, "small", cells)
    intake = Intake(course, "small")
    changed = fuzzing.changed_notebooks(read_released(course, "small"))
    assert try_each(changed, intake.check, NUMBER)[ACCEPTED]
