"""How the Makefile sets up .venv, tried with a Python that only notes what it is asked to do."""

from __future__ import annotations

import os
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
