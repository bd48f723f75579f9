"""How the Makefile and `.ci/run` set things up, tried with programs that only note their calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from course_utils.paths import CHECKOUT as ROOT

pytestmark = pytest.mark.process


# `-m venv --clear .venv` makes an environment whose python is this script again.
FAKE_PYTHON = """\
#!/usr/bin/env bash
echo "$@" >> "$LOG"
case "$*" in
    --version) echo "Python 3.12.0" ;;
    "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-r requirements.txt"*) exit "${PIP_EXITS:-0}" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """Run `make .venv/.ready` in an own folder; returns (process, what the fake was asked)."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    fake = tmp_path / "fake-python"
    fake.write_text(FAKE_PYTHON, encoding="utf-8")
    fake.chmod(0o755)
    log = tmp_path / "log"

    def run(python=str(fake), pip_exits=0):
        log.write_text("", encoding="utf-8")
        environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        environment |= {"LOG": str(log), "PIP_EXITS": str(pip_exits), "PYTHON": python}
        process = subprocess.run(
            ["make", ".venv/.ready"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return process, log.read_text(encoding="utf-8")

    return run


def test_sets_up_once(make):
    process, asked = make()
    assert process.returncode == 0, process.stderr
    assert "-m venv --clear .venv" in asked
    assert "-r requirements.txt" in asked
    assert "--no-deps --no-build-isolation --editable ." in asked

    process, asked = make()
    assert process.returncode == 0
    assert asked == ""


def test_changed_requirements_are_installed_into_the_same_environment(make, tmp_path):
    make()
    later = (tmp_path / ".venv/.ready").stat().st_mtime + 10
    os.utime(tmp_path / "requirements.txt", (later, later))
    process, asked = make()
    assert process.returncode == 0
    assert "-r requirements.txt" in asked
    assert "-m venv" not in asked


@pytest.mark.parametrize("earlier", [False, True], ids=["first time", "update"])
def test_half_made_environment_is_made_anew(make, tmp_path, earlier):
    if earlier:
        make()
        later = (tmp_path / ".venv/.ready").stat().st_mtime + 10
        os.utime(tmp_path / "requirements.txt", (later, later))
    process, _ = make(pip_exits=1)
    assert process.returncode != 0
    assert not (tmp_path / ".venv/.ready").exists()

    process, asked = make()
    assert process.returncode == 0
    assert "-m venv --clear .venv" in asked


def test_unusable_candidates_are_passed_over(make, tmp_path):
    process, asked = make(python=f"no-such-python false {tmp_path / 'fake-python'}")
    assert process.returncode == 0
    assert "-m venv" in asked


def test_without_python_there_is_one_clear_sentence(make, tmp_path):
    process, _ = make(python="no-such-python false")
    assert process.returncode != 0
    first = process.stderr.splitlines()[0]
    assert first.startswith("No Python 3.11, 3.12 or 3.13 with venv was found: install one")
    assert not (tmp_path / ".venv").exists()


# Programs that grading needs


@pytest.fixture
def ordinary_user(tmp_path):
    """Return a function that runs a command as an ordinary user; returns (process, what sudo ran).

    The user's programs are those that the test gives; sudo notes what it is asked to do.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "log"
    log.touch()

    def run(*command, cwd=ROOT, **programs):
        programs = {"id": "echo 1000", "sudo": f'echo "$@" >> {log}'} | programs
        for name, text in programs.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        environment = {"PATH": f"{folder}:/usr/bin:/bin"}
        process = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        return process, log.read_text(encoding="utf-8").splitlines()

    return run


INSTALLED = [
    "install -m 644 course_utils/grading/sandbox/bwrap.apparmor /etc/apparmor.d/bwrap",
    "apparmor_parser -r /etc/apparmor.d/bwrap",
]


@pytest.mark.parametrize(
    ("rule", "bwrap", "expected"),
    [("1", "exit 1", INSTALLED), ("1", "exit 0", []), ("0", "exit 1", []), ("", "exit 1", [])],
    ids=["forbidden", "profile is there", "no rule", "no AppArmor"],
)
def test_apparmors_profile_is_installed_where_bubblewrap_needs_it(
    ordinary_user, tmp_path, rule, bwrap, expected
):
    file = tmp_path / "rule"
    if rule:
        file.write_text(f"{rule}\n")
    process, asked = ordinary_user("make", "sandbox", f"APPARMOR_RULE={file}", bwrap=bwrap)
    assert process.returncode == 0, process.stderr
    assert asked == expected


def test_the_commands_are_those_that_the_profile_names():
    text = (ROOT / "course_utils/grading/sandbox/bwrap.apparmor").read_text(encoding="utf-8")
    named = re.findall(r"^#\s+sudo (.*)", text, flags=re.MULTILINE)
    assert [command.replace("course_utils/grading/sandbox/", "") for command in INSTALLED] == named


@pytest.mark.parametrize(
    ("sudo", "asked"),
    [("true", ["browser", "postgresql", "sandbox", "test"]), ("exit 1", ["test"])],
    ids=["sudo", "no sudo"],
)
def test_ci_installs_as_root_or_with_sudo(ordinary_user, tmp_path, sudo, asked):
    made = tmp_path / "made"
    programs = {"make": f'echo "$@" >> {made}', "apt-get": "exit 1", "sudo": sudo}
    process, _ = ordinary_user(ROOT / ".ci/run", **programs)
    assert process.returncode == 0, process.stderr
    assert made.read_text(encoding="utf-8").split() == asked
