"""Plausible mistakes in a5-ablation."""

import json
from collections.abc import Callable
from pathlib import Path

from nbgrading import Wrong

TWO_AT_ONCE = """
settings = [{}, {"blocks": 3}, {"width": 8}, {"kernel": 5, "dropout": 0.2}, {"padding": "valid"},
            {"dropout": 0.2}, {"l2": 1e-3}]
plan = [{"setting": s, "seeds": [0, 1, 2]} for s in settings]
"""
BYTES = """
def build(blocks=2, width=16, kernel=3, padding="same", dropout=0.0, l1=0.0, l2=0.0):
    penalty = keras.regularizers.L1L2(l1, l2) if l1 or l2 else None
    network = keras.Sequential([keras.Input((32, 32, 3))])
    for b in range(blocks):
        for _ in range(2):
            network.add(layers.Conv2D(width * 2**b, kernel, padding=padding, activation="relu",
                                      kernel_regularizer=penalty))
        network.add(layers.MaxPooling2D())
        if dropout:
            network.add(layers.Dropout(dropout))
    network.add(layers.Flatten())
    network.add(layers.Dense(64, activation="relu", kernel_regularizer=penalty))
    network.add(layers.Dense(10, activation="softmax", dtype="float32"))
    return network
"""
AGAINST = """
from course_utils import compare_designs

runs = {{name: rows for name, rows in log.groupby("name")}}
base = runs.pop("base")
effects = {{
    name: 100 * (rows.{column}.mean() - base.{column}.{of_base}) for name, rows in runs.items()
}}
found = {{
    name: compare_designs(base.val_accuracy, rows.val_accuracy) for name, rows in runs.items()
}}
half_widths = {{name: 50 * (d.interval[1] - d.interval[0]) for name, d in found.items()}}
matters_most = max(found, key=lambda name: abs(found[name].value))
undecided = [name for name, d in found.items() if d.verdict == "undecided"]
"""


def change_log(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """Return what changes every run of a handed-in log."""

    def edit(folder: Path) -> None:
        path = folder / "a5-runs.json"
        runs = json.loads(path.read_text())
        for run in runs:
            change(run)
        path.write_text(json.dumps(runs))

    return edit


def improve_base(run: dict) -> None:
    """Give the base network five points more."""
    if not run["setting"]:
        run["val_accuracy"] += 0.05


def kernel_with_dropout(run: dict) -> None:
    """Say that the runs with kernel 5 had dropout too; this changes no parameters."""
    if "kernel" in run["setting"]:
        run["setting"]["dropout"] = 0.2


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "bytes-not-scaled",
            cells={"q1-build": BYTES},
            earns={"q1-test": 5.5},
            says={"q1-test": "✗ images scaled in the first layer"},
        ),
        Wrong(
            "two-changes-at-once",
            cells={"q3-plan": TWO_AT_ONCE},
            artefacts=change_log(kernel_with_dropout),
            earns={"q3-test": 3.0},
            says={"q3-test": "nobody knows which of them made the difference"},
        ),
        Wrong(
            "base-improved-by-hand",
            artefacts=change_log(improve_base),
            earns={"q4-test": 2.0},
            says={"q4-test": "The network in a5-base.keras gets"},
        ),
        Wrong(
            "effects-of-training-accuracy",
            cells={"q5-answer": AGAINST.format(column="train_accuracy", of_base="mean()")},
            earns={"q5-test": 2.5},
            says={"q5-test": "Percentage points of validation accuracy"},
        ),
    ]
