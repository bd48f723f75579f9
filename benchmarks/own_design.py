"""Record the comparisons that the chapter "Your own design" quotes.

Run as ``python -m benchmarks.own_design``: trains fast/final and its variants of one change
each, and writes one run record per network and seed to ``book/records/own_design``. Runs that
are recorded already are not repeated, so a killed one goes on where it was.
"""

from __future__ import annotations

from pathlib import Path

from course_utils import experiment, load_cifar10, records, setup, zoo

RECORDS = Path(__file__).resolve().parent.parent / "book" / "records" / "own_design"
SEEDS = range(2)


def main() -> None:
    data = load_cifar10()
    networks = [name for name in zoo.names() if name.startswith("fast/final")]
    for seed in SEEDS:
        for name in networks:
            path = RECORDS / f"{name.replace('/', '-')}-seed{seed}.json"
            if is_recorded(path, name):
                continue
            record = experiment.run(name, data, runtime=setup(seed), seed=seed, verbose=False)
            record.save(path)
            print(f"{name}: {record.test_accuracy:.2%} in {record.seconds:.0f} s", flush=True)


def is_recorded(path: Path, name: str) -> bool:
    """Tell whether `path` holds a run of this network by its present recipe."""
    return path.exists() and records.RunRecord.load(path).recipe == zoo.recipe(name)


if __name__ == "__main__":
    main()
