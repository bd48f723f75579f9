"""Record the comparisons that the chapter "Your own design" quotes.

``python -m benchmarks.own_design`` trains fast/final and its variants, which differ by one change
each, and writes one run record per network and seed to ``course_utils/zoo/records/own_design``.
Recorded runs are not repeated, so the program can be killed and started again.
"""

from __future__ import annotations

from course_utils import experiment, load_cifar10, paths, setup, zoo
from course_utils.reproduction import is_recorded, run_of

RECORDS = paths.RECORDS / "own_design"
SEEDS = range(2)


def main() -> None:
    """Train every network that has no record yet."""
    data = load_cifar10()
    networks = [name for name in zoo.names() if name.startswith("fast/final")]
    for seed in SEEDS:
        for name in networks:
            run = run_of(name, seed, RECORDS)
            if is_recorded(run):
                continue
            record = experiment.run(name, data, runtime=setup(seed), seed=seed, verbose=False)
            record.save(run.record)
            print(f"{name}: {record.test_accuracy:.2%} in {record.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
