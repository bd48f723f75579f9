"""The chapters as their users run them: with papermill, in two sizes.

The smoke size takes every cell through a thousand drawn images. The fast profile, which is what
the book shows, takes real CIFAR-10, if it is to hand, and holds the results against the thresholds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

from course_utils import load_cifar10
from course_utils.reporting import find_report
from course_utils.thresholds import load_thresholds

CHAPTERS = sorted((ROOT / "book").glob("[0-9][0-9]_*.ipynb"))
# The others are those of networks that are handed in.
CHAPTER_THRESHOLDS = {
    name: bounds for name, bounds in load_thresholds().items() if name[0].isdigit()
}
PAPERMILL = Path(sys.executable).parent / "papermill"


def papermill(chapter, output, *options, **environment):
    return subprocess.run(
        [PAPERMILL, chapter.relative_to(ROOT), output, "--no-progress-bar", *options],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_there_is_a_chapter_for_each_step_of_the_lab_and_for_what_others_found():
    assert len(CHAPTERS) >= 12
    assert set(CHAPTER_THRESHOLDS) <= {chapter.stem for chapter in CHAPTERS}


@pytest.mark.process
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_cell_runs_in_the_smoke_size(chapter, tmp_path):
    if chapter not in CHAPTERS[:2] and not load_cifar10().source.is_stand_in:
        pytest.skip("real data are to hand: the book runs all of its cells on them")
    output = tmp_path / "out.ipynb"
    sizes = ("-p", "epochs", "1", "-p", "limit", "1000", "-p", "data_path", "stand-in")
    done = papermill(chapter, output, *sizes)
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
