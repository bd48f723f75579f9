"""The chapters as their users run them: with papermill, in two sizes.

The smoke size takes every cell through a thousand drawn images, with nothing but the installed
library: each chapter is alone in a folder, as on Colab. The fast profile, which is what the book
shows, takes real CIFAR-10, if it is to hand, and holds the results against the thresholds.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

from course_utils import RECORDS
from course_utils.reporting import find_report
from course_utils.thresholds import load_thresholds

CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
# The others are those of networks that are handed in.
CHAPTER_THRESHOLDS = {
    name: bounds for name, bounds in load_thresholds().items() if name[0].isdigit()
}
PAPERMILL = Path(sys.executable).parent / "papermill"


# What a build reads.
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
    """Run a program that finds the installed library, and no checkout."""
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_there_is_a_chapter_for_each_step_of_the_lab_and_for_what_others_found():
    assert len(CHAPTERS) >= 12
    assert set(CHAPTER_THRESHOLDS) <= {chapter.stem for chapter in CHAPTERS}


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
    sizes = ("-p", "epochs", "1", "-p", "limit", "1000", "-p", "data_path", "stand-in")
    shutil.copy(chapter, tmp_path)
    command = [PAPERMILL, chapter.name, output, "--no-progress-bar", *sizes]
    done = run_alone(command, tmp_path, installed)
    assert done.returncode == 0, done.stderr[-2_000:]
    executed = nbformat.read(output, as_version=4)
    report = find_report(executed.cells)
    assert report["source"]["is_stand_in"]
    assert report["metrics"]
    assert_fit_to_be_shown(executed, "stand-in")


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_book_shows_no_warning_and_no_figure_without_its_data(chapter, built_book):
    executed = nbformat.read(built_book / "run" / chapter.name, as_version=4)
    report = find_report(executed.cells)
    assert report["metrics"]
    # Real digits can be to hand where real photographs are not.
    assert_fit_to_be_shown(
        executed, "stand-in" if report["source"]["is_stand_in"] else "CIFAR-10", "MNIST"
    )


def assert_fit_to_be_shown(executed, *data_names):
    """Nothing on standard error, and every figure described, with the data that it shows."""
    for cell in executed.cells:
        for result in cell.get("outputs", []):
            assert result.get("name") != "stderr", (cell.id, result.text)
            if "image/png" in result.get("data", {}):
                alt = result.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) > 20, f"the figure of cell {cell.id} has no alternative text"
                honest = any(name in alt for name in (*data_names, "recorded runs"))
                drawn = "no-data" in cell.metadata.get("tags", ())
                assert honest or drawn, (
                    f"the figure of cell {cell.id} must name its data in its alternative text; a "
                    "figure that shows no data has the tag no-data"
                )


def test_the_fast_profile_meets_every_threshold_on_real_data(cifar10, built_book):
    report = json.loads((built_book / "run" / "report.json").read_text())
    verdicts = {
        (outcome["name"], metric["name"]): metric["verdict"]
        for outcome in report["notebooks"]
        for metric in outcome["metrics"]
        if metric["threshold"] is not None
    }
    expected = {
        (chapter, metric.removesuffix("_at_most"))
        for chapter, bounds in CHAPTER_THRESHOLDS.items()
        for metric in bounds
    }
    assert verdicts == dict.fromkeys(expected, "met")
    assert {outcome["source"]["name"] for outcome in report["notebooks"]} == {cifar10.source.name}
