"""Ten thousand changed inputs of each kind that the grader reads, and what became of them."""

from __future__ import annotations

import functools
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy

from benchmarks.grading import make_course
from benchmarks.tables import Table
from course_utils import paths
from course_utils.grading.assignment.course import read_released

INPUTS = 10_000
ASSIGNMENT = "a0-mnist"
FINDING = "finding"


def measure() -> Table:
    """Try every kind of input; what raised is printed, once for each place that raised it."""
    # The inputs are those of the tests.
    sys.path.append(str(paths.CHECKOUT / "tests" / "helpers"))
    import fuzzing

    process = fuzzing.InAnotherProcess()
    build, archive = (
        functools.partial(process, check)
        for check in (fuzzing.check_building, fuzzing.check_archive)
    )
    rows = [
        _row("structures", fuzzing.changed_structures(), fuzzing.check_structure),
        _row("structures, built", fuzzing.changed_structures(), build, INPUTS // 10),
        _row("messages", fuzzing.MESSAGES, fuzzing.check_message),
        _row("messages, forged", fuzzing.forged_messages(), fuzzing.check_forged_message),
        _row("values", fuzzing.PYTHON_VALUES, fuzzing.check_value),
        _row("values, forged", fuzzing.forged_values(), fuzzing.check_forged_value),
        _row("archives", fuzzing.changed_archives(), archive),
    ]
    process.close()
    with tempfile.TemporaryDirectory() as folder:
        make_course(Path(folder), ASSIGNMENT)
        intake = fuzzing.Intake(Path(folder), ASSIGNMENT)
        notebooks = fuzzing.changed_notebooks(read_released(Path(folder), ASSIGNMENT))
        rows.append(_row("notebooks", notebooks, intake.check))
    headings = ["input", "inputs", "accepted", "refused", "findings", "seconds"]
    return Table("Changed inputs of the grader", headings, rows)


def _row(
    name: str,
    strategy: SearchStrategy[Any],
    check: Callable[[Any], str],
    number: int = INPUTS,
) -> list[str]:
    from fuzzing import try_each

    found: Counter[str] = Counter()

    def outcome(drawn: Any) -> str:
        try:
            return check(drawn)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {place.name}, line {place.lineno}"
            if not found[where]:
                print(f"{name}: {where}: {error}\n{drawn!r}"[:2_000], flush=True)
            found[where] += 1
            return FINDING

    start = time.perf_counter()
    outcomes = try_each(strategy, outcome, number)
    seconds = time.perf_counter() - start
    print(f"{name}: {dict(outcomes)}, {seconds:.0f} s", flush=True)
    counts = [outcomes[each] for each in ("accepted", "refused", FINDING)]
    return [name, f"{sum(counts):,}", *(f"{each:,}" for each in counts), f"{seconds:.0f}"]
