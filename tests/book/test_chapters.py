"""The chapters of the built book.

The fast profile, which is what the book shows, takes real CIFAR-10, if it is to hand, and holds the
results against the thresholds.
"""

import json

import nbformat
import pytest
from executed_chapters import CHAPTERS, assert_fit_to_be_shown

from course_utils.reporting import find_report
from course_utils.thresholds import load_thresholds

# The others are those of networks that are handed in.
CHAPTER_THRESHOLDS = {
    name: bounds for name, bounds in load_thresholds().items() if name[0].isdigit()
}


def test_there_is_a_chapter_for_each_step_of_the_lab_and_for_what_others_found():
    assert len(CHAPTERS) >= 12
    assert set(CHAPTER_THRESHOLDS) <= {chapter.stem for chapter in CHAPTERS}


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_book_shows_no_warning_and_no_figure_without_its_data(chapter, built_book):
    executed = nbformat.read(built_book / "run" / chapter.name, as_version=4)
    report = find_report(executed.cells)
    assert report["metrics"]
    # Real digits can be to hand where real photographs are not.
    assert_fit_to_be_shown(
        executed, "stand-in" if report["source"]["is_stand_in"] else "CIFAR-10", "MNIST"
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
