"""Plausible mistakes in a7-improve."""

import json
from collections.abc import Callable
from pathlib import Path

from nbgrading import Wrong

AGAINST_THE_FIRST = """
MARGIN = 0.01


def judge(val_accuracy, log):
    gain = val_accuracy - log[0]["val_accuracy"]
    return log[0]["name"], gain, gain > MARGIN
"""
TIES_IMPROVE = """
def stopped_epoch(val_losses, patience, min_delta):
    return watch(val_losses, patience, min_delta)[0]


def kept_epoch(val_losses, patience, min_delta):
    return watch(val_losses, patience, min_delta)[1]


def watch(val_losses, patience, min_delta):
    best, kept = val_losses[0], 1
    for epoch, loss in enumerate(val_losses, start=1):
        if loss <= best - min_delta:
            best, kept = loss, epoch
        elif epoch - kept >= patience:
            return epoch, kept
    return len(val_losses), kept
"""


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "ties-count-as-improvement",
            cells={"q1-answer": TIES_IMPROVE},
            earns={"q1-test": 2.5},
            says={"q1-test": "An equal loss is not lower"},
        ),
        Wrong(
            "two-changes-in-one-step",
            artefacts=edit_log(_change_the_batch_size_too),
            earns={"q3-log-test": 3.0},
            says={"q3-log-test": "this changed: batch size"},
        ),
        Wrong(
            "gains-against-the-first",
            cells={"q3-rule": AGAINST_THE_FIRST},
            artefacts=edit_log(_compare_with_the_first),
            earns={"q3-rule-test": 1.0, "q3-log-test": 3.0, "q3-summary-test": 1.0},
            says={
                "q3-rule-test": "Compare with the best so far, not with the first entry",
                "q3-log-test": "is compared with 'start', and the best so far is",
                "q3-summary-test": "each against the best before it",
            },
        ),
    ]


def edit_log(change: Callable[[list[dict]], None]) -> Callable[[Path], None]:
    """Return what changes the handed-in log of steps."""

    def edit(folder: Path) -> None:
        path = folder / "a7-log.json"
        log = json.loads(path.read_text())
        change(log)
        path.write_text(json.dumps(log))

    return edit


def _change_the_batch_size_too(log: list[dict]) -> None:
    log[-1]["recipe"]["batch_size"] = 64


def _compare_with_the_first(log: list[dict]) -> None:
    for step in log[1:]:
        step["compared_with"] = log[0]["name"]
        step["gain"] = step["val_accuracy"] - log[0]["val_accuracy"]
