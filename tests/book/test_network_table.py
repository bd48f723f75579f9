"""What the page of networks draws and says, from made-up runs: no page is built."""

from __future__ import annotations

import math
import re
import sys
from types import SimpleNamespace

import pytest

from course_utils import paths, zoo
from course_utils.records import RunRecord

sys.path.append(str(paths.CHECKOUT / "book" / "_ext"))
network_figures = pytest.importorskip("network_figures")
network_table = pytest.importorskip("network_table")


def found(**changes):
    """A row of `reported_and_measured`."""
    unknown = dict.fromkeys(
        ("reported", "measured", "low", "high", "epochs", "difference",
         "difference_low", "difference_high"), math.nan,
    )  # fmt: skip
    return SimpleNamespace(**unknown | {"runs": 0} | changes)


def run_of(name, **changes):
    record = RunRecord.load(paths.RECORDS / "own_design" / "fast-final-seed0.json")
    return record.model_copy(update={"design": name} | changes)


def rendered(*networks):
    return network_table.render(list(networks))


NEW = found(reported=0.6207)
DONE = found(
    runs=1, reported=0.6207, measured=0.5, low=0.5, high=0.5, epochs=25.0,
    difference=-0.1207, difference_low=-0.13, difference_high=-0.11,
)  # fmt: skip


def test_axes_have_round_ticks_and_places_in_order():
    axis = network_figures.linear([0.1, 0.87], 262, 12)
    assert axis.ticks == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert axis.place(0) == 262
    assert axis.place(1) == 12
    for values in ([0.5, 0.5], [0, 1], [0, 13], [0, 300], [2.3, 2.31]):
        axis = network_figures.linear(values, 0, 1)
        assert axis.low <= min(values) <= max(values) <= axis.high
        assert axis.low < axis.high
        assert 2 <= len(axis.ticks) <= network_figures.MOST_STEPS + 1
    powers = network_figures.powers_of_ten([33_098, 12_523_266], 0, 100)
    assert powers.ticks == (1e5, 1e6, 1e7)
    assert 0 < powers.place(33_098) < powers.place(1e5) < powers.place(12_523_266) < 100


def test_a_long_curve_keeps_its_ends_and_has_few_points():
    x = network_figures.linear([0, 1_000], 0, 1_000)
    y = network_figures.linear([0, 1], 100, 0)
    path = network_figures.line([epoch / 999 for epoch in range(1_000)], x, y)
    assert path.startswith("M1 100")
    assert path.endswith("L1000 0")
    assert path.count("L") < network_figures.MOST_POINTS
    assert network_figures.line([0.5], x, y) == "M1 50"


def test_a_network_without_a_run_has_a_row_and_a_hollow_point():
    html = rendered(
        network_table.network(zoo.design("dl/1"), NEW, None),
        network_table.network(zoo.design("dl/2"), DONE, run_of("dl/2")),
    )
    assert html.count("network-mark is-hollow") == 2  # one in each plot
    assert html.count('class="network-point') == 4
    assert "not yet" in html
    assert "Not yet measured: there are no curves." in html
    assert "62.1%" in html
    assert "-12.1" in html
    assert "(-13.0 to -11.0)" in html
    assert html.count('<svg class="network-curves"') == 2
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_confusion_matrix_is_shown_if_the_record_has_one():
    without = network_table.network(zoo.design("dl/1"), DONE, run_of("dl/1", confusion=None))
    assert "holds no confusion matrix" in rendered(without)
    counts = [[10 * row + column for column in range(10)] for row in range(10)]
    having = network_table.network(zoo.design("dl/1"), DONE, run_of("dl/1", confusion=counts))
    html = rendered(having)
    assert "holds no confusion matrix" not in html
    assert "Confusion matrix of dl/1" in html
    assert html.count('class="is-right"') == 10
    assert "<td>98</td>" in html


def test_several_runs_are_shown_with_the_interval_of_their_mean():
    several = found(
        runs=3, reported=0.6, measured=0.61, low=0.6, high=0.62, epochs=25.0,
        difference=0.01, difference_low=-0.01, difference_high=0.03,
    )  # fmt: skip
    html = rendered(network_table.network(zoo.design("dl/1"), several, run_of("dl/1")))
    assert "60.0% to 62.0% (3 runs)" in html


@pytest.mark.parametrize(
    ("difference", "words", "asked"),
    [(-0.12, "is below 0", True), (0.12, "is above 0", True), (0.0, "includes 0", False)],
)
def test_remarks_follow_the_difference(difference, words, asked):
    row = found(
        runs=1, reported=0.6, measured=0.6 + difference, difference=difference,
        difference_low=difference - 0.01, difference_high=difference + 0.01,
    )  # fmt: skip
    said = " ".join(network_table.remarks(zoo.design("dl/1"), row, run_of("dl/1")))
    assert words in said
    assert ("no training accuracy" in said) == asked


def test_a_validation_accuracy_far_above_the_test_accuracy_is_named():
    said = {
        name: "points above its test"
        in " ".join(network_table.remarks(zoo.design(name), NEW, None))
        for name in ("proyectos/16", "proyectos/18", "proyectos/15")
    }
    assert said == {"proyectos/16": True, "proyectos/18": True, "proyectos/15": False}


def test_all_results_that_a_document_prints_stand_beside_ours():
    record = run_of("proyectos/18")
    rows = {
        label: rest for label, *rest in network_table.results(zoo.design("proyectos/18"), record)
    }
    assert rows["training accuracy, last epoch"][0] == "90.4%"
    assert rows["training loss, last epoch"][0] == "0.416"
    assert rows["seconds of the training"] == ["19,337", f"{record.seconds:,.0f}"]
    assert rows["epochs"] == ["–", str(len(record.history["loss"]))]
    alone = network_table.results(zoo.design("dl/1"), None)
    assert alone == [("test accuracy", "62.1%", "–"), ("epochs", "30", "–")]
