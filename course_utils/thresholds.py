"""The values that the chapters' numbers must reach; ``thresholds.toml`` is their only place."""

from __future__ import annotations

import tomllib
from pathlib import Path

from course_utils.errors import RunError

THRESHOLDS = Path(__file__).with_suffix(".toml")


def load_thresholds(path: Path = THRESHOLDS) -> dict[str, dict[str, float]]:
    """Return the thresholds of all chapters.

    Parameters
    ----------
    path : pathlib.Path
        A TOML file with one table for each notebook.

    Returns
    -------
    dict of dict of float
        By notebook name, then by the name of the metric; a name that ends in ``_at_most`` is an
        upper bound, any other a lower one.

    Raises
    ------
    RunError
        If the file is missing or malformed.

    Examples
    --------
    >>> from course_utils import load_thresholds
    >>> list(load_thresholds()["08_your_own_design"])
    ['test_accuracy', 'epochs_at_most']
    """
    try:
        thresholds = tomllib.loads(path.read_text(encoding="utf-8"))
        return {
            notebook: {name: float(bound) for name, bound in bounds.items()}
            for notebook, bounds in thresholds.items()
        }
    except OSError as error:
        raise RunError(f"The thresholds {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is not a table of thresholds ([notebook] metric = number): {error}."
        ) from error
