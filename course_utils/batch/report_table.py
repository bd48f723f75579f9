"""The table that a batch run prints when it has ended."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from course_utils import colours
from course_utils.batch.report import FAILED_STATUSES, FAILURES, MET, Metric, Outcome, Report
from course_utils.printable import escape
from course_utils.reporting import format_metric

# Columns that are the same for most notebooks; below a narrow table, they become lines of text.
WHERE = ("data source", "device")

COLUMNS = ("notebook", "metric", "value", "threshold", "verdict", "seconds", *WHERE, "run")

# Number of characters in a line from which on a table has all columns.
WIDE = 115


def print_report(report: Report, console: Console) -> None:
    """Print the run as a table: one row per metric, or one for a notebook without metrics."""
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
    style = colours.BAD if outcome.status in FAILED_STATUSES else colours.NEUTRAL
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
        style = colours.BAD if failed else colours.GOOD if met else colours.WARNING
        bound = format_metric(metric.name, metric.threshold)
        cells["threshold"] = f"{'<=' if metric.at_most else '>='} {bound}"
        cells["verdict"] = f"[{style}]{metric.verdict}[/]"
    return cells
