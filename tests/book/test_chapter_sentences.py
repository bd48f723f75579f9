"""Sentences that a chapter's cells compute, with values that turn each of them around."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from course_utils import compare_designs, compare_networks, only_one_right
from course_utils.paths import CHECKOUT as ROOT


@pytest.fixture
def say(capsys):
    """Run some cells of a chapter with given values and return what they print."""

    def run(chapter: str, *cells: str, **values: object) -> str:
        (path,) = (ROOT / "book").glob(f"*_{chapter}.ipynb")
        source = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
        scope = {"np": np, "pd": pd, "math": math, **values}
        for cell in cells:
            exec(source[cell], scope)
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("convolutional", "connected", "sentence"),
    [
        (0.5, 0.2, "The convolutional network keeps more of its accuracy."),
        (0.2, 0.5, "The fully connected network keeps more of its accuracy."),
        (0.5, 0.5, "The two networks keep the same fraction."),
    ],
)
def test_the_network_that_keeps_more_after_a_shift_is_named(
    say, convolutional, connected, sentence
):
    table = {"convolutional": [0.6, convolutional * 0.6], "fully connected": [0.4, connected * 0.4]}
    said = say("convolution", "shift-table", under_shift=pd.DataFrame(table, index=[0, 4]))
    assert sentence in said


@pytest.mark.parametrize(
    ("without", "with_dropout", "sentence"),
    [
        (0.9, 0.7, "The gap is narrower with dropout."),
        (0.7, 0.9, "The gap is narrower without dropout."),
        (0.7, 0.7, "The gaps are equal."),
    ],
)
@pytest.mark.parametrize(("masked", "verb"), [(0.6, "cost"), (0.95, "gain")])
def test_the_network_with_the_narrower_gap_is_named(
    say, without, with_dropout, sentence, masked, verb
):
    off, active = (f"training, afterwards, dropout {state}" for state in ("off", "active"))
    measured = pd.DataFrame(
        {
            "without dropout": [without, without, 0.6],
            "with dropout": [with_dropout, masked, 0.6],
        },
        index=[off, active, "test"],
    )
    said = say("dropout", "gap", measured=measured)
    assert sentence in said
    assert f"The masks {verb} the network" in said


def answers(right, of=1_000):
    """The evaluation of a network that is right for the first of some images."""
    labels = np.zeros(of, dtype=int)
    guesses = (np.arange(of) >= right).astype(int)
    return SimpleNamespace(y_true=labels, y_pred=guesses, n=of, accuracy=right / of)


METHOD = {
    "compare_designs": compare_designs,
    "compare_networks": compare_networks,
    "only_one_right": only_one_right,
}


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        (540, "The network with dropout is better."),
        (460, "The network without dropout is better."),
        (502, "do not show which of the two networks is better."),
    ],
)
def test_two_trained_networks_are_compared_pair_by_pair(say, right, sentence):
    both = {"without dropout": answers(500), "with dropout": answers(right)}
    assert sentence in say("dropout", "paired-comparison", judged=both, **METHOD)


@pytest.mark.parametrize(
    ("gaps", "sentence"),
    [
        ([0.3, 0.2, 0.1, 0.0], "Each higher rate narrows the gap."),
        ([0.3, 0.1, 0.2, 0.0], "Not every higher rate narrows the gap."),
    ],
)
@pytest.mark.parametrize(
    ("right", "better", "low"),
    [([500, 502, 400], "none", True), ([560, 500, 580], "0.2, 0.8", False)],
)
def test_rates_are_compared_with_no_dropout(say, gaps, sentence, right, better, low):
    rates = [0, 0.2, 0.5, 0.8]
    table = pd.DataFrame({"training": 0.5 + np.array(gaps), "validation": 0.5}, index=rates)
    table["gap"] = table.training - table.validation
    values = {
        "rates": rates,
        "few_table": table,
        "few_judged": dict(zip(rates, map(answers, [500, *right]), strict=True)),
        "few": SimpleNamespace(y_train=np.zeros(40)),
        "few_recipe": SimpleNamespace(epochs=10),
        "y_val": np.zeros(50),
    }
    said = say("dropout", "few-verdict", **values, **METHOD)
    assert sentence in said
    assert f"Rates that are better than no dropout: {better}\n" in said
    assert ("both accuracies are lower" in said) == low


@pytest.mark.parametrize(
    ("measured", "said"),
    [(0.80, "+5.0 measured (runs: 1 and 1)"), (np.nan, "not measured yet")],
)
def test_what_dropout_did_in_larger_networks_is_read_from_the_records(say, measured, said):
    designs = ["dl/3", "dl/4", "hw3/base", "hw3/dropout-0.2"]
    table = pd.DataFrame(
        {"design": designs, "reported": [0.7, 0.72] * 2, "measured": [0.75, measured] * 2}
    ).assign(runs=1, summary="a network")
    words = say("dropout", "larger-networks", reported_and_measured=lambda *names: table)
    assert words.count(f"+2.0 points reported, {said}") == 2


@pytest.mark.parametrize(("last", "word"), [(0.1, "closer"), (0.5, "no closer")])
def test_the_average_over_masks_is_compared_with_one_mask(say, last, word):
    averages = np.full((30, 2, 10), 0.3)
    averages[-1] = last
    values = {
        "averages": averages,
        "by_number": np.full(30, 0.5),
        "test_time": SimpleNamespace(probabilities=np.full((2, 10), 0.1), accuracy=0.5),
    }
    assert f"masks is {word} to" in say("dropout", "ensemble-closeness", **values)


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        (540, "The network with BatchNorm is better."),
        (460, "The network without BatchNorm is better."),
        (502, "do not show which of the two networks is better."),
    ],
)
def test_the_network_with_batch_normalisation_is_compared(say, right, sentence):
    curves = SimpleNamespace(accuracy=[0.6], val_accuracy=[0.5])
    found = {"plain": answers(500), "normalised": answers(right)}
    values = {
        "evaluation": "50%",
        "evaluate": lambda network, *images: found[network],
        "plain_model": "plain",
        "model": "normalised",
        "x_val": None,
        "y_val": None,
        "data": SimpleNamespace(class_names=()),
        "history": curves,
        "plain_history": curves,
    }
    assert sentence in say("batch_normalisation", "evaluation-words", **values, **METHOD)


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ([0.1, 0.4, 0.1], "more of these rates are usable than without it."),
        ([0.4, 0.4, 0.4], "fewer of these rates are usable than without it."),
        ([0.4, 0.4, 0.1], "as many of these rates are usable as without it."),
    ],
)
def test_usable_rates_are_counted(say, without, sentence):
    values = {"rates": [0.01, 0.1, 1.0], "by_rate": {True: [0.4, 0.4, 0.1], False: without}}
    assert sentence in say("batch_normalisation", "rates-words", **values)


@pytest.mark.parametrize(
    ("test_mode", "late", "sentence"),
    [
        ([200, 400], "64, 1,024", "these alone do not"),
        ([400, 200], "64, 1,024", "so these can explain it"),
        ([500, 200], "1,024", "so these can explain it"),
        ([500, 510], "no size", "there is no gap to explain"),
    ],
)
def test_the_sizes_at_which_test_mode_is_behind_and_the_cause(say, test_mode, late, sentence):
    sizes = [64, 1024]
    table = pd.DataFrame(
        {
            "steps": [100, 10],
            "with, test mode": np.array(test_mode) / 1000,
            "with, training mode": 0.5,
        },
        index=sizes,
    )
    judged = {
        size: {"without": answers(400), "test mode": answers(n), "training mode": answers(500)}
        for size, n in zip(sizes, test_mode, strict=True)
    }
    said = say(
        "batch_normalisation",
        "sizes-words",
        "renewed",
        "renewed-gain",
        "answer-numbers",
        by_size=table,
        sizes=sizes,
        judged=judged,
        x_small=np.zeros(1000),
        networks={64: None, 1024: None},
        settle=lambda network, **how: None,
        in_test_mode=lambda network: answers(480),
        evaluation="50%",
        difference="+1 point",
        history=SimpleNamespace(epochs=1, seconds=1),
        recipe=SimpleNamespace(optimizer="adam", learning_rate=0.001, batch_size=64),
        **METHOD,
    )
    assert f"behind training mode at: {late}." in said
    assert sentence in said
    assert "64: better, 1,024: better" in said


class Weights:
    """A network whose weights can be read and set."""

    def get_weights(self) -> list:
        return []

    def set_weights(self, weights: list) -> None:
        assert weights == []


@pytest.mark.parametrize("restless", [(4, 0.5), (4, 0.99), (256, 0.5)])
def test_the_averages_that_vary_most_are_named(say, restless):
    settled = []

    def settle(network, size, steps, momentum):
        settled.append((size, momentum))

    def evaluation(network):
        return SimpleNamespace(accuracy=0.5 + 0.01 * (settled[-1] == restless) * len(settled))

    said = say(
        "batch_normalisation",
        "jumping-accuracy",
        networks={4: Weights()},
        settle=settle,
        in_test_mode=evaluation,
    )
    size, momentum = restless
    assert f"varies most with minibatches of {size} and momentum {momentum}." in said
    assert ("as the report argues" in said) == (restless == (4, 0.5))


CLEARLY = {"better": [0.80, 0.81, 0.82], "worse": [0.60, 0.61, 0.62], "undecided": [0.69, 0.74]}


@pytest.mark.parametrize(
    ("outcome", "sentence", "end"),
    [
        ("better", "The change is better than the design.", "Next, this would become part"),
        ("worse", "The change is worse than the design.", "So the design stays as it is."),
        ("undecided", "these runs do not decide", "So the design stays as it is."),
    ],
)
def test_a_verdict_and_the_list_of_changes_follow_one_rule(say, outcome, sentence, end):
    values = {
        "validation": {"the design": [0.70, 0.71, 0.72], "average pooling": CLEARLY[outcome]},
        "compare_designs": compare_designs,
    }
    said = say("your_own_design", "compare", "pooling-verdict", "spread", **values)
    assert sentence in said
    assert f")  {outcome}\n" in said
    assert end in said
    better = "average pooling" if outcome == "better" else "none"
    assert f"Better than the design: {better}\n" in said
    assert "not measured yet" in say("your_own_design", "compare", "hidden-verdict", **values)


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        ([0.10, 0.11, 0.12], "the gap is wider."),
        ([-0.1, -0.11, -0.12], "the gap is narrower."),
        ([-0.1, 0.11, 0.02], "do not show whether augmentation changes the gap."),
    ],
)
def test_the_gap_without_augmentation_is_compared(say, without, sentence):
    gaps = {"fast/final": [0.01, 0.02, 0.03], "fast/final-without-augmentation": without}
    records = [
        SimpleNamespace(design=name, history={"accuracy": [0.5 + gap]}, validation_accuracy=0.5)
        for name, found in gaps.items()
        for gap in found
    ]
    said = say(
        "your_own_design",
        "augmentation-verdict",
        records=records,
        compare_designs=compare_designs,
        change=str,
        verdict=print,
    )
    assert sentence in said


@pytest.mark.parametrize("word", ["worse", "undecided", "better"])
def test_the_answer_lists_each_change_under_its_verdict(say, word):
    found = compare_designs([0.70, 0.71, 0.72], CLEARLY[word])
    values = {
        "evaluation": "80%",
        "history": SimpleNamespace(epochs=5, seconds=60),
        "runtime": SimpleNamespace(device="CPU"),
        "model": SimpleNamespace(count_params=lambda: 9),
        "recipe": SimpleNamespace(optimizer="adamw", learning_rate=0.004, batch_size=256),
        "differences": {"narrow": found},
    }
    said = say("your_own_design", "answer-numbers", **values)
    assert f"Changes that are {word}: narrow." in said
    assert said.count(": none.") == 2


@pytest.mark.parametrize(("pair", "word"), [((3, 5), "fewer"), ((3, 9), "no fewer")])
def test_mistakes_between_animals_and_vehicles_are_compared_with_guessing(say, pair, word):
    confusion = np.eye(10, dtype=int)
    confusion[pair] = 7
    said = say(
        "your_own_design",
        "animals",
        evaluation=SimpleNamespace(confusion=confusion),
        data=SimpleNamespace(source=SimpleNamespace(is_stand_in=False)),
    )
    assert f"are {word} than the 53%" in said
    assert ("Nobody told the network" in said) == (word == "fewer")


@pytest.mark.parametrize("outcome", CLEARLY)
@pytest.mark.parametrize(
    ("gap", "word"),
    [([0.2, 0.21, 0.22], "wider"), ([0, 0.01, 0.02], "narrower"), ([0, 0.2, 0.1], "not decided")],
)
def test_a_step_is_judged_over_its_seeds(say, outcome, gap, word):
    names = np.repeat(["one block", "two blocks", "two blocks, dropout"], 3)
    found = [*CLEARLY[outcome], 0.73][:3]
    outcomes = pd.DataFrame(
        {
            "network": names,
            "validation images": [0.70, 0.71, 0.72, *found, 0.70, 0.71, 0.72],
            "gap": [0.10, 0.11, 0.12, *gap, 0.10, 0.11, 0.12],
        }
    )
    words = say("one_step_at_a_time", "live-words", outcome=outcomes, **METHOD)
    first = words.partition("two blocks ->")[0]
    assert f")  {outcome}\n" in first
    assert f"): {word}\n" in first


@pytest.mark.parametrize("best", ["one block", "two blocks, dropout"])
def test_the_design_that_validates_best_is_tested(say, best):
    names = ["one block", "two blocks, dropout"]
    outcome = pd.DataFrame(
        {"network": names, "validation images": [0.6 + 0.1 * (name == best) for name in names]}
    )
    said = say(
        "one_step_at_a_time",
        "test-once",
        outcome=outcome,
        networks={(name, 0): SimpleNamespace(count_params=lambda: 9) for name in names},
        seed=0,
        evaluate=lambda model, *images: "60%",
        x_test=None,
        y_test=None,
        data=SimpleNamespace(class_names=()),
        few=SimpleNamespace(x_train=[]),
        zoo=SimpleNamespace(
            design=lambda name: SimpleNamespace(
                name=name, parameters=9, reported={"test_accuracy": 0.8}
            )
        ),
    )
    assert f"Highest mean validation accuracy: {best}." in said


@pytest.mark.parametrize(
    ("leaked", "sentence"),
    [
        ([0.41, 0.80], "a leak can produce this picture"),
        ([0.45, 0.53], "did not produce the picture"),
        ([0.35, 0.45], "did not produce the picture"),
    ],
)
def test_a_leak_produces_the_picture_or_not(say, leaked, sentence):
    said = say("to_ninety_percent", "leak-words", leaked=leaked, new=[0.40, 0.50])
    assert sentence in said


@pytest.mark.parametrize(("alike", "falls"), [(False, True), (True, False)])
def test_the_excess_of_the_winner_is_compared_over_sizes(say, alike, falls):
    """With equal answers in all epochs, choosing gains nothing, whatever the size."""
    answers = np.random.default_rng(0).random((10, 2_500)) < 0.6
    said = say(
        "to_ninety_percent", "halves", answers=np.repeat(answers[:1], 10, 0) if alike else answers,
        seed=0,
    )  # fmt: skip
    assert ("The fewer images choose, the more" in said) == falls
    assert ("Fewer images do not always" in said) != falls


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([0.5, 0.4, 0.6, 0.7], "ends 30.0 points below patience 3."),
        ([0.5, 0.6, 0.55, 0.4], "ends 15.0 points above patience 3."),
        ([0.5, 0.6, 0.7, 0.8], "ends at the accuracy of patience 3."),
    ],
)
def test_what_the_shortest_patience_costs(say, curve, words):
    history = {"val_accuracy": curve, "val_loss": [1 - value for value in curve]}
    said = say("to_ninety_percent", "replay", "replay-table", new=curve, losses=history["val_loss"])
    assert words in said


@pytest.mark.parametrize(
    ("measured", "missed", "below"),
    [([0.60, 0.66], 1, 0), ([0.50, 0.60], 2, 2), ([0.55, 0.66], 0, 0)],
)
def test_reruns_beyond_the_noise_are_counted(say, measured, missed, below):
    reported = np.array([0.547, 0.66])
    table = pd.DataFrame(
        {
            "design": ["proyectos/0", "proyectos/1"],
            "project": ["0", "1"],
            "runs": 1,
            "reported": reported,
            "measured": measured,
            "difference": measured - reported,
        }
    )
    words = say(
        "to_ninety_percent", "answer-numbers", table=table, records=[1, 2], noise=lambda a, b: 0.014
    )
    count = f"Beyond the noise of the test: {missed}, of which {below} are below"
    assert count in words
    assert words.count("beyond the noise of the test") == missed


@pytest.mark.parametrize(
    ("all_six", "photographs", "sentence", "share"),
    [
        (620, 600, "The network with all six changes is better.", "all six, 120% of what four"),
        (440, 600, "The network with zoom and flips is better.", "zoom and flips, 60% of what"),
        (558, 600, "do not show which of the two is better.", "zoom and flips, 60% of what"),
        (558, 502, "do not show which of the two is better.", "Not both"),
    ],
)
def test_changes_are_compared_with_none_and_with_each_other(
    say, all_six, photographs, sentence, share
):
    right = {"unchanged": 500, "zoom and flips": 560, "all six": all_six}
    right["four times as many"] = photographs
    worth = {name: answers(count) for name, count in right.items()}
    values = {
        "worth": worth,
        "plans": worth,
        "same_images": list(worth)[:3],
        "y_val": np.zeros(1_000),
        "networks": worth,
        "histories": dict.fromkeys(worth, SimpleNamespace(epochs=1)),
        "evaluate": lambda *arguments: "50%",
        "x_test": None,
        "y_test": None,
        "data": SimpleNamespace(class_names=()),
        "few": SimpleNamespace(x_train=[]),
    }
    words = say("more_data", "worth", "test-once", **values, **METHOD)
    assert sentence in words
    assert share in words
    assert "The network with augmentation is better." in words
    assert "Higher validation accuracy: zoom and flips." in words


@pytest.mark.parametrize(
    ("right", "sentence", "chosen"),
    [
        (440, "The network without augmentation is better.", "unchanged"),
        (501, "do not show which of the two networks is better.", "zoom and flips"),
    ],
)
def test_the_better_of_the_pair_is_tested(say, right, sentence, chosen):
    worth = {"unchanged": answers(500), "zoom and flips": answers(right)}
    words = say(
        "more_data",
        "test-once",
        worth=worth,
        bought={"zoom and flips": compare_networks(*worth.values())},
        networks=worth,
        histories=dict.fromkeys(worth, SimpleNamespace(epochs=1)),
        evaluate=lambda *arguments: "50%",
        x_test=None,
        y_test=None,
        data=SimpleNamespace(class_names=()),
        few=SimpleNamespace(x_train=[]),
    )
    assert sentence in words
    assert f"Higher validation accuracy: {chosen}." in words


@pytest.mark.parametrize(
    ("training", "words"),
    [([0.4, 0.6], "1 of 2 epochs, by 10.0 points at most"), ([0.6, 0.6], "0 of 2 epochs\n")],
)
def test_epochs_with_a_lower_training_accuracy_are_counted(say, training, words):
    histories = {"all six": SimpleNamespace(accuracy=training, val_accuracy=[0.5, 0.5], epochs=2)}
    assert words in say("more_data", "below", same_images=["all six"], histories=histories)


@pytest.mark.parametrize("most", ["unchanged", "all six"])
def test_the_network_that_keeps_most_of_turned_images_is_named(say, most):
    by_angle = {
        name: [0.5, 0.3 + 0.1 * (name == most), 0.2, 0.2, 0.2] for name in ("unchanged", "all six")
    }
    assert f'trained on "{most}" images keeps most.' in say(
        "more_data", "turned-words", by_angle=by_angle
    )


@pytest.mark.parametrize(
    ("milliseconds", "sentence"),
    [
        ((10, 15, 11), "saves 4.0 ms a step here."),
        ((10, 15, 18), "costs 3.0 ms a step here."),
        ((10, 15, 15), "made no difference here."),
        ((10, 9, 5), "made no difference here."),
    ],
)
def test_what_the_second_thread_does_is_said(say, milliseconds, sentence):
    taken = {number: [found] for number, found in enumerate(milliseconds)}
    assert sentence in say("more_data", "overlap-words", taken=taken)


@pytest.mark.parametrize(
    ("largest", "verdict"),
    [
        (3e-7, "No mistake found: the largest"),
        (3e-3, "Look for a ReLU at its kink"),
        (0.4, "There is a mistake"),
    ],
)
def test_a_gradient_is_judged_by_its_largest_error(say, largest, verdict):
    errors = np.array([[1e-9, 1e-8], [largest, 1e-9]])
    assert verdict in say("how_a_network_learns", "check-verdict", errors=errors)


@pytest.mark.parametrize(("learned", "advice"), [(1.0, "go on"), (63 / 64, "look for the mistake")])
def test_a_batch_is_known_by_heart_or_there_is_a_mistake(say, learned, advice):
    assert advice in say("how_a_network_learns", "one-batch-verdict", learned=learned)


@pytest.mark.parametrize(
    ("accuracies", "same_rate", "ten_times"),
    [
        ((0.40, 0.47, 0.48), "gains 8.0", "makes no difference larger than 2.0"),
        ((0.40, 0.30, 0.48), "gains 8.0", "gains 18.0"),
        ((0.50, 0.47, 0.44), "loses 6.0", "loses 3.0"),
    ],
)
def test_momentum_is_compared_at_the_same_rate_and_at_ten_times_the_rate(
    say, accuracies, same_rate, ten_times
):
    validation = dict(zip(("slow", "fast", "heavy"), accuracies, strict=True))
    data = SimpleNamespace(y_val=np.zeros(5_000))
    said = say("how_a_network_learns", "momentum-verdict", validation=validation, data=data)
    assert f"the same rate without it, momentum {same_rate} percentage points." in said
    assert f"ten times the rate without it, momentum {ten_times} percentage points." in said


@pytest.mark.parametrize(
    ("outcome", "sentence", "order"),
    [
        ("better", "2-blocks is the better design here.", "points, the other order."),
        ("worse", "The base is the better design here.", "points, the same order."),
        ("undecided", "do not decide which design is better.", "points.\n"),
    ],
)
def test_two_live_designs_and_the_report(say, outcome, sentence, order):
    reported = {"hw3/2-blocks": 0.70, "hw3/base": 0.74}
    found = {"base": [0.70, 0.71, 0.72], "2-blocks": CLEARLY[outcome]}
    values = {
        "itertools": itertools,
        "found": found,
        "seeds": [0, 1, 2],
        "zoo": SimpleNamespace(
            design=lambda name: SimpleNamespace(reported={"test_accuracy": reported[name]})
        ),
        "trained": dict.fromkeys([("base", 0), ("2-blocks", 0)]),
        "seed": 0,
        "evaluate": lambda model, *images: "60%",
        "x_test": None,
        "y_test": None,
        "data": SimpleNamespace(class_names=()),
    }
    said = say("what_matters", "live-luck", "test-once", **values, **METHOD)
    assert sentence in said
    assert order in said
    best = max(found, key=lambda name: np.mean(found[name]))
    assert f"Highest mean validation accuracy: {best}." in said


@pytest.mark.parametrize("outcome", CLEARLY)
def test_measured_variants_are_compared_over_their_seeds(say, outcome):
    accuracies = {"hw3/base": [0.70, 0.71, 0.72], "hw3/half": CLEARLY[outcome], "hw3/one": [0.9]}
    records = [
        SimpleNamespace(design=design, test_accuracy=accuracy)
        for design, found in accuracies.items()
        for accuracy in found
    ]
    values = {"ablation": [*accuracies, "hw3/none"], **METHOD}
    said = say("what_matters", "measured-verdicts", records=records, **values)
    assert f"measured  {outcome}\n" in said
    assert "(one run, no interval) measured  undecided" in said
    assert "hw3/none           not measured yet" in said
    without_base = say("what_matters", "measured-verdicts", records=records[3:], **values)
    assert "The base model has not been measured yet" in without_base


@pytest.mark.parametrize(
    ("gradient", "sentence"),
    [(1e-9, "hardly any influence"), (1.0, "can hold many weights")],
)
def test_the_influence_of_the_images_beside_a_penalty(say, gradient, sentence):
    said = say(
        "regularisation",
        "pulls-compared",
        model=None,
        kernels=lambda network: [np.full(9, 0.1)],
        of_images=[np.full(9, gradient)],
    )
    assert said.count(sentence) == 2


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ((0.09, 0.11), "nothing was learned"),
        ((0.3, 0.4), "does not contain the 10%"),
        ((0.01, 0.02), "does not contain the 10%"),
    ],
)
@pytest.mark.parametrize(
    ("now", "pull"), [(1e-6, "1,000 times weaker now"), (1e-3, "still pull the weights")]
)
def test_a_collapsed_network_has_learned_nothing_and_is_stuck(say, interval, sentence, now, pull):
    found = SimpleNamespace(interval=interval, y_pred=np.zeros(2, int), probabilities=np.ones(1))
    said = say(
        "regularisation",
        "collapsed",
        "stuck",
        data=SimpleNamespace(class_names=["cat"], x_val=None, y_val=None),
        evaluate=lambda *arguments: found,
        model=SimpleNamespace(get_weights=list),
        watched=pd.DataFrame({"layer 1": [0.2, 0.1]}),
        forecast=np.array([0.2, 0.11]),
        kernels=lambda network: [np.zeros(9)],
        build=lambda: None,
        gradients=lambda network, weights: [np.full(9, now)],
        of_images=np.full(9, 1e-3),
    )
    assert sentence in said
    assert pull in said
    assert "at most 0.010 away" in said


@pytest.mark.parametrize(
    ("right", "sentence", "best"),
    [
        (540, "better than without a penalty", "L1"),
        (460, "worse than without a penalty", "none"),
        (502, "no difference shown", "L1"),
    ],
)
def test_penalties_are_compared_with_none(say, right, sentence, best):
    counts, judged = {"none": 500, "L1": right}, {}
    judged = {name: answers(count) for name, count in counts.items()}
    said = say(
        "regularisation",
        "zeros-words",
        kernels=lambda name: [np.zeros(9) if name == "L1" else np.ones(9)],
        plain={name: name for name in judged},
        doses=judged,
        judged=judged,
        dense_history={name: SimpleNamespace(accuracy=[0.5]) for name in judged},
        evaluate=lambda *arguments: "50%",
        x_test=None,
        y_test=None,
        data=SimpleNamespace(class_names=()),
        **METHOD,
    )
    assert "Most weights within 0.001 of zero: L1." in said
    assert sentence in said
    assert f"Highest validation accuracy: {best}." in said


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (0.80, "measured +6.0 points, beyond ± 1.2 (1 and 1 runs)"),
        (0.75, "measured +1.0 points, within ± 1.2 (1 and 1 runs)"),
        (0.70, "measured -4.0 points, beyond ± 1.2 (1 and 1 runs)"),
        (np.nan, "not measured yet"),
    ],
)
def test_regularised_networks_are_compared_with_the_base(say, measured, words):
    every = pd.DataFrame(
        {
            "design": ["hw3/base", "hw3/l1l2"],
            "reported": [0.74, 0.75],
            "measured": [0.74, measured],
            "runs": [1, int(measured == measured)],
            "summary": "",
        }
    )
    said = say("regularisation", "verdicts", every=every, names=list(every.design))
    assert "reported +1.0 points, within ± 2.2" in said
    assert words in said


@pytest.mark.parametrize(
    ("right", "heads", "verdict", "modes", "paired", "best"),
    [
        (
            540, "The head on features is better.", "better", "Training mode is better here.",
            "The network trained in inference mode is better.", "low rate",
        ),
        (
            460, "The head on pixels is better.", "worse", "Training mode is worse",
            "The network trained in training mode is better.", "head",
        ),
        (
            501, "do not show which head is better.", "undecided", "show no difference",
            "do not show which of the two is better.", "low rate",
        ),
    ],
)  # fmt: skip
def test_borrowed_features_and_their_modes_are_compared_pair_by_pair(
    say, right, heads, verdict, modes, paired, best
):
    one, other = answers(500), answers(right)
    rates = ("low rate", "high rate")
    assert heads in say(
        "standing_on_imagenet", "heads-verdict", evaluations={"pixels": one, "on": other}, **METHOD
    )
    values = {
        "tuned": dict.fromkeys(rates, other),
        "evaluate": lambda found, *images: found,
        "maps": SimpleNamespace(x_val=None),
        "y_val": None,
        "data": SimpleNamespace(class_names=()),
    }
    evaluations = {"features": one}
    tuning = say(
        "standing_on_imagenet", "tune-verdict", evaluations=evaluations, **values, **METHOD
    )
    assert tuning.count(f"  {verdict}\n") == len(rates)
    tested = {"head": one, **dict.fromkeys(rates, other)}
    tested |= {f"{rate}, training mode": one for rate in rates}
    both = say("standing_on_imagenet", "modes-paired", evaluations=tested, **values, **METHOD)
    assert both.count(paired) == len(rates)
    assert f"Highest validation accuracy of all: {best}." in both
    inputs = {
        "inference mode": (one, None),
        "training mode, 60 at a time, mixed": (other, None),
        "training mode, 4 at a time, mixed": (one, None),
    }
    values |= {"modes": inputs, "heads": {"features": None}, "n": 180, "LEFT_OUT": "Left out."}
    values["evaluate"] = lambda head, found, *labels: found
    assert modes in say("standing_on_imagenet", "modes-accuracy", **values, **METHOD)


@pytest.mark.parametrize("best", ["pixels", "low rate"])
def test_the_network_that_validates_best_is_the_only_one_tested(say, best):
    tested = []
    right = {"pixels": 500, "features": 400, "low rate": 450} | {best: 600}
    sets = {name: SimpleNamespace(x_test=name) for name in ("pixels", "features")}

    def evaluate(network, images, *labels):
        tested.append((network, images))
        return "60%"

    said = say(
        "standing_on_imagenet",
        "answer-numbers",
        evaluations={name: answers(count) for name, count in right.items()},
        tuned={"low rate": "tuned"},
        heads={"pixels": "head"},
        sets=sets,
        maps=SimpleNamespace(x_test="maps"),
        evaluate=evaluate,
        x_train=[],
        y_val=[],
        y_test=[],
        data=SimpleNamespace(class_names=(), source="CIFAR-10"),
        have_weights=True,
    )
    assert f"Highest validation accuracy: {best}.\nOn the test set: 60%" in said
    assert tested == [("tuned", "maps") if best == "low rate" else ("head", "pixels")]


@pytest.mark.parametrize(
    ("right", "sentence"),
    [
        (540, "learned more than inference mode shows"),
        (460, "Inference mode is better"),
        (501, "no difference between the modes"),
    ],
)
def test_networks_trained_in_training_mode_are_evaluated_in_both_modes(say, right, sentence):
    change = compare_networks(answers(500), answers(right))
    names = ("low rate", "low rate, training mode")
    said = say("standing_on_imagenet", "modes-words", mode_matters=dict.fromkeys(names, change))
    assert said.count(sentence) == 1


@pytest.mark.parametrize(
    ("curve", "words"),
    [([0.3, 0.5], "reached this after epoch 2;"), ([0.3, 0.4], "never reached this;")],
)
def test_when_batch_normalisation_reached_the_accuracy_without_it(say, curve, words):
    values = {
        "history": SimpleNamespace(val_accuracy=curve, seconds=4, epochs=2),
        "plain_history": SimpleNamespace(val_accuracy=[0.4, 0.45], seconds=2, epochs=2),
    }
    assert f"The network with BatchNorm {words}" in say("batch_normalisation", "speed", **values)


@pytest.mark.parametrize(
    ("accuracy", "interval", "epochs", "answers_given"),
    [
        (0.77, (0.76, 0.78), 5, ["yes", "yes", "yes"]),
        (0.755, (0.745, 0.765), 26, ["yes", "no", "no"]),
        (0.70, (0.69, 0.71), 25, ["no", "no", "yes"]),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_the_own_design_is_held_against_its_goal(
    say, accuracy, interval, epochs, answers_given, inside
):
    said = say(
        "your_own_design",
        "threshold",
        "compared-words",
        evaluation=SimpleNamespace(accuracy=accuracy, interval=interval),
        history=SimpleNamespace(epochs=epochs, seconds=10),
        goal={"test_accuracy": 0.75, "epochs_at_most": 25},
        data=SimpleNamespace(source=SimpleNamespace(is_stand_in=False)),
        limit=None,
        model=SimpleNamespace(count_params=lambda: 327_227),
        reported=accuracy if inside else 0.9,
        x_train=[],
    )
    assert [line.split(": ")[1] for line in said.splitlines()[2:5]] == answers_given
    assert f"lies {'inside' if inside else 'outside'} our interval" in said
    assert "with 50% of the parameters" in said


@pytest.mark.parametrize(
    ("length", "sentence"),
    [(3.0, "the limit changes the training"), (2.0, "as it would without a limit")],
)
def test_a_limit_is_reached_or_not(say, length, sentence):
    layer = SimpleNamespace(kernel_constraint=SimpleNamespace(max_value=3))
    values = {"limited": [layer], "lengths": lambda layer: length}
    assert sentence in say("regularisation", "lengths-words", **values)


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        (0.70, "-4.0 points, beyond ± 2.2"),
        (0.75, "+1.0 points, within ± 2.2"),
        (np.nan, "no number; slightly worse"),
    ],
)
def test_reported_variants_are_compared_with_the_base(say, reported, words):
    table = pd.DataFrame({"design": ["hw3/base", "hw3/half"], "reported": [0.74, reported]})
    zoo = SimpleNamespace(design=lambda name: SimpleNamespace(note="In words: slightly worse"))
    assert words in say("what_matters", "reported-verdicts", table=table, zoo=zoo)


@pytest.mark.parametrize(
    ("head", "side", "apart"),
    [(0.515, "at", "probe"), (0.30, "below", "probe"), (0.80, "above", "same")],
)
def test_suspects_are_sorted_by_the_reported_accuracy(say, head, side, apart):
    columns = {"probe, quarter": 0.4, "probe, all": 0.8, "head": [head, 0.95]}
    rows = pd.DataFrame(columns, index=["probe", "same"])
    said = say(
        "standing_on_imagenet",
        "verdict",
        answers=rows,
        rows=[1],
        reported=0.515,
        y_judge=np.zeros(500),
        few=800,
    )
    list_of = said.partition(f"The head ends {side} the report's 51.5%:\n")[2]
    assert list_of.startswith("  probe") or (side == "above" and "  probe" in list_of)
    assert f"disagree most for: {apart}." in said


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (0.80, "measured: +6.0 points, beyond ± 1.2"),
        (0.73, "measured: -1.0 points, within ± 1.2"),
        (np.nan, "measured: not yet"),
    ],
)
def test_borrowed_networks_are_compared_with_the_reports_own(say, measured, words):
    names = {
        "base": "hw3/base",
        "head_only": "hw3/transfer-features",
        "tuned_as_reported": "hw3/transfer-finetune",
        "tuned_our_way": "hw3/transfer-finetune-ours",
    }
    table = pd.DataFrame(
        {"reported": [0.74, 0.51, 0.73, np.nan], "measured": [0.74, measured, 0.75, 0.76]},
        index=list(names.values()),
    )
    # The zoo itself needs Keras, and this test does not.
    images = {names["tuned_as_reported"]: 3_936}
    zoo = SimpleNamespace(design=lambda name: SimpleNamespace(reported_images=images.get(name)))
    said = say("standing_on_imagenet", "recorded-verdict", table=table, zoo=zoo, **names)
    assert "reported: no number" in said
    assert words in said
    assert "reported: -23.0 points, beyond" in said
