"""Measure the speed and the accuracy that the course promises, and write tables of the results.

``python -m benchmarks`` (or ``make bench``) takes about an hour on two cores. `--only` chooses
measurements by name. Each one writes a table to ``benchmarks/results/NAME.md``, and keeps the rows
of other types of processor there.
"""

from __future__ import annotations

import argparse

from benchmarks import (
    augmentation,
    book,
    fuzzing,
    grading,
    grading_class,
    grading_growth,
    kills,
    loading,
    precision,
    steps,
    training,
    transfer,
)
from benchmarks.tables import RESULTS, save

MEASUREMENTS = {
    "steps": steps.measure,
    "training": training.measure,
    "loading": loading.measure,
    "augmentation": augmentation.measure,
    "precision": precision.measure,
    "transfer": transfer.measure,
    "fuzzing": fuzzing.measure,
    "grading": grading.measure,
    "grading_class": grading_class.measure,
    "grading_growth": grading_growth.measure,
    "kills": kills.measure,
    "book": book.measure,
}


def main() -> None:
    """Run the chosen measurements, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    for name in parser.parse_args().only:
        print(f"== {name}", flush=True)
        path = save(RESULTS / f"{name}.md", MEASUREMENTS[name]())
        print(f"{path.read_text(encoding='utf-8')}\nWritten to {path}", flush=True)


if __name__ == "__main__":
    main()
