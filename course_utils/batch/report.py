"""The report of a batch run: how each notebook ended, its metrics and the verdicts on them."""

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

AT_MOST = "_at_most"
# Parameters that make a run smaller than the thresholds are meant for.
QUICK_PARAMETERS = ("limit", "epochs")
# The verdicts.
MET = "met"
MISSED = "missed"
NOT_REPORTED = "not reported"
STAND_IN = "not judged (stand-in)"
QUICK_TRY = "not judged (quick try)"
FAILURES = (MISSED, NOT_REPORTED)
# The verdicts' name in the report that a notebook displays.
VERDICTS = "verdicts"


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


def store_verdicts(executed: NotebookNode, metrics: Iterable[Metric]) -> bool:
    """Keep the verdicts in a notebook's own report, from which every page shows them.

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
    """Return the verdicts in a notebook's report; none if `course run` has not judged it."""
    return [Metric(**verdict) for verdict in report.get(VERDICTS, ())]


def _verdict(value: float | None, threshold: float, at_most: bool) -> str:
    if value is None:
        return NOT_REPORTED
    return MET if (value <= threshold if at_most else value >= threshold) else MISSED


# How an execution ended.
EXECUTED = "executed"
UNCHANGED = "unchanged"
FAILED = "failed"
TIMED_OUT = "timed out"
NOT_RUN = "not run"

FAILED_STATUSES = (FAILED, TIMED_OUT, NOT_RUN)


@dataclass
class Outcome:
    """How one notebook ended.

    Attributes
    ----------
    name, path : str
        Its name in the run, and its source file.
    status : str
        ``"executed"``, ``"unchanged"`` (an earlier run's outputs still hold), ``"failed"``,
        ``"timed out"`` or ``"not run"`` (the whole run was interrupted).
    seconds : float or None
        Of the execution that made the outputs, which may be an earlier run's.
    output : str
        The executed notebook; empty after a failure.
    metrics : list of Metric
    source, runtime, versions : dict
        As the notebook reported them.
    error : str
        One sentence; empty after success.
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

    @property
    def passed(self) -> bool:
        """Whether it was executed and no threshold was missed."""
        return self.status not in FAILED_STATUSES and not any(
            metric.verdict in FAILURES for metric in self.metrics
        )


@dataclass
class Report:
    """A batch run.

    Attributes
    ----------
    profile : str
    parameters : dict
        As given to every notebook, the profile included.
    started : str
        UTC, ISO 8601.
    seconds : float
        Wall-clock time of this run.
    notebooks : list of Outcome
        In the order asked for.
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
