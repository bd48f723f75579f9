"""What a batch run leaves behind: one outcome per notebook, and the report of them all."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.batch.verdicts import FAILURES, Metric
from course_utils.files import write_atomically

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
