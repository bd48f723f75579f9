"""The sentence that ends a chapter, and the numbers in it."""

from types import SimpleNamespace

import numpy as np
import pytest

from course_utils import reporting
from course_utils.errors import NotebookError
from course_utils.runtime import Runtime

RUNTIME = Runtime("tensorflow", "CPU", "float32", 2, 7)
SOURCE = SimpleNamespace(name="MNIST <IDX>", is_stand_in=False, fingerprint="f")
DATA = SimpleNamespace(source=SOURCE)


@pytest.fixture
def reported(monkeypatch):
    """Return a function that reports and gives the displayed bundle back."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))

    def report(**metrics):
        reporting.report(RUNTIME, DATA, profile="fast", **metrics)
        return shown[-1]

    return report


def test_the_sentence_says_what_on_which_data_and_machine(reported):
    bundle = reported(test_accuracy=0.6294, epochs=4, training_seconds=41.2)
    for part in ("test accuracy 62.9%", "epochs 4", "41 s", "MNIST <IDX>", "CPU", "seed 7"):
        assert part in bundle["text/plain"]
    assert "MNIST &lt;IDX&gt;" in bundle["text/html"]


def test_numbers_are_plain_and_found_again(reported):
    bundle = reported(test_accuracy=np.float32(0.5), epochs=np.int64(4))
    content = bundle[reporting.REPORT_MIME]
    assert content["metrics"] == {"test_accuracy": 0.5, "epochs": 4}
    assert type(content["metrics"]["epochs"]) is int
    assert content["source"]["fingerprint"] == "f"
    cells = [{"cell_type": "markdown"}, {"outputs": [{"text": "x"}, {"data": bundle}]}, {}]
    assert reporting.find_report(cells) == content
    assert reporting.find_report([{}]) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "much", None])
def test_only_finite_numbers_are_metrics(reported, value):
    with pytest.raises(NotebookError, match="not a finite number"):
        reported(loss=value)
