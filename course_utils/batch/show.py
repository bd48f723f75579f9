"""What a batch run shows while it runs, and its table at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from course_utils.batch.results import FAILED_STATUSES, Outcome, Report
from course_utils.batch.verdicts import FAILURES, MET, Metric
from course_utils.reporting import format_metric

# What holds for a whole notebook, and is the same for most: moved below a narrow table.
WHERE = ("data source", "device")
COLUMNS = ("notebook", "metric", "value", "threshold", "verdict", "seconds", *WHERE, "run")
WIDE = 115


@contextmanager
def progress(console: Console, total: int) -> Iterator[PlainProgress]:
    """Show the run's progress: bars on a terminal, else (and in CI) one line per event."""
    if not console.is_terminal or os.environ.get("CI"):
        yield PlainProgress(console, total)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[cell]}"),
        TimeElapsedColumn(),
        console=console,
    ) as bars:
        yield LiveProgress(console, total, bars)


class PlainProgress:
    """One line for each cell that starts and each notebook that ends."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended = 0

    def cell(self, name: str, position: dict[str, Any]) -> None:
        """Say which cell a notebook has come to."""
        self._console.print(
            f"{name}: cell {position['number']} of {position['count']} ({position['cell']})",
            markup=False,
        )

    def end(self, outcome: Outcome) -> None:
        """Say how a notebook ended."""
        self._ended += 1
        style = "red" if outcome.status in FAILED_STATUSES else "green"
        seconds = f", {outcome.seconds:.1f} s" if outcome.status == "executed" else ""
        self._console.print(
            f"[{style}]{escape(f'[{self._ended}/{self._total}]')} {escape(outcome.name)}: "
            f"{outcome.status}{seconds}[/]",
            highlight=False,
        )
        if outcome.error:
            self._console.print(outcome.error, markup=False, highlight=False, soft_wrap=True)


class LiveProgress(PlainProgress):
    """A bar for each notebook that is running."""

    def __init__(self, console: Console, total: int, bars: Progress) -> None:
        super().__init__(console, total)
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def cell(self, name: str, position: dict[str, Any]) -> None:
        """Move a notebook's bar to the cell that it has come to."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(escape(name), cell="")
        self._bars.update(
            self._tasks[name],
            total=position["count"],
            completed=position["number"] - 1,
            cell=escape(position["cell"]),
        )

    def end(self, outcome: Outcome) -> None:
        """Replace a notebook's bar by a line."""
        if outcome.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(outcome.name))
        super().end(outcome)


def print_report(report: Report, console: Console) -> None:
    """Print the run as a table: a row for each metric, or one for a notebook without."""
    wide = console.width >= WIDE
    columns = [name for name in COLUMNS if wide or name not in WHERE]
    wrapped = ("verdict", *WHERE) if wide else ("verdict", "metric")
    table = Table(
        title=f"profile {report.profile}, {report.seconds:.0f} s",
        title_justify="left",
        box=None,
        padding=(0, 2 if wide else 1, 0, 0),
        pad_edge=False,
    )
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in ("value", "threshold", "seconds") else "left",
            no_wrap=name not in wrapped,
            overflow="fold",
            min_width=10 if name == "verdict" else None,
        )
    for outcome in report.notebooks:
        for row, metric in enumerate(outcome.metrics or [None]):
            cells = _metric_cells(metric) | (_notebook_cells(outcome) if row == 0 else {})
            table.add_row(*(cells.get(name, "") for name in columns))
    console.print(table)
    if not wide:
        for name in WHERE:
            found = {_notebook_cells(outcome)[name] for outcome in report.notebooks} - {""}
            console.print(f"{name}: {', '.join(sorted(found)) or 'not reported'}", highlight=False)


def _notebook_cells(outcome: Outcome) -> dict[str, str]:
    style = "red" if outcome.status in FAILED_STATUSES else "default"
    return {
        "notebook": escape(outcome.name),
        "seconds": "" if outcome.seconds is None else f"{outcome.seconds:.1f}",
        "data source": escape(outcome.source.get("name", "")),
        "device": escape(outcome.runtime.get("device", "")),
        "run": f"[{style}]{outcome.status}[/]",
    }


def _metric_cells(metric: Metric | None) -> dict[str, str]:
    if metric is None:
        return {}
    cells = {"metric": metric.name}
    if metric.value is not None:
        cells["value"] = format_metric(metric.name, metric.value)
    if metric.threshold is not None:
        failed, met = metric.verdict in FAILURES, metric.verdict == MET
        style = "red" if failed else "green" if met else "yellow"
        bound = format_metric(metric.name, metric.threshold)
        cells["threshold"] = f"{'<=' if metric.at_most else '>='} {bound}"
        cells["verdict"] = f"[{style}]{metric.verdict}[/]"
    return cells
