"""The rules of the tests themselves: a test says what it needs, and groups stay together."""

import subprocess
import sys

import pytest
from conftest import ROOT, group

TESTS = """
import os, subprocess
import pytest

def test_unmarked():
    subprocess.run(["true"])

@pytest.mark.process
def test_marked():
    subprocess.run(["true"])

def test_keras():
    import keras

@pytest.fixture(scope="module", params=[0, 1])
def shared(request, tmp_path_factory):
    place = tmp_path_factory.getbasetemp().parent / "made"
    with place.open("a") as file:
        file.write(f"{request.param} {os.environ['PYTEST_XDIST_WORKER']}\\n")
    return place

@pytest.mark.parametrize("number", range(6))
def test_shares(shared, number):
    assert shared.exists()
"""


def run(folder, *options):
    """Run the tests above under the rules of this folder's conftest."""
    file = folder / "test_hostile.py"  # a file that is divided by its first parameter
    file.write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-rA", "-p", "no:cacheprovider"]
    command += ["-c", ROOT / "pyproject.toml", "--rootdir", folder, *options, file]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.process
def test_a_test_that_starts_a_process_says_so(tmp_path):
    done = run(tmp_path, "-k", "marked")
    assert "test_unmarked starts a process: mark it" in done.stdout
    assert "PASSED test_hostile.py::test_marked" in done.stdout


@pytest.mark.process
def test_quick_tests_need_neither_keras_nor_a_process(tmp_path):
    done = run(tmp_path, "--quick", "-k", "marked or keras")
    assert "1 failed" in done.stdout
    assert "needs Keras" in done.stdout
    assert "::test_marked" not in done.stdout


@pytest.mark.process
def test_what_tests_share_is_made_once_for_all_processes(tmp_path):
    order = ("-n", "2", "-k", "shares")
    done = run(tmp_path, *order, "--basetemp", tmp_path / "base")
    assert "12 passed" in done.stdout, done.stdout + done.stderr
    made = (tmp_path / "base" / "made").read_text().split()
    assert sorted(made[::2]) == ["0", "1"]
    assert sorted(made[1::2]) == ["gw0", "gw1"]


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/test_hostile.py::test_x[1-scripts]", "hostile 1"),
        ("tests/test_hostile.py::test_x", "test_hostile"),
        ("tests/test_assignments.py::test_x[a6-transfer]", "graded a6"),
        ("tests/test_grading_bad_input.py::test_y[a6-transfer]", "graded a6"),
        ("tests/test_grading_bad_input.py::test_y[no-notebook-was-a6-transfer]", "graded a6"),
        ("tests/test_grading_bad_input.py::test_y[endless-Stopped]", "test_grading_bad_input"),
        ("tests/test_hostile.py::test_x[2-latin-1-record]", "hostile 2"),
        ("tests/test_zoo_documents.py::test_x[hw3/2-blocks]", "networks hw3"),
        ("tests/test_book_pages.py::test_x[phone]", "pages phone"),
        ("tests/test_book_pages.py::test_dark_pages", "book"),
        ("tests/test_chapters.py::test_x[01_the_data]", "book"),
        ("tests/test_training.py::test_x[a-b]", "test_training"),
    ],
)
def test_groups(test, expected):
    assert group(test) == expected
