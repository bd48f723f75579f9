"""Measure what the course promises about speed and accuracy, and write it as a table.

Run as ``python -m benchmarks`` (or ``make bench``); takes about an hour on two cores.
`--only` picks measurements by name. Each writes its table to ``benchmarks/results/NAME.md``, where
the rows of other types of processor stay.
"""

from __future__ import annotations

import argparse

from benchmarks import (
    augmentation,
    book,
    grading,
    grading_class,
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
    "grading": grading.measure,
    "grading_class": grading_class.measure,
    "book": book.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    for name in parser.parse_args().only:
        print(f"== {name}", flush=True)
        path = save(RESULTS / f"{name}.md", MEASUREMENTS[name]())
        print(f"{path.read_text(encoding='utf-8')}\nWritten to {path}", flush=True)


if __name__ == "__main__":
    main()
