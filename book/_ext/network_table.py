"""``{network-tables}``: every network of the documents, what was reported and what was measured.

Made from the zoo and from the run records when the page is built; no number is typed.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from docutils import nodes
from run_status import ABSENT, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from course_utils.runtime import import_keras

HEADINGS = ["Network", "Reported", "Measured", "Difference", "Training"]
NOT_YET = "not yet"
# A difference, as a part of all test images, that asks for a reason.
FAR = 0.03


class NetworkTables(SphinxDirective):
    """One section with a table for each document."""

    def run(self) -> list[nodes.Node]:
        import_keras()  # quietly; the zoo needs it
        from course_utils import zoo
        from course_utils.reproduction import RECORDS, recorded_runs, reported_and_measured

        self.env.note_dependency(str(RECORDS))
        for source in [*RECORDS.glob("*.json"), *Path(zoo.__file__).parent.glob("*.py")]:
            self.env.note_dependency(str(source))
        measured = {row.design: row for row in reported_and_measured().itertuples()}
        first_runs = {record.design: record for record in reversed(recorded_runs())}
        documents = defaultdict(list)
        for name in zoo.names():
            documents[name.partition("/")[0]].append(zoo.design(name))
        del documents["fast"]  # ours: there is nothing to compare them with
        return [
            node
            for document, designs in documents.items()
            for node in section(document, designs, measured, first_runs)
        ]


def section(document: str, designs: list, measured: dict, first_runs: dict) -> list[nodes.Node]:
    """Make one document's heading, table, remarks, and what is known of large differences."""
    rows = [row(design, measured[design.name]) for design in designs]
    far = [design for design in designs if abs(measured[design.name].difference) > FAR]
    return [
        nodes.rubric(text=document),
        table(HEADINGS, rows, wraps={0, 4}),
        *listed(
            f"More than {100 * FAR:.0f} points from what was reported:",
            [
                (design, difference(measured[design.name], first_runs[design.name]))
                for design in far
            ],
        ),
        *listed(
            "Remarks:",
            [(design, text) for design in designs for text in (design.note, design.misprint)],
        ),
    ]


def listed(heading: str, remarks: list[tuple]) -> list[nodes.Node]:
    """Make a list of what is said about designs; nothing where nothing is."""
    items = [
        nodes.list_item("", nodes.paragraph("", "", name(design), nodes.Text(f": {text}")))
        for design, text in remarks
        if text
    ]
    return [nodes.paragraph(text=heading), nodes.bullet_list("", *items)] if items else []


def difference(found, record) -> str:
    """Say how large a difference is, and what the document's own figures tell about it."""
    from course_utils.reproduction import compare_progress

    told = compare_progress(record) or (
        "The document reports no training accuracy, so we cannot tell how far its training got."
    )
    return f"{100 * found.difference:+.1f}. {told}"


def name(design) -> nodes.literal:
    """Return a network's name as code."""
    return nodes.literal(text=design.name)


def row(design, found) -> list:
    """Make one network's row."""
    about = [
        name(design),
        nodes.emphasis(text=design.summary),
        f"{design.parameters:,} parameters",
    ]
    stated = f"{found.reported:.1%}" if design.reported else ABSENT
    if not found.runs:
        return [about, stated, NOT_YET, ABSENT, ABSENT]
    accuracy = [f"{found.measured:.1%}"]
    if found.runs > 1:
        accuracy.append(f"{found.low:.1%} to {found.high:.1%} ({found.runs} runs)")
    reported = f" (reported: {design.reported_epochs})" if design.reported_epochs else ""
    return [
        about,
        stated,
        accuracy,
        f"{100 * found.difference:+.1f}" if design.reported else ABSENT,
        [f"{found.epochs:.0f} epochs{reported}", f"{found.seconds:,.0f} s, {found.device}"],
    ]


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.setup_extension("run_status")
    app.add_directive("network-tables", NetworkTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
