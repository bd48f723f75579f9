"""Measure what the course promises about speed and accuracy, and write it as a table.

Run as ``python -m benchmarks`` (or ``make bench``); takes about an hour on two cores.
`--only` picks measurements by name. Each writes its table to ``benchmarks/results/NAME.md``.
"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from benchmarks import (
    augmentation,
    book,
    grading,
    grading_class,
    loading,
    precision,
    training,
    transfer,
)
from course_utils.files import write_atomically
from course_utils.runtime import available_cores, cpu_has_bfloat16, cpu_name, versions

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS = {
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
        measured = MEASUREMENTS[name]()
        print(measured, flush=True)
        path = write_atomically(RESULTS / f"{name}.md", f"{measured}\n\n{machine()}\n")
        print(f"Written to {path}")


def machine() -> str:
    """Say on what the figures were measured."""
    packages = ", ".join(f"{name} {version}" for name, version in versions().items())
    bfloat16 = "with" if cpu_has_bfloat16() else "without"
    return (
        f"{datetime.date.today()}, {cpu_name()}, {available_cores()} cores {bfloat16} bfloat16; "
        f"{packages}. "
        "The machine is shared: trust ratios and medians more than single times."
    )


if __name__ == "__main__":
    main()
