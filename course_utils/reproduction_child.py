"""The process that trains one network: ``python -m course_utils.reproduction_child``.

`course_utils.reproduction` starts it. It reads its orders as one line of JSON on standard input;
whatever it prints goes to the run's log file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from course_utils.children import read_orders
from course_utils.errors import CourseError
from course_utils.runtime import setup

# Exit status after an error that is reported in one sentence, as on the command line.
FAILED = 2


def main() -> None:
    """Train the network that the orders name, and write the record of the run."""
    orders = read_orders()
    try:
        runtime = setup(orders["seed"])
        # Keras may be imported only after `setup` has chosen its backend.
        from course_utils.experiment import run_by_name

        run_by_name(
            orders["name"],
            runtime=runtime,
            seed=orders["seed"],
            data=orders["data"],
            record=Path(orders["record"]),
            resume=True,
        )
    except (CourseError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
