"""Training in bfloat16, compared with float32, on this device."""

from __future__ import annotations

import statistics

from benchmarks.tables import Table
from course_utils import load_cifar10, setup, train, zoo

NETWORKS = ("fast/fully-connected", "fast/cnn", "fast/final")
IMAGES = 10_000
PAIRS = 5
PRECISIONS = ("mixed_bfloat16", "float32")


def measure() -> Table:
    """Time one epoch in each precision, in turn, after a pair that is not counted."""
    data = load_cifar10(limit=IMAGES)
    rows = []
    for name in NETWORKS:
        seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        for pair in range(PAIRS + 1):
            for precision in PRECISIONS:
                setup(pair, precision=precision)
                model = zoo.build(name)
                history = train(model, data, zoo.recipe(name), epochs=1, verbose=False)
                seconds[precision].append(history.seconds)
        ratios = [f / b for b, f in zip(*(seconds[p][1:] for p in PRECISIONS), strict=True)]
        rows.append(
            [
                name,
                *(f"{statistics.median(seconds[p][1:]):.2f}" for p in PRECISIONS),
                f"{statistics.median(ratios):.2f}",
            ]
        )
    return Table(
        f"One epoch on {IMAGES:,} images, building the graph included, {PAIRS} pairs in turn",
        ["network", "bfloat16, seconds", "float32, seconds", "float32 / bfloat16"],
        rows,
    )
