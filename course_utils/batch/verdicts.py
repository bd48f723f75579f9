"""What the thresholds say about the metrics that a notebook reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AT_MOST = "_at_most"
# Parameters that make a run smaller than what the thresholds are meant for.
QUICK_PARAMETERS = ("limit", "epochs")

MET = "met"
MISSED = "missed"
NOT_REPORTED = "not reported"
STAND_IN = "not judged (stand-in)"
QUICK_TRY = "not judged (quick try)"
FAILURES = (MISSED, NOT_REPORTED)


@dataclass(frozen=True)
class Metric:
    """One metric of one notebook.

    Attributes
    ----------
    name : str
    value : float or None
        None if the notebook did not report it though a threshold asks for it.
    threshold : float or None
    at_most : bool
        Whether the threshold is an upper bound.
    verdict : str
        ``"met"``, ``"missed"``, ``"not reported"``, ``"not judged (...)"``, or empty without
        a threshold.
    """

    name: str
    value: float | None
    threshold: float | None = None
    at_most: bool = False
    verdict: str = ""


def is_quick_try(parameters: Mapping[str, Any]) -> bool:
    """Tell whether parameters make the run smaller than its profile."""
    return any(parameters.get(name) is not None for name in QUICK_PARAMETERS)


def judge(
    report: Mapping[str, Any] | None,
    bounds: Mapping[str, float],
    *,
    quick: bool,
) -> list[Metric]:
    """Return a notebook's metrics, each with the verdict of its threshold.

    Parameters
    ----------
    report : mapping or None
        What the notebook said through `course_utils.report`.
    bounds : mapping
        The notebook's own part of the thresholds.
    quick : bool
        Whether the run was smaller than its profile.
    """
    report = report or {}
    values = report.get("metrics", {})
    limits = {name.removesuffix(AT_MOST): (x, name.endswith(AT_MOST)) for name, x in bounds.items()}
    stand_in = report.get("source", {}).get("is_stand_in", False)
    excuse = STAND_IN if stand_in else QUICK_TRY if quick else ""
    metrics = []
    for name in dict.fromkeys([*limits, *values]):
        value = values.get(name)
        threshold, at_most = limits.get(name, (None, False))
        verdict = "" if threshold is None else excuse or _verdict(value, threshold, at_most)
        metrics.append(Metric(name, value, threshold, at_most, verdict))
    return metrics


def _verdict(value: float | None, threshold: float, at_most: bool) -> str:
    if value is None:
        return NOT_REPORTED
    return MET if (value <= threshold if at_most else value >= threshold) else MISSED
