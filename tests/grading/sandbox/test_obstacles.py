"""Systems that allow less than others: the sandbox works there, or one sentence says what to do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from nbgrading import hand_in, make_course

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.sandbox import bubblewrap, obstacles
from course_utils.grading.sandbox.bubblewrap import Sandbox

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away from root")
# Root's rights in a container, without those that containers do not give by default.
IN_A_CONTAINER = ["setpriv", "--no-new-privs", "--bounding-set", "-sys_admin,-net_admin"]
OPEN = "from course_utils.grading.sandbox.bubblewrap import Sandbox; Sandbox().close()"
# System calls that the filter of a container refuses.
FILTERED = f"""
import ctypes, errno
from course_utils.grading.sandbox import seccomp
context = ctypes.c_void_p(seccomp.library().seccomp_init(ctypes.c_uint32(seccomp.ALLOW)))
for name in ("unshare", "setns", "mount"):
    seccomp._refuse(context, name, errno.EPERM)
for flag in seccomp.NEW_NAMESPACES:
    seccomp._refuse(context, "clone", errno.EPERM, seccomp._has(0, flag))
seccomp.library().seccomp_load(context)
{OPEN}
"""
NO_NAMESPACES = "echo 0 > /proc/sys/user/max_user_namespaces"
MASKED = "mount -t tmpfs none /proc/irq"
NO_GROUPS = "mount -t tmpfs none /sys/fs/cgroup"
EXAMINE = """
from nbformat.v4 import new_code_cell
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine
from course_utils.grading.sandbox import cgroups
LOOK = "print(open('/proc/self/status').read().split('CapEff:')[1].split()[0])"
examined = examine(Job([new_code_cell(LOOK)], [], {}, 60, 60, False))
print(examined.cells[0].outputs[0].text.strip(), cgroups._home(), examined.notes)
"""


def python(program: str, *around: str) -> subprocess.CompletedProcess:
    command = [*around, sys.executable, "-c", program]
    variables = os.environ | {env.GPUS.name: ""}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def after(command: str, *how: str) -> list[str]:
    """Return what runs a program in new namespaces, after a command there."""
    return ["unshare", *how, "sh", "-c", f'{command} && exec "$@"', "-"]


@root
@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("program", "around", "remedy"),
    [
        pytest.param(
            OPEN, [*after(NO_NAMESPACES, "-Ur"), *IN_A_CONTAINER],
            "sudo sysctl user.max_user_namespaces", id="no namespaces",
        ),
        pytest.param(
            OPEN, [*after(MASKED, "-m"), *IN_A_CONTAINER], "systempaths=unconfined",
            id="masked files of the system",
        ),
        pytest.param(FILTERED, IN_A_CONTAINER, "seccomp=unconfined", id="filter of a container"),
    ],
)  # fmt: skip
def test_where_no_sandbox_can_be_one_sentence_says_what_to_do(program, around, remedy):
    done = python(program, *around)
    (said,) = (line for line in done.stderr.splitlines() if "SandboxError:" in line)
    assert "bubblewrap cannot create a sandbox here" in said
    assert remedy in said


@root
@pytest.mark.sandbox
def test_in_a_container_without_rights_and_groups_a_sandbox_works():
    done = python(EXAMINE, *after(NO_GROUPS, "-m"), *IN_A_CONTAINER)
    assert done.stdout.splitlines()[-1:] == ["0" * 16 + " None []"], done.stderr


def test_under_apparmors_rule_the_profile_is_named(monkeypatch):
    rule = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(obstacles, "needs_user_namespace", lambda: True)
    monkeypatch.setattr(obstacles, "_content", lambda file: "1" if file == rule else None)
    assert f"sudo install -m 644 {obstacles.PROFILE} /etc/apparmor.d/bwrap" in obstacles.advice("")
    assert obstacles.PROFILE.is_file()


@pytest.mark.process
@pytest.mark.skipif(not shutil.which("apparmor_parser"), reason="no apparmor_parser here")
def test_the_profile_can_be_read():
    subprocess.run(["apparmor_parser", "-QK", str(obstacles.PROFILE)], check=True)


@pytest.mark.process
def test_the_remedy_is_part_of_the_refusal(monkeypatch):
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: "/bin/false")
    monkeypatch.setattr(obstacles, "advice", lambda reason: "Do this.")
    with pytest.raises(SandboxError, match=r"cannot create a sandbox here \(\)\. Do this\. To run"):
        Sandbox()


# Errors of bubblewrap, each with its remedy.
SAID = {
    "bwrap: setting up uid map: Permission denied": "apparmor_parser -r /etc/apparmor.d/bwrap",
    "bwrap: Unknown option --size": "version 0.7 or a later one is needed",
}


@pytest.mark.process
@pytest.mark.parametrize("said", SAID)
def test_doctor_and_course_grade_advise_the_same_from_what_bubblewrap_says(tmp_path, said):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "bwrap").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (programs / "bwrap").chmod(0o755)
    course = make_course(tmp_path / "course", "a0-mnist")
    hand_in(course, "ada", "a0-mnist")
    with_path = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    with_path.pop(env.WITH_MY_RIGHTS.name, None)
    told = []
    for command in (["grade", "a0-mnist"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "course_utils.cli", *command],
            env=with_path | {"COLUMNS": "1000"}, cwd=course, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        printed = " ".join((done.stdout + done.stderr).split())
        assert "Traceback" not in printed
        found = re.search(r"bubblewrap cannot create a sandbox here \(.*?=1\.", printed)
        assert found, printed
        told.append(found[0])
    assert told[0] == told[1]
    assert said in told[0]
    assert SAID[said] in told[0]
