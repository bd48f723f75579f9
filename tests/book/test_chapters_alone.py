"""The chapters with nothing but the installed library, each alone in a folder, as on Colab.

The smoke size takes every cell through a thousand drawn images.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from executed_chapters import CHAPTERS, SHORT, assert_fit_to_be_shown

from course_utils import RECORDS, env
from course_utils.reporting import find_report

PAPERMILL = Path(sys.executable).parent / "papermill"

# Files that a build of the wheel reads.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-text")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the library as `pip install` leaves it, far from any checkout."""
    sources, wheels, installed = (
        tmp_path_factory.mktemp(name) for name in ("sources", "wheels", "installed")
    )
    # A build leaves files in its folder, so it gets a copy.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "course_utils", sources / "course_utils", ignore=ignored)
    for name in SOURCES:
        shutil.copy(ROOT / name, sources)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    build = subprocess.run(
        [*command, "--wheel-dir", wheels, sources], capture_output=True, text=True
    )
    assert build.returncode == 0, build.stderr[-2_000:]
    (wheel,) = wheels.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    return installed


def run_alone(command, folder, installed):
    """Run a program that finds the installed library, and no checkout.

    Other tests run beside it, so it has one thread, as in `course run` with several at a time.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed), env.THREADS.name: "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.process
def test_the_installed_library_is_the_one_that_chapters_find(installed, tmp_path):
    command = [sys.executable, "-c", "from course_utils import RECORDS; print(RECORDS)"]
    records = Path(run_alone(command, tmp_path, installed).stdout.strip())
    assert records.is_relative_to(installed)
    theirs, ours = (
        sorted(path.relative_to(folder) for path in folder.rglob("*.json"))
        for folder in (records, RECORDS)
    )
    assert theirs == ours


@pytest.mark.process
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_cell_runs_in_the_smoke_size(chapter, installed, tmp_path):
    output = tmp_path / "out.ipynb"
    shutil.copy(chapter, tmp_path)
    command = [PAPERMILL, chapter.name, output, "--no-progress-bar", *SHORT]
    done = run_alone(command, tmp_path, installed)
    assert done.returncode == 0, done.stderr[-2_000:]
    executed = nbformat.read(output, as_version=4)
    report = find_report(executed.cells)
    assert report["source"]["is_stand_in"]
    assert report["metrics"]
    assert_fit_to_be_shown(executed, "stand-in")
