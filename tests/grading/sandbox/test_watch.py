"""The clock that counts a program's own time."""

from __future__ import annotations

import pytest

from course_utils.grading.sandbox import watch
from course_utils.grading.sandbox.limits import BACKSTOP
from course_utils.grading.sandbox.watch import Clock, Usage


@pytest.mark.parametrize(
    ("passed", "computed", "waited", "own"),
    [
        pytest.param(10, 0, 0, 10, id="sleeps"),
        pytest.param(10, 10, 0, 10, id="computes"),
        pytest.param(10, 20, 0, 10, id="computes on two cores"),
        pytest.param(10, 1, 9, 1, id="waits for a core"),
        pytest.param(10, 1, 4, 6, id="waits for a core and sleeps"),
        pytest.param(10, 20, 500, 10, id="many compute and wait for each other"),
        pytest.param(10, -3, -2, 10, id="has ended"),
    ],
)
def test_own_time(monkeypatch, passed, computed, waited, own):
    now = 100.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    used = Usage(5, 3)
    clock = Clock(lambda: used)
    now += passed
    used = Usage(5 + computed, 3 + waited)
    assert clock.seconds() == own
    assert clock.left(30) == 30 - own
    now += BACKSTOP * 30
    assert clock.left(30) <= 0
