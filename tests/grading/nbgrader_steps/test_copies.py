"""Networks and logs that two students have in common."""

from __future__ import annotations

import pytest

from course_utils.grading import grade
from course_utils.grading.nbgrader_steps.copies import alike, note_traces

MISTAKES = "a..b..c..d" * 20
WEIGHTS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (MISTAKES, MISTAKES, True),
        (MISTAKES, MISTAKES.replace("a", "e", 5), True),
        (MISTAKES, MISTAKES.replace("a", "e", 9), False),
        (MISTAKES, MISTAKES.replace("a", ".", 9), False),
        (MISTAKES, MISTAKES + ".", False),
        ("." * 200, "." * 200, False),  # two networks without a mistake
        ("a" * 19 + "." * 100, "a" * 19 + "." * 100, False),
        (WEIGHTS, WEIGHTS, True),
        (WEIGHTS, WEIGHTS[::-1], False),
        ("", "", False),
    ],
)
def test_copies_agree_in_nearly_all_mistakes(one, other, expected):
    assert alike(one, other) is expected
    assert alike(other, one) is expected


def test_each_student_is_compared_with_all_others(tmp_path):
    def note(student, **names):
        return note_traces(tmp_path, "a1", student, {"q1-test": names})

    changed = MISTAKES.replace("a", "e", 5)
    assert note("ann", net=[MISTAKES, WEIGHTS]) == {}
    assert note("bob", net=[MISTAKES[::-1], WEIGHTS]) == {"q1-test": {"net": ["ann"]}}
    assert note("cy", net=[changed, "0" * 64]) == {"q1-test": {"net": ["ann"]}}
    assert note("dee", other=[MISTAKES, WEIGHTS]) == {}
    assert note("ann", net=["b" * 200, "1" * 64]) == {}
    assert note("cy", net=[changed, "0" * 64]) == {}


def test_a_log_with_a_number_added_to_all_accuracies_is_the_same_log():
    right = grade.holds("the log", True)
    log = [0.5 + 0.003 * (number * 7 % 11) for number in range(12)]
    (one,) = grade.traced(right, "a7-log", log).traces["a7-log"]
    for added in (0.0, 7 / 5_000, -0.01):
        (other,) = grade.traced(right, "a7-log", [n + added for n in log]).traces["a7-log"]
        assert alike(one, other)
    (another,) = grade.traced(right, "a7-log", log[::-1]).traces["a7-log"]
    assert not alike(one, another)
