"""What `course doctor` says of a machine that lacks something."""

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from course_utils import doctor
from course_utils.grading.sandbox import bubblewrap, obstacles, seccomp
from course_utils.transfer import weights

# A library that Keras imports starts a program, and so do sandboxes.
pytestmark = pytest.mark.process


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that gives all results by subject, on a machine that has no weights."""
    monkeypatch.setattr(weights, "_folders", lambda: iter([tmp_path / "weights"]))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return lambda: {check.subject: check for check in doctor.checks()}


def test_missing_weights_are_named_with_the_place_for_them(found):
    check = found()["ImageNet weights"]
    assert check.found == "not on this machine"
    assert f"put {weights.WEIGHTS_NAME} into data/weights" in check.advice


def test_damaged_weights_are_named(found, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / weights.WEIGHTS_NAME).write_bytes(b"cut off")
    check = found()["ImageNet weights"]
    assert check.found == "damaged"
    assert check.advice.endswith("its checksum is wrong; copy it again.")


def test_weights_that_keras_has_downloaded_are_found(found, tmp_path):
    path = tmp_path / "keras" / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    path.parent.mkdir(parents=True)
    path.touch()
    assert found()["ImageNet weights"] == doctor.Check("ImageNet weights", str(path))


def test_without_bubblewrap_the_command_that_installs_it_is_named(found, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "_playwright_browser", lambda: None)
    checks = found()
    assert checks["bubblewrap"].found == "not found"
    assert "sudo apt-get install bubblewrap" in checks["bubblewrap"].advice
    assert not {"user namespaces", "sandbox"} & set(checks)


def test_without_libseccomp_the_command_that_installs_it_is_named(found, monkeypatch):
    def missing(name):
        raise OSError(name)

    seccomp.library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", missing)
    checks = found()
    assert checks["libseccomp"].found == "not found"
    assert "sudo apt-get install libseccomp2" in checks["libseccomp"].advice
    assert not {"user namespaces", "sandbox"} & set(checks)


def test_where_user_namespaces_are_forbidden_the_remedy_is_named(found, monkeypatch):
    rule = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(bubblewrap, "find_bubblewrap", lambda: "/bin/false")
    monkeypatch.setattr(obstacles, "needs_user_namespace", lambda: True)
    monkeypatch.setattr(obstacles, "_content", lambda file: "1" if file == rule else None)
    checks = found()
    assert checks["user namespaces"].found == "not allowed"
    assert "sudo apparmor_parser -r /etc/apparmor.d/bwrap" in checks["user namespaces"].advice
    assert "sandbox" not in checks


@pytest.mark.sandbox
def test_where_sandboxes_work_all_that_they_need_is_there(found):
    checks = found()
    subjects = ("bubblewrap", "libseccomp", "user namespaces", "sandbox")
    assert [checks[subject].advice for subject in subjects] == ["", "", "", ""]


def test_the_other_checks_do_not_need_the_backend():
    done = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "doctor"],
        env=os.environ | {"KERAS_BACKEND": "cobol"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "warn backend: cobol Unknown backend 'cobol'" in done.stdout
    assert "bubblewrap: " in done.stdout
