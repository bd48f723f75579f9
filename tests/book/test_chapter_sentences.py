"""Sentences that a chapter computes from its results, with results that reverse them."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from course_utils.paths import CHECKOUT


def said(capsys, chapter, cell_id, **results):
    """Run one cell of a chapter on given results, and return what it prints."""
    (path,) = (CHECKOUT / "book").glob(f"{chapter}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (source,) = ("".join(cell["source"]) for cell in cells if cell["id"] == cell_id)
    exec(compile(source, f"{path.name}: {cell_id}", "exec"), {"np": np, **results})
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("two_blocks", "sentence"),
    [
        # The means are 10 points apart, the two seeds of one network 2 points.
        ([0.60, 0.62], "validation accuracy +10.0 points, more than the 2.0 points"),
        ([0.40, 0.42], "validation accuracy -10.0 points, more than the 2.0 points"),
        ([0.51, 0.53], "validation accuracy +1.0 points, no more than the 2.0 points"),
    ],
)
def test_a_step_is_compared_with_the_two_seeds_of_a_network(capsys, two_blocks, sentence):
    names = ["one block"] * 2 + ["two blocks"] * 2 + ["two blocks, dropout"] * 2
    outcome = pd.DataFrame(
        {
            "network": names,
            "validation images": [0.50, 0.52, *two_blocks, 0.50, 0.52],
            "gap": [0.1] * 6,
        }
    )
    first_step = said(capsys, "07", "live-words", outcome=outcome).partition("two blocks ->")[0]
    assert sentence in first_step


@pytest.mark.parametrize(
    ("measured", "missed", "below"),
    [([0.60, 0.66], 1, 0), ([0.50, 0.60], 2, 2), ([0.55, 0.66], 0, 0)],
)
def test_reruns_beyond_the_noise_are_counted(capsys, measured, missed, below):
    reported = np.array([0.547, 0.66])
    table = pd.DataFrame(
        {
            "design": ["proyectos/0", "proyectos/1"],
            "project": ["0", "1"],
            "runs": 1,
            "reported": reported,
            "measured": measured,
            "difference": measured - reported,
        }
    )
    words = said(
        capsys, "08", "answer-numbers", table=table, records=[1, 2], noise=lambda a, b: 0.014
    )
    count = f"Beyond the noise of the test: {missed}, of which {below} are below"
    assert count in words
    assert words.count("beyond the noise of the test") == missed


@pytest.mark.parametrize(
    ("all_six", "sentence"),
    [
        (0.62, "All six are 12.0 points ahead of zoom and flips, beyond chance."),
        (0.40, "All six are 10.0 points behind zoom and flips, beyond chance."),
        (0.49, "All six are 1.0 points behind zoom and flips, within chance."),
    ],
)
def test_strong_changes_are_compared_with_gentle_ones(capsys, all_six, sentence):
    accuracies = {"unchanged": 0.45, "zoom and flips": 0.50, "all six": all_six}
    accuracies["four times as many"] = 0.60
    worth = {name: SimpleNamespace(accuracy=found) for name, found in accuracies.items()}
    words = said(
        capsys,
        "11",
        "worth",
        worth=worth,
        plans=worth,
        same_images=list(worth)[:3],
        y_val=np.zeros(5_000),
    )
    assert sentence in words
