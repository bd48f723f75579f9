"""``{network-table}``: every network of the documents, what was reported and what was measured.

Made from the zoo and from the run records when the page is built; no number is typed. The page is
complete without a script; ``networks.js`` lets readers sort, filter and open the rows.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from network_figures import PLOT, frame, learning_curve, linear, powers_of_ten
from page_templates import TEMPLATES
from run_status import ABSENT
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from course_utils.runtime import import_keras

HERE = Path(__file__).parent
# A difference, as a fraction of all test images, that asks for a reason.
FAR = 0.03
# Quantities of a training: name, key of the document's results.
QUANTITIES = (
    ("validation accuracy, last epoch", "val_accuracy"),
    ("training accuracy, last epoch", "train_accuracy"),
    ("validation loss, last epoch", "val_loss"),
    ("training loss, last epoch", "train_loss"),
)
TERA = 1e12


class NetworkTable(SphinxDirective):
    """The plots, the filter and the table."""

    def run(self) -> list[nodes.Node]:
        import_keras()  # quietly; the zoo needs it
        from course_utils import zoo
        from course_utils.reproduction import RECORDS

        self.env.note_dependency(str(RECORDS))
        sources = [*RECORDS.glob("*.json"), *Path(zoo.__file__).parent.glob("*.py")]
        for source in [*sources, *HERE.glob("network_*")]:
            self.env.note_dependency(str(source))
        self.env.metadata[self.env.docname]["has_networks"] = True
        return [nodes.raw("", render(all_networks()), format="html")]


def render(networks: list[dict[str, Any]]) -> str:
    """Return the HTML of the plots, the filter and the table."""
    from course_utils.zoo.techniques import KINDS, TECHNIQUES

    words = {"points": points, "percent": percent, "ABSENT": ABSENT}
    return TEMPLATES.get_template("network_table.html.jinja", globals=words).render(
        networks=networks,
        documents=list(dict.fromkeys(network["document"] for network in networks)),
        kinds=KINDS,
        techniques=TECHNIQUES,
        facts=facts(networks),
        plots=[
            scatter(networks, "parameters", "parameters", "{:,.0f}"),
            scatter(networks, "cost", "training cost in TFLOP", "{:,g}"),
        ],
    )


def all_networks() -> list[dict[str, Any]]:
    """Return what the page shows of each network, in the zoo's order."""
    from course_utils import zoo
    from course_utils.reproduction import choose, recorded_runs, reported_and_measured

    measured = {row.design: row for row in reported_and_measured().itertuples()}
    first_runs = {record.design: record for record in reversed(recorded_runs())}
    # `choose` leaves out our own small networks: there is nothing to compare them with.
    return [network(zoo.design(name), measured[name], first_runs.get(name)) for name in choose([])]


def network(design, found, record) -> dict[str, Any]:
    """Return what the page shows of one network.

    Parameters
    ----------
    design : Design
    found : named tuple
        The design's row of `reported_and_measured`.
    record : RunRecord or None
        Our first run.
    """
    from course_utils.departures import departures
    from course_utils.zoo.techniques import kind_and_techniques

    kind, techniques = kind_and_techniques(design)
    document, _, _ = design.name.partition("/")
    return {
        "id": f"network-{design.name.replace('/', '-')}",
        "name": design.name,
        "document": document,
        "summary": design.summary,
        "kind": kind,
        "techniques": techniques,
        "dataset": design.dataset,
        "parameters": design.parameters,
        "cost": cost(design, found),
        "reported": number(found.reported),
        "measured": number(found.measured),
        "spread": (found.low, found.high, found.runs) if found.runs > 1 else None,
        "difference": number(found.difference),
        "interval": (found.difference_low, found.difference_high),
        "results": results(design, record),
        "run": run_facts(record),
        "curves": curves(record),
        "confusion": confusion(design, record),
        "departures": departures(design, record),
        "remarks": remarks(design, found, record),
        "recipe": str(design.recipe),
        "commands": [
            f"course zoo {command} {design.name}" for command in ("show", "train", "reproduce")
        ],
    }


def number(value: float) -> float | None:
    """Return a number, or None in place of NaN."""
    return None if math.isnan(value) else value


def cost(design, found) -> float | None:
    """Return the operations of a training, in TFLOP; None without pretrained weights.

    They are those of our run's epochs, or of the document's where there is no run.
    """
    from course_utils.errors import DataError
    from course_utils.zoo.cost import training_flops

    try:
        return training_flops(design.name, round(found.epochs) if found.runs else None) / TERA
    except DataError:
        return None


def results(design, record) -> list[tuple[str, str, str]]:
    """Return (quantity, reported, measured) for all that the document or our run tells."""
    reported = design.reported
    rows = [
        (
            "test accuracy",
            shown("accuracy", reported.get("test_accuracy")),
            shown("accuracy", record and record.test_accuracy),
        ),
        ("test loss", shown("loss", reported.get("test_loss")), ABSENT),
    ]
    for label, key in QUANTITIES:
        ours = record.history[key.replace("train_", "")] if record else []
        rows.append((label, shown(key, reported.get(key)), shown(key, ours[-1] if ours else None)))
    epochs = len(record.history["loss"]) if record else 0
    seconds = record.seconds if record else None
    rows += [
        ("epochs", str(design.reported_epochs or ABSENT), str(epochs or ABSENT)),
        (
            "seconds of an epoch",
            shown("seconds", reported.get("epoch_seconds")),
            shown("seconds", seconds and seconds / epochs),
        ),
        (
            "seconds of the training",
            shown("seconds", reported.get("seconds")),
            shown("seconds", seconds),
        ),
    ]
    return [row for row in rows if row[1:] != (ABSENT, ABSENT)]


def shown(key: str, value: float | None) -> str:
    """Write an accuracy, a loss or a duration."""
    if value is None:
        return ABSENT
    return (
        f"{value:.1%}"
        if "accuracy" in key
        else f"{value:.3f}"
        if "loss" in key
        else f"{value:,.0f}"
    )


def percent(value: float) -> str:
    """Write an accuracy."""
    return f"{value:.1%}"


def points(value: float) -> str:
    """Write a difference of accuracies in percentage points."""
    return f"{100 * value:+.1f}"


def run_facts(record) -> str:
    """Say with what a run was made."""
    if record is None:
        return ""
    versions = ", ".join(
        f"{name} {record.versions[name]}"
        for name in ("keras", record.backend)
        if name in record.versions
    )
    return (
        f"{record.source}; {record.train_images:,} training and {record.test_images:,} test "
        f"images; {record.precision}; {record.device}; {versions}; seed {record.seed}; "
        f"{record.date[:10]}."
    )


def curves(record) -> list[dict[str, Any]]:
    """Return the drawings of a run's learning curves: accuracy and loss."""
    if record is None:
        return []
    history = record.history
    return [
        learning_curve(
            name.capitalize(),
            {"training": history[name], "validation": history[f"val_{name}"]},
            percent=name == "accuracy",
        )
        for name in ("accuracy", "loss")
    ]


def confusion(design, record) -> dict[str, Any] | None:
    """Return a run's confusion matrix with the names of the classes, if its record has one."""
    from course_utils.data.catalogue import SPECS

    if record is None or record.confusion is None:
        return None
    return {"classes": SPECS[design.dataset].class_names, "counts": record.confusion}


def remarks(design, found, record) -> list[str]:
    """Return what is to be said about a network, beside the departures of our run."""
    from course_utils.departures import describe_difference
    from course_utils.reproduction import compare_progress

    said = list(design.remarks)
    reported = design.reported
    excess = reported.get("val_accuracy", 0) - reported.get("test_accuracy", 1)
    if excess > FAR:
        said.append(
            f"The document's validation accuracy is {100 * excess:.1f} points above its test "
            "accuracy; ours is measured on images that are never trained on."
        )
    if number(found.difference) is not None:
        said.append(describe_difference(found.difference_low, found.difference_high))
        if abs(found.difference) > FAR:
            said.append(
                compare_progress(record)
                or "The document reports no training accuracy, so we cannot tell how far its "
                "training got."
            )
    return said


def facts(networks: list[dict[str, Any]]) -> list[str]:
    """Say how many networks have been measured, on which data and in which precision."""
    from course_utils.reproduction import recorded_runs

    records = recorded_runs()
    measured = sum(network["measured"] is not None for network in networks)
    sentences = [f"{measured} of the {len(networks)} networks have been measured so far."]
    for what, values in (
        ("Data", [record.source for record in records]),
        ("Precision", [record.precision for record in records]),
    ):
        counts = ", ".join(f"{value}: {count}" for value, count in Counter(values).most_common())
        sentences.append(f"{what} of the {len(records)} runs: {counts}.")
    return sentences


def scatter(networks: list[dict[str, Any]], key: str, label: str, show: str) -> dict[str, Any]:
    """Return what a plot of the accuracy against a property of the networks needs.

    A network without a run stands at its reported accuracy. Other data sets than CIFAR-10 are left
    out.
    """
    shown = [
        (network, accuracy)
        for network in networks
        if network["dataset"] == "cifar10"
        and network[key]
        and (accuracy := network["measured"] or network["reported"])
    ]
    left, right, top, bottom = frame(PLOT)
    x = powers_of_ten([network[key] for network, _ in shown], left, right)
    y = linear([accuracy for _, accuracy in shown], bottom, top)
    return {
        "id": f"plot-{key}",
        "size": PLOT,
        "frame": (left, right, top, bottom),
        "label": label,
        "x": x,
        "y": y,
        "marks": [
            {
                "network": network,
                "x": x.place(network[key]),
                "y": y.place(accuracy),
                "measured": network["measured"] is not None,
                "name": f"{network['name']}: {accuracy:.1%} "
                f"{'reported' if network['measured'] is None else 'measured'}, "
                f"{show.format(network[key])} {label.partition(' in ')[2] or label}",
            }
            for network, accuracy in sorted(shown, key=lambda pair: (pair[0][key], pair[1]))
        ],
    }


def add_script(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Load the script on pages with the table only."""
    if app.env.metadata.get(page, {}).get("has_networks"):
        app.add_js_file("networks.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive and its script."""
    app.setup_extension("run_status")
    app.add_directive("network-table", NetworkTable)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
