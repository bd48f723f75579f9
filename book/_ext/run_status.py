"""Tables of what ran, filled in after every notebook has been read.

``{run-status}``   one row for every notebook: when, how long, on what, with which results.
``{run-results}``  one bar for every chapter that measured a test accuracy, beside its goal.

Both read the run reports that `notebook_outputs` keeps, and MyST-NB's execution data. A notebook
without a report is listed with what is known about it. Verdicts are those of `course run`, which
stores them in the report; nothing is judged here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from notebook_outputs import REPORT_KEY
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from course_utils.batch.report import stored_verdicts
from course_utils.reporting import format_metric

USES_RUNS = "uses_runs"
ABSENT = "–"


class RunTable(nodes.General, nodes.Element):
    """Where a table will stand; its ``kind`` is the directive's name."""


class RunDirective(SphinxDirective):
    """Leave a placeholder and remember that this page depends on the runs."""

    def run(self) -> list[nodes.Node]:
        NbMetadataCollector.set_doc_data(self.env, self.env.docname, USES_RUNS, True)
        return [RunTable(kind=self.name)]


class FillRunTables(SphinxPostTransform):
    """Replace the placeholders, before links are resolved."""

    default_priority = 8

    def run(self, **kwargs) -> None:
        for node in list(self.document.findall(RunTable)):
            make = {"run-status": status_tables, "run-results": results_table}[node["kind"]]
            node.replace_self(make(self.env))


def pages_to_refresh(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Name the pages with such a table when a notebook has been read anew."""
    if not NbMetadataCollector.new_exec_data(env):
        return []
    return [doc for doc, data in NbMetadataCollector.get_doc_data(env).items() if USES_RUNS in data]


def runs(env: BuildEnvironment) -> list[tuple[str, dict, dict]]:
    """List (document name, execution data, report) of every notebook, in the book's order."""
    known = NbMetadataCollector.get_doc_data(env)
    notebooks = sorted(doc for doc in env.found_docs if str(env.doc2path(doc)).endswith(".ipynb"))
    return [
        (doc, known.get(doc, {}).get("exec_data") or {}, known.get(doc, {}).get(REPORT_KEY) or {})
        for doc in notebooks
    ]


def status_tables(env: BuildEnvironment) -> list[nodes.Node]:
    """Make three tables: what ran, on what, and with which versions."""
    outcomes, settings, versions = [], [], defaultdict(list)
    for doc, execution, report in runs(env):
        metrics = report.get("metrics", {}).items()
        outcomes.append(
            [
                link(env, doc),
                status(execution),
                duration(execution.get("runtime")),
                date(execution.get("mtime")),
                report.get("profile"),
                [f"{name.replace('_', ' ')} {format_metric(name, x)}" for name, x in metrics],
            ]
        )
        if report:
            runtime = report["runtime"]
            settings.append(
                [
                    link(env, doc),
                    report["source"]["name"],
                    runtime["device"],
                    runtime["backend"],
                    runtime["precision"],
                    runtime["seed"],
                ]
            )
            used = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
            versions[used].append(link(env, doc))
    tables = [
        table(
            ["Notebook", "Status", "Run time", "Date", "Profile", "Measured"],
            outcomes,
            wraps={0, 3, 5},
        )
    ]
    if settings:
        headings = ["Notebook", "Data", "Device", "Backend", "Precision", "Seed"]
        tables += [
            nodes.rubric(text="What each ran on"),
            table(headings, settings, wraps={0, 1, 2}),
            table(["Versions", "Notebooks"], versions.items(), wraps={0, 1}),
        ]
    return tables


def results_table(env: BuildEnvironment) -> list[nodes.Node]:
    """Make the table of test accuracies, each with a bar and its goal."""
    rows = []
    for doc, _, report in runs(env):
        accuracy = report.get("metrics", {}).get("test_accuracy")
        if accuracy is None:
            continue
        verdicts = {metric.name: metric for metric in stored_verdicts(report)}
        judged = verdicts.get("test_accuracy")
        threshold = judged.threshold if judged else None
        goal = None
        if threshold is not None:
            goal = f"{format_metric('test_accuracy', threshold)}, {judged.verdict}"
        rows.append(
            [
                link(env, doc),
                bar(accuracy, threshold),
                goal,
                report["source"]["name"],
            ]
        )
    if not rows:
        return [nodes.paragraph(text="No chapter of this copy of the book has been run yet.")]
    return [table(["Chapter", "Test accuracy", "Goal", "Data"], rows, wraps={0, 2, 3})]


def link(env: BuildEnvironment, doc: str) -> nodes.Node:
    """Link to a document under its own title."""
    reference = pending_xref(
        refdoc=env.docname,
        refdomain="std",
        reftype="doc",
        reftarget=f"/{doc}",
        refexplicit=True,
        refwarn=True,
    )
    reference += nodes.inline(text=env.titles[doc].astext())
    return reference


def bar(accuracy: float, goal: float | None) -> nodes.Node:
    """Draw an accuracy as a bar with its number; a mark stands at the goal."""
    mark = "" if goal is None else f'<i style="left: {goal:.1%}"></i>'
    return nodes.raw(
        text=f'{accuracy:.1%} <span class="accuracy-bar" aria-hidden="true">'
        f'<b style="width: {accuracy:.1%}"></b>{mark}</span>',
        format="html",
    )


def status(execution: dict) -> str:
    """Say in words whether a notebook ran."""
    if not execution:
        return "not run"
    return "ran" if execution.get("succeeded") else f"failed: {execution.get('error')}"


def duration(seconds: float | None) -> str | None:
    """Write a run time as one reads it: 8.4 s, 3 min 05 s, 1 h 02 min."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def date(timestamp: float | None) -> str | None:
    """Write a POSIX time as a date and time in UTC."""
    if timestamp is None:
        return None
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")


def table(headings: list[str], rows: Iterable[Iterable], wraps: set[int]) -> nodes.table:
    """Make a docutils table; the text of the columns `wraps` may run over several lines.

    A cell is a node, a text, a list of either (a line each) or None.
    """
    group = nodes.tgroup(cols=len(headings))
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head = nodes.row("", *(entry(name) for name in headings))
    body = nodes.tbody()
    for cells in rows:
        entries = [entry(cell) for cell in cells]
        for column in wraps:
            entries[column]["classes"].append("wraps")
        body += nodes.row("", *entries)
    group += [nodes.thead("", head), body]
    return nodes.table("", group, classes=["colwidths-auto", "run-table"])


def entry(cell: nodes.Node | list | str | int | None) -> nodes.entry:
    """Make one table cell."""
    lines = (cell if isinstance(cell, list) else [cell]) or [None]
    paragraphs = []
    for line in lines:
        if not isinstance(line, nodes.Node):
            line = nodes.Text(ABSENT if line is None else str(line))
        paragraphs.append(nodes.paragraph("", "", line))
    return nodes.entry("", *paragraphs)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directives and what fills them in."""
    app.setup_extension("notebook_outputs")
    app.add_node(RunTable)
    app.add_directive("run-status", RunDirective)
    app.add_directive("run-results", RunDirective)
    app.add_post_transform(FillRunTables)
    app.connect("env-updated", pages_to_refresh)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
