"""The report of a batch run: each notebook's outcome, its metrics and their verdicts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_utils.files import write_atomically
from course_utils.reporting import find_report

# Suffix of the name of a threshold that is an upper bound.
AT_MOST = "_at_most"
# Parameters that make a run too small to be judged by the thresholds.
QUICK_PARAMETERS = ("limit", "epochs")
# Verdicts on a metric.
MET = "met"
MISSED = "missed"
NOT_REPORTED = "not reported"
STAND_IN = "not judged (stand-in)"
QUICK_TRY = "not judged (quick try)"
FAILURES = (MISSED, NOT_REPORTED)
# Key of the verdicts in the report that a notebook displays.
VERDICTS = "verdicts"


@dataclass(frozen=True)
class Metric:
    """One metric of one notebook.

    Attributes
    ----------
    name : str
    value : float or None
        None if there is a threshold for the metric, but the notebook did not report it.
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
    """Return whether parameters make the run smaller than its profile."""
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
        The content that the notebook displayed with `course_utils.report`.
    bounds : mapping
        The notebook's thresholds.
    quick : bool
        Whether the run was smaller than its profile.

    Returns
    -------
    list of Metric
        First those with a threshold, then the others, in the order of the report.
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


def store_verdicts(executed: NotebookNode, metrics: Iterable[Metric]) -> bool:
    """Store the verdicts in the notebook's own report, from which the book displays them.

    Parameters
    ----------
    executed : NotebookNode
        The executed notebook, which is changed in place.
    metrics : iterable of Metric

    Returns
    -------
    bool
        Whether the notebook has changed.
    """
    report = find_report(executed.cells)
    verdicts = [dataclasses.asdict(metric) for metric in metrics]
    if report is None or report.get(VERDICTS) == verdicts:
        return False
    report[VERDICTS] = verdicts
    return True


def stored_verdicts(report: Mapping[str, Any]) -> list[Metric]:
    """Return the verdicts in a notebook's report; empty if `course run` has not judged it."""
    return [Metric(**verdict) for verdict in report.get(VERDICTS, ())]


def _verdict(value: float | None, threshold: float, at_most: bool) -> str:
    if value is None:
        return NOT_REPORTED
    return MET if (value <= threshold if at_most else value >= threshold) else MISSED


# Statuses of a notebook.
EXECUTED = "executed"
UNCHANGED = "unchanged"
FAILED = "failed"
TIMED_OUT = "timed out"
NOT_RUN = "not run"

FAILED_STATUSES = (FAILED, TIMED_OUT, NOT_RUN)


@dataclass
class Outcome:
    """The outcome of one notebook.

    Attributes
    ----------
    name, path : str
        The notebook's name in the run, and its source file.
    status : str
        ``"executed"``, ``"unchanged"`` (the outputs of an earlier run are still valid),
        ``"failed"``, ``"timed out"`` or ``"not run"`` (the whole run was interrupted).
    seconds : float or None
        The duration of the execution that produced the outputs, perhaps in an earlier run.
    output : str
        The path of the executed notebook; empty after a failure.
    metrics : list of Metric
    source, runtime, versions : dict
        The values that the notebook reported.
    error : str
        One sentence; empty after success.
    repaired : str
        What was repaired in the source before it was executed; the file stays as it is.
    """

    name: str
    path: str
    status: str = NOT_RUN
    seconds: float | None = None
    output: str = ""
    metrics: list[Metric] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    error: str = ""
    repaired: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was executed and no threshold was missed."""
        return self.status not in FAILED_STATUSES and not any(
            metric.verdict in FAILURES for metric in self.metrics
        )


@dataclass
class Report:
    """The report of a batch run.

    Attributes
    ----------
    profile : str
    parameters : dict
        The parameters of every notebook, including the profile.
    started : str
        The time at which the run started: UTC, ISO 8601.
    seconds : float
        Wall-clock time of this run.
    notebooks : list of Outcome
        The notebooks in the order in which they were given.
    """

    profile: str
    parameters: dict[str, Any]
    started: str
    seconds: float = 0.0
    notebooks: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every notebook was executed and no threshold was missed."""
        return all(outcome.passed for outcome in self.notebooks)

    def save(self, path: Path) -> None:
        """Write the report as JSON."""
        content = dataclasses.asdict(self) | {"passed": self.passed}
        write_atomically(path, json.dumps(content, indent=2) + "\n")
