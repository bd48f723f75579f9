"""Accuracy over five seeds and duration of training, for the three networks with a threshold."""

from __future__ import annotations

import statistics

from benchmarks.tables import Table
from course_utils import experiment, load_cifar10, setup
from course_utils.data import Dataset
from course_utils.records import RunRecord
from course_utils.thresholds import load_thresholds

SEEDS = range(5)
# Networks, each with the chapter whose threshold it must reach and the seconds it may take.
NETWORKS = {
    "fast/fully-connected": ("02_fully_connected", 30),
    "fast/cnn": ("05_convolution", 60),
    "fast/final": ("08_your_own_design", 90),
}


def measure() -> Table:
    """Train each network with five seeds."""
    data = load_cifar10()
    rows = []
    for name, (chapter, budget) in NETWORKS.items():
        records = [_train(name, data, seed) for seed in SEEDS]
        rows.append(_row(name, records, load_thresholds()[chapter]["test_accuracy"], budget))
    return Table(
        f"Training, seeds {SEEDS[0]} to {SEEDS[-1]}",
        ["network", "data", "epochs", "accuracy, mean", "standard deviation", "mean - 4 sd",
         "threshold", "seconds, median (max)", "may take"],
        rows,
    )  # fmt: skip


def _train(name: str, data: Dataset, seed: int) -> RunRecord:
    record = experiment.run(name, data, runtime=setup(seed), seed=seed, verbose=False)
    print(f"{name}: {record.test_accuracy:.2%} in {record.seconds:.1f} s", flush=True)
    return record


def _row(name: str, records: list[RunRecord], threshold: float, budget: int) -> list[str]:
    accuracies = [record.test_accuracy for record in records]
    seconds = [record.seconds for record in records]
    mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
    return [
        name,
        records[0].source,
        str(records[0].recipe.epochs),
        f"{mean:.2%}",
        f"{deviation:.2%}",
        f"{mean - 4 * deviation:.2%}",
        f"{threshold:.0%}",
        f"{statistics.median(seconds):.1f} ({max(seconds):.1f})",
        f"{budget} s",
    ]
