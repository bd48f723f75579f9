"""Control groups, where the system allows them: what they limit, and that nothing is left."""

from __future__ import annotations

import contextlib
import subprocess
import time
from unittest import mock

import psutil
import pytest
from sandbox_programs import FILLS_SOCKETS
from small_notebooks import wait_for

from course_utils.grading.sandbox import bubblewrap, cgroups, fork_server
from course_utils.grading.sandbox.bubblewrap import Sandbox
from course_utils.grading.sandbox.limits import Limits

pytestmark = pytest.mark.sandbox

BUSY = "while True: pass"
MANY = "import os\nfor _ in range(50):\n    if os.fork() == 0: break\n" + BUSY
MEMORY = "import time; kept = b'1' * 2**29; time.sleep(60)"


def needs(controller: str) -> pytest.MarkDecorator:
    missing = controller not in cgroups.controllers()
    return pytest.mark.skipif(missing, reason=f"no control groups for {controller} here")


def start(sandbox: Sandbox, program: str) -> int:
    return fork_server.shared().start("builtins:exec", sandbox.ticket(), {}, [program])


@pytest.mark.skipif(cgroups._home() is None, reason="no control groups here")
def test_a_group_counts_its_programs_and_ends_with_them():
    with contextlib.closing(Sandbox()) as sandbox:
        pid = start(sandbox, MANY)
        group = sandbox._group._path
        wait_for(lambda: len((group / "cgroup.procs").read_text().split()) == 51)
        assert str(pid) in (group / "cgroup.procs").read_text().split()
        wait_for(lambda: sandbox.usage().computed > 0.5)
    assert not group.exists()
    assert not psutil.pid_exists(pid)


@pytest.mark.skipif(cgroups._home() is None, reason="no control groups here")
def test_what_a_killed_grader_has_left_is_removed():
    ended = subprocess.Popen(["true"])
    ended.wait()
    place = cgroups._home().parent
    left = place / f"{cgroups.PREFIX}{ended.pid}"
    (left / "1").mkdir(parents=True)
    cgroups._remove_old(place)
    assert not left.exists()
    assert cgroups._home().exists()


@needs("memory")
@pytest.mark.parametrize("program", [MEMORY, FILLS_SOCKETS])
def test_a_group_ends_when_it_takes_too_much_memory(monkeypatch, program):
    """Without the watch, which sees only some of it, and only four times a second."""
    monkeypatch.setattr(bubblewrap, "WATCH_SECONDS", 100)
    with contextlib.closing(Sandbox(limits=Limits(memory=2**26, disk=2**20))) as sandbox:
        pid = start(sandbox, program)
        wait_for(lambda: not psutil.pid_exists(pid))
        assert sandbox.exceeded == "more than 0 GB of memory"
    assert sandbox.exceeded == "more than 0 GB of memory"


@needs("cpu")
def test_a_group_of_many_has_no_larger_share_of_the_cores():
    with contextlib.closing(Sandbox()) as one, contextlib.closing(Sandbox()) as other:
        start(other, MANY)
        start(one, BUSY)
        time.sleep(1)
        before = one.usage().computed, other.usage().computed
        time.sleep(4)
        mine, theirs = (s.usage().computed - b for s, b in zip((one, other), before, strict=True))
    assert mine > 0.4 * theirs / (psutil.cpu_count() - 0.9)


def test_without_groups_a_sandbox_is_only_watched():
    with (
        mock.patch.object(cgroups, "_home", return_value=None),
        contextlib.closing(Sandbox()) as sandbox,
    ):
        assert sandbox.ticket().group == ""
        start(sandbox, MANY)
        wait_for(lambda: sandbox.usage().computed > 0.5)
        # Fifty programs wait for the cores of this machine most of the time.
        wait_for(lambda: sandbox.usage().waited > 2)
