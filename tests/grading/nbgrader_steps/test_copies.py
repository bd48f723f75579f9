"""Networks and logs that two students have in common."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.grading import grade
from course_utils.grading.grade import values
from course_utils.grading.nbgrader_steps.copies import (
    Copy,
    _are_close,
    alike,
    find_copies,
    note_traces,
)

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


def test_every_two_students_with_a_copy_are_found(tmp_path):
    networks = {
        "ann": [MISTAKES, WEIGHTS],
        "bob": [MISTAKES[::-1], WEIGHTS[::-1]],
        "cy": [MISTAKES, "0" * 64],
    }
    for student, network in networks.items():
        note_traces(tmp_path, "a1", student, {"q1-test": {"net": network}})
    assert find_copies(tmp_path, "a1") == [Copy("q1-test", "net", ("ann", "cy"))]
    note_traces(tmp_path, "a1", "bob", {"q1-test": {"net": networks["cy"]}})
    pairs = [copy.students for copy in find_copies(tmp_path, "a1")]
    assert pairs == [("ann", "bob"), ("ann", "cy"), ("bob", "cy")]
    assert find_copies(tmp_path, "a2") == []


def trace(numbers):
    """Return what is compared of a log with these accuracies."""
    graded = grade.traced(grade.holds("the log", True), "a7-log", list(numbers))
    (text,) = graded.traces["a7-log"]
    return text


def test_a_log_with_a_number_added_to_all_accuracies_is_the_same_log():
    log = [0.5 + 0.003 * (number * 7 % 11) for number in range(12)]
    for added in (0.0, 7 / 5_000, -0.01):
        assert alike(trace(log), trace([n + added for n in log]))
    assert not alike(trace(log), trace(log[::-1]))


def test_a_log_with_every_accuracy_changed_by_an_image_is_the_same_log():
    rng = np.random.default_rng(0)
    for _ in range(100):
        # Three runs of ten epochs: they learn alike, and each has chances of its own.
        learnt = np.tile(0.8 - 0.4 * np.exp(-np.arange(10) / 3), 3)
        log, another = (np.round(learnt + rng.normal(0, 0.005, 30), 4) for _ in range(2))
        changed = log + rng.choice([-1, 1], 30) / 5_000
        assert alike(trace(log), trace(changed))
        assert not alike(trace(log), trace(another))
        # Flat curves look alike, so they prove nothing.
        flat = [0.98 + rng.choice([-1, 0, 1], 30) / 10_000 for _ in range(2)]
        assert not _are_close(*map(trace, flat))


def test_a_log_with_a_step_more_or_less_is_the_same_log():
    rng = np.random.default_rng(1)
    for _ in range(100):
        learnt = np.tile(0.8 - 0.4 * np.exp(-np.arange(8) / 3), 4)
        log, another = (np.round(learnt + rng.normal(0, 0.005, 32), 4) for _ in range(2))
        changed = (
            log[:-8],  # without the last of four steps
            log[8:],  # ... or the first
            np.insert(log, 11, log[11]),  # an epoch more in the second step
            np.delete(log, [3, 19]),
            np.concatenate([log[:16], another[:8], log[16:]]),  # a step of somebody else between
        )
        for copy in changed:
            assert alike(trace(log), trace(copy))
            assert alike(trace(copy), trace(log))
        assert not alike(trace(log), trace(another[:-8]))
    assert not alike(trace(log[:3]), trace(log))


def test_of_an_endless_log_only_the_beginning_is_compared():
    """Comparing two logs takes memory for each pair of their numbers."""
    rng = np.random.default_rng(2)
    whole = grade.holds("the log", True)
    log, junk = rng.random(values.MAX_TRACED), rng.random(500_000)
    logs = [grade.traced(whole, "a7-log", [*log, *more]) for more in ((), junk, junk[::-1])]
    one, *endless = [graded.traces["a7-log"][0] for graded in logs]
    assert [text == one for text in endless] == [True, True]
    assert alike(one, trace(log[::-1])) is False
    assert [graded.review for graded in logs] == [
        "",
        *["a7-log: only the first 1,000 of 501,000 numbers were compared"] * 2,
    ]


def test_a_network_that_mirrors_its_pictures_first_is_a_copy(tmp_path):
    def note(student, mistakes, mirrored):
        texts = [mistakes, student[0] * 64, mirrored]
        found = note_traces(tmp_path, "a1", student, {"q1-test": {"net": texts}})
        return found.get("q1-test", {}).get("net", [])

    other = "b..a..d..c" * 20
    assert note("ann", MISTAKES, other[:100]) == []
    assert note("bob", other, MISTAKES[:100]) == ["ann"]
    # Networks that answer alike for mirrored pictures alone are common, as for digits.
    assert note("cy", "c..c..c..c" * 20, other[:100]) == ["bob"]
    assert note("dee", "d..d..d..d" * 20, "") == []
