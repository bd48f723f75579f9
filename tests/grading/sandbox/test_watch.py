"""The clock that counts a program's own time, and what it is measured from."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from unittest import mock

import pytest
from sandbox_programs import FORGETS, IS_COUNTED, WAKE_TOGETHER
from small_notebooks import wait_for

from course_utils.grading.sandbox import cgroups, watch
from course_utils.grading.sandbox.bubblewrap import Sandbox
from course_utils.grading.sandbox.fork_server import ForkServer
from course_utils.grading.sandbox.limits import BACKSTOP, MAX_LOST_SECONDS
from course_utils.grading.sandbox.watch import Clock, Meter, Usage


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


@pytest.fixture(scope="module")
def server():
    """A fork server that has imported hardly anything."""
    with contextlib.closing(ForkServer("time:tzset")) as server:
        yield server


@pytest.fixture
def running(server):
    """Start a program in a sandbox without a control group; the sandboxes end with the test."""
    with (
        mock.patch.object(cgroups, "_home", return_value=None),
        contextlib.ExitStack() as sandboxes,
    ):

        def start(program: str) -> Sandbox:
            sandbox = sandboxes.enter_context(contextlib.closing(Sandbox()))
            server.start("builtins:exec", sandbox.ticket(), {}, [program])
            return sandbox

        yield start


@pytest.mark.sandbox
def test_processes_whose_time_is_forgotten_do_not_wait(running):
    sandbox = running(FORGETS)
    clock = Clock(sandbox.usage)
    # If hidden time were not noticed, ten times the limit would have to pass.
    wait_for(lambda: clock.left(5) <= 0, seconds=9 * 5)
    assert sandbox.usage().waited == 0


@pytest.mark.sandbox
def test_processes_that_wake_together_do_not_stop_the_clock(running):
    clock = Clock(running(WAKE_TOGETHER).usage)
    # If the waiting of all counted, ten times the limit would have to pass.
    wait_for(lambda: clock.left(5) <= 0, seconds=9 * 5)


def test_of_threads_that_wait_at_the_same_time_the_longest_counts(monkeypatch):
    waits = {"1": {"1": 1.0, "2": 3.0}, "7": {"7": 2.0}}
    monkeypatch.setattr(watch, "_running", lambda _: [Path(name) for name in waits])
    monkeypatch.setattr(watch, "waited", lambda process: waits[process.name])
    monkeypatch.setattr(watch, "times", lambda _: None)
    meter = Meter(Path("/nowhere"))
    assert meter.usage().waited == 3
    waits |= {"1": {"1": 1.5, "2": 3.0}, "7": {"7": 2.25}}
    meter.look()
    assert meter.usage().waited == 3.5
    del waits["1"]  # it has ended, and what it has waited still counts
    waits["7"] = {"7": 3.25}
    assert meter.usage().waited == 4.5


@pytest.mark.sandbox
def test_the_time_of_processes_that_somebody_waits_for_is_kept(running):
    sandbox = running(IS_COUNTED)
    wait_for(lambda: sandbox.usage().computed > 2)
    assert sandbox._meter._lost < MAX_LOST_SECONDS / 2
    assert sandbox.usage().waited > 0


PRIORITIES = """
import os, time

os.nice(19)
os.setpriority(os.PRIO_PROCESS, 0, 19)
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
with open("/tmp/priority", "w") as file:
    print(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), file=file, flush=True)
    time.sleep(60)
"""


@pytest.mark.sandbox
def test_no_program_has_a_lower_priority_than_others(running):
    said = running(PRIORITIES).outside(Path("/tmp/priority"))
    wait_for(lambda: said.exists() and said.read_text())
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert said.read_text().split() == [str(own), str(os.SCHED_OTHER)]
