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

HEADINGS = ["Network", "Reported", "Measured", "Difference", "Parameters", "Epochs", "Trained in"]
NOT_YET = "not yet"


class NetworkTables(SphinxDirective):
    """One section with a table for each document."""

    def run(self) -> list[nodes.Node]:
        import_keras()  # quietly; the zoo needs it
        from course_utils import zoo
        from course_utils.experiment import load_records, summarise
        from course_utils.reproduction import RECORDS

        self.env.note_dependency(str(RECORDS))
        for source in [*RECORDS.glob("*.json"), *Path(zoo.__file__).parent.glob("*.py")]:
            self.env.note_dependency(str(source))
        real = [record for record in load_records(RECORDS) if not record.is_stand_in]
        measured = {row.design: row for row in summarise(real).itertuples()}
        documents = defaultdict(list)
        for name in zoo.names():
            documents[name.partition("/")[0]].append(zoo.design(name))
        del documents["fast"]  # ours: there is nothing to compare them with
        return [
            node
            for document, designs in documents.items()
            for node in section(document, designs, measured)
        ]


def section(document: str, designs: list, measured: dict) -> list[nodes.Node]:
    """Make one document's heading, table and remarks."""
    rows = [row(design, measured.get(design.name)) for design in designs]
    remarks = [
        nodes.list_item("", nodes.paragraph("", "", name(design), nodes.Text(f": {text}")))
        for design in designs
        for text in (design.note, design.misprint)
        if text
    ]
    listed = [nodes.bullet_list("", *remarks)] if remarks else []
    return [nodes.rubric(text=document), table(HEADINGS, rows, wraps={0, 6}), *listed]


def name(design) -> nodes.literal:
    """Return a network's name as code."""
    return nodes.literal(text=design.name)


def row(design, measured) -> list:
    """Make one network's row."""
    about = [name(design), nodes.emphasis(text=design.summary)]
    reported = design.reported.get("test_accuracy")
    stated = ABSENT if reported is None else f"{reported:.1%}"
    if measured is None:
        return [about, stated, NOT_YET, ABSENT, f"{design.parameters:,}", ABSENT, ABSENT]
    accuracy = [f"{measured.accuracy:.1%}"]
    if measured.runs > 1:
        accuracy.append(f"{measured.lowest:.1%} to {measured.highest:.1%} ({measured.runs} runs)")
    difference = ABSENT if reported is None else f"{100 * (measured.accuracy - reported):+.1f}"
    epochs = [f"{measured.epochs:.0f}"]
    if design.reported_epochs:
        epochs.append(f"reported {design.reported_epochs}")
    return [
        about,
        stated,
        accuracy,
        difference,
        f"{design.parameters:,}",
        epochs,
        [f"{measured.seconds:,.0f} s", measured.device],
    ]


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.setup_extension("run_status")
    app.add_directive("network-tables", NetworkTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
