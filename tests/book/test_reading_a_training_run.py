"""The rules and sentences of the chapter on reading a training run."""

from __future__ import annotations

import ast
import json
import textwrap
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from course_utils.paths import CHECKOUT, RECORDS

(CHAPTER,) = (CHECKOUT / "book").glob("*_reading_a_training_run.ipynb")
SOURCE = {cell.id: cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells}
# Ten epochs, in which everything improves, but ever less.
LOSS = 0.4 + 1.6 * 0.6 ** np.arange(10)
READING = ("measure", "symptoms", "sentences")


def defined(*cells: str, **values: object) -> SimpleNamespace:
    """Run cells of the chapter with given values, and return all that they define."""
    scope = {"np": np, "pd": pd, "SimpleNamespace": SimpleNamespace, "textwrap": textwrap}
    scope |= {"json": json, "RECORDS": RECORDS, "seed": 0, **values}
    for cell in cells:
        exec(SOURCE[cell], scope)
    return SimpleNamespace(**scope)


def curves(**changed: object) -> dict:
    """A run without symptoms, with some curves changed."""
    healthy = {
        "loss": LOSS,
        "accuracy": 1 - LOSS / 2.5,
        "val_loss": LOSS + 0.1,
        "val_accuracy": 0.96 - LOSS / 2.5,
    }
    return {name: list(values) for name, values in (healthy | changed).items()}


RISING = np.r_[LOSS[:5], np.linspace(0.8, 1.3, 5)]
JITTER = 0.03 * (-1) ** np.arange(10)
SYMPTOMS = {
    "too short": curves(loss=LOSS[:5]),
    "diverged": curves(loss=[2.3, *[np.nan] * 9]),
    "chance level": curves(accuracy=[0.1] * 10, val_accuracy=[0.1] * 10),
    "loss above ln 10": curves(loss=[18.0] * 10),
    "restless loss": curves(loss=[2.0, 2.2, *[1.9] * 8]),
    "flat below the goal": curves(loss=[1.9] * 10, accuracy=[0.3] * 10),
    "still improving": curves(val_loss=2.0 * 0.9 ** np.arange(10)),
    "creeping": curves(accuracy=[0.3] * 10, val_loss=2.0 * 0.9 ** np.arange(10)),
    "overfitting": curves(val_loss=RISING),
    "wide gap": curves(val_accuracy=0.8 - LOSS / 2.5),
    "training below validation": curves(val_accuracy=1.02 - LOSS / 2.5),
    "noisy validation": curves(val_accuracy=0.96 - LOSS / 2.5 + JITTER),
    "sudden jump": curves(loss=np.r_[2.0, [1.4] * 5, [0.6] * 4]),
}


def test_each_symptom_is_found_where_it_is_and_a_healthy_run_has_none():
    chapter = defined(*READING)
    found = {name: chapter.symptoms(run) for name, run in SYMPTOMS.items()}
    assert {name: name in names for name, names in found.items()} == dict.fromkeys(SYMPTOMS, True)
    assert set(SYMPTOMS) == set(chapter.SENTENCES)
    # The validation loss has come to rest two percent above its lowest value.
    assert chapter.symptoms(curves(val_loss=np.r_[LOSS[:7], [1.02 * LOSS[6]] * 3])) == []


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("chance level", curves(accuracy=[0.2] * 10)),
        ("loss above ln 10", curves(loss=[2.2] * 10)),
        ("flat below the goal", curves(loss=[1.9] * 10, accuracy=[0.8] * 10)),
        ("still improving", curves(val_loss=(2.0 * 0.9 ** np.arange(10))[::-1])),
        ("restless loss", curves(loss=[2.0, 2.05, *[1.9] * 8])),
        ("creeping", curves(accuracy=[0.5] * 10, val_loss=2.0 * 0.9 ** np.arange(10))),
        # Both losses rise: that is no learning by heart.
        ("overfitting", curves(val_loss=RISING, loss=RISING)),
        ("wide gap", curves(val_accuracy=0.95 - LOSS / 2.5)),
        ("training below validation", curves(val_accuracy=0.98 - LOSS / 2.5)),
        # The training images jitter as much.
        (
            "noisy validation",
            curves(accuracy=1 - LOSS / 2.5 + JITTER, val_accuracy=0.96 - LOSS / 2.5 + JITTER),
        ),
        ("sudden jump", curves(loss=np.linspace(2, 0.5, 10))),
    ],
)
def test_a_symptom_is_not_found_where_the_numbers_are_turned_around(name, turned):
    assert name not in defined(*READING).symptoms(turned)


def test_the_epoch_of_a_jump_is_named():
    assert defined("measure").jump(np.array(SYMPTOMS["sudden jump"]["loss"])) == 7


@pytest.mark.parametrize(
    ("last", "words"),
    [(0.70, "hardly changes (+0.0"), (0.60, "falls (-10.0"), (0.75, "rises (+5.0")],
)
def test_the_accuracy_of_an_overfitting_run_hardly_changes_falls_or_rises(capsys, last, words):
    run = curves(val_loss=RISING, val_accuracy=[0.7] * 5 + [last] * 5)
    defined(*READING).diagnose("a run", run, about="overfitting")
    said = " ".join(capsys.readouterr().out.split())
    assert f"Since then, validation accuracy {words} points)." in said
    assert "lowest in epoch 5 of 10 and 93% higher in the last three" in said
    assert "does not show" not in said


def test_a_plate_says_when_its_symptom_does_not_show(capsys):
    chapter = defined(*READING)
    chapter.diagnose("a run", curves(loss=[2.0]), about="creeping")
    said = capsys.readouterr().out
    assert "Epochs: 1. A curve needs at least six" in said
    assert "The symptom of this plate, creeping, does not show in this run." in said


def plates() -> list[tuple[str, str]]:
    """The recorded runs and symptoms that the plates of the atlas name."""
    named = []
    for name, source in SOURCE.items():
        if name.startswith("plate-") and ", recorded" in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "diagnose":
                    named.append((node.args[0].value, node.keywords[0].value.value))
    return named


def history_of(name: str) -> dict:
    (path,) = (RECORDS / "networks").glob(f"{name.replace('/', '-')}-seed0.json")
    return json.loads(path.read_text())["history"]


def test_every_recorded_plate_shows_its_symptom():
    chapter = defined(*READING)
    assert len(plates()) == 5
    for title, symptom in plates():
        name, _, first = title.partition(" after ")
        run = history_of(name)
        if first:
            run = {key: run[key][: int(first.split()[0])] for key in chapter.CURVES}
        assert symptom in chapter.symptoms(run), title


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (0.75, "+5.0 points, beyond"),
        (0.65, "-5.0 points, beyond"),
        (0.705, "+0.5 points, within"),
    ],
)
def test_two_recorded_runs_are_compared_with_the_choice_of_test_images(capsys, after, words):
    run = SimpleNamespace(design="a", test_accuracy=0.7, test_images=10_000)
    other = SimpleNamespace(design="b", test_accuracy=after, test_images=10_000)
    defined("sentences", "remedy").compare(run, other, "a change")
    assert words in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("ours", "words"), [(0.51, "The two agree within"), (0.60, "The two differ by more")]
)
def test_plain_keras_and_the_course_agree_or_differ(capsys, ours, words):
    defined(
        "course-words",
        val_accuracy=0.5,
        y_val=np.zeros(5_000),
        in_course=SimpleNamespace(accuracy=ours),
        history=SimpleNamespace(epochs=8, seconds=9.0),
        data=SimpleNamespace(source=SimpleNamespace(name="CIFAR-10")),
        ran=8,
        seconds=9.0,
    )
    assert words in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ran", "words"), [(8, "all 8 epochs"), (5, "early stopping ended it after 5 of 8 epochs")]
)
def test_early_stopping_is_named_only_where_it_has_stopped(capsys, ran, words):
    fitted = SimpleNamespace(history={"loss": [1.0] * ran, "val_loss": [2.0, 1.0, *[3.0] * ran]})
    defined("fit-words", fitted=fitted, passes=8, seconds=9.0)
    said = capsys.readouterr().out
    assert said.startswith(words)
    assert "lowest validation loss in epoch 2" in said


def errors(training: list[float], validation: list[float], keys: list[int]) -> dict:
    return {
        key: {"training": np.full(3, t), "validation": np.full(3, v)}
        for key, t, v in zip(keys, training, validation, strict=True)
    }


@pytest.mark.parametrize(
    ("validation", "how", "best"),
    [
        ([0.7, 0.6, 0.5], "falls with every step", 128),
        ([0.5, 0.6, 0.7], "rises with every step", 2),
        ([0.6, 0.5, 0.7], "neither falls nor rises throughout", 8),
    ],
)
def test_errors_over_width_and_size_are_described(capsys, validation, how, best):
    widths, sizes = [2, 8, 128], [500, 2_000, 8_000]
    values = {
        "widths": widths,
        "by_width": errors([0.5, 0.4, 0.3], validation, widths),
        "by_size": errors([0.3, 0.4, 0.5], validation, sizes),
    }
    defined("sentences", "width-words", "size-words", **values)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count(f"validation error {how}:") == 2
    assert f"lowest validation error at width {best}" in said
    narrower = validation[2] - 0.5 < validation[0] - 0.3
    assert f"points, {'narrower' if narrower else 'not narrower'} with more images" in said


def test_one_size_is_no_course():
    """A quick try has too few images for sets of different sizes."""
    values = {"widths": [2], "by_width": errors([0.5], [0.6], [2])}
    said = defined("sentences", "width-words", **values).course_of([0.5], "error")
    assert said == "error was measured once: 50.0%."


def test_the_error_splits_into_bias_and_variance():
    """Two sets, one image: the answers (0.8, 0.2) and (0.6, 0.4), and the first class is true."""
    p = np.zeros((2, 1, 10))
    p[:, 0, :2] = [[0.8, 0.2], [0.6, 0.4]]
    chapter = defined("bias-variance", by_width={2: {"p": p}}, y_val=np.array([0]))
    split = chapter.bias_and_variance(p, np.array([0]))
    assert split["error"] == pytest.approx((0.08 + 0.32) / 2)
    assert split["variance"] == pytest.approx(2 * 0.02)
    assert split["bias²"] == pytest.approx(split["error"] - split["variance"])


@pytest.mark.parametrize(("first", "last", "word"), [(0.1, 0.2, "rises"), (0.2, 0.1, "falls")])
def test_the_trends_of_bias_and_variance_are_computed(capsys, first, last, word):
    split = pd.DataFrame({2: {"bias²": last, "variance": first}, 128: {"bias²": first}}).T
    split.loc[128, "variance"] = last
    split["error"] = [first, last]
    by_width = {2: {"validation": np.array([0.6])}, 128: {"validation": np.array([0.5])}}
    values = {"by_width": by_width, "by_width_split": split.T, "by_size_split": split.T}
    defined("bias-words", **values)
    said = capsys.readouterr().out
    assert f"variance {word} from {first:.3f} to {last:.3f}" in said
    best, same = (2, "not the same width") if first < last else (128, "the same width")
    assert f"squared error at width {best}, fewest mistakes at width 128: {same}" in said
    assert f"bias²    {'falls' if word == 'rises' else 'rises'}" in said


def test_both_searches_find_the_best_of_their_cells():
    table = np.zeros((16, 16))
    table[4:8, 8:12] = 0.4  # every grid of 16 has one cell in here
    chapter = defined("replay", accuracies=table)
    rng = np.random.default_rng(0)
    assert {chapter.grid_search(table, 4, rng) for _ in range(50)} == {0.4}
    assert {chapter.random_search(table, 256, rng) for _ in range(5)} == {0.4}
    grid, by_chance = chapter.replay(table, 4).mean(axis=0)
    assert grid == pytest.approx(0.4)
    # One minus the probability of 16 draws among the 240 others.
    assert by_chance / 0.4 == pytest.approx(
        1 - np.prod(np.arange(225, 241) / np.arange(241, 257)), abs=0.04
    )


@pytest.mark.parametrize(
    ("by_chance", "verdict"),
    [(0.45, "random wins"), (0.35, "the grid wins"), (0.40, "no difference")],
)
def test_the_search_that_wins_is_named(capsys, by_chance, verdict):
    found = np.array([(0.4, by_chance + noise) for noise in (-0.01, 0.01) * 500])
    defined("replay-words", replays={16: found}, accuracies=np.full((16, 16), 0.5))
    said = capsys.readouterr().out
    assert f"below the best by 10.0 points (grid) and {100 * (0.5 - by_chance):.1f}" in said
    assert f"(random): {verdict}" in said


def test_the_hyperparameter_that_matters_more_is_named(capsys):
    for table, name in (
        (np.eye(1, 16).T + np.zeros((16, 16)), "learning rate"),
        (np.eye(1, 16) + np.zeros((16, 16)), "weight decay"),
    ):
        chapter = defined("importance", "importance-words", accuracies=table)
        assert chapter.importance[name] == pytest.approx(1)
        assert f"The {name} matters more." in capsys.readouterr().out


def test_the_recorded_table_says_what_it_is():
    record = json.loads((RECORDS / "search" / "rate_and_decay.json").read_text())
    table = np.array(record["val_accuracy"])
    rates, decays = record["learning_rates"], record["weight_decays"]
    assert table.shape == (len(rates), len(decays)) == (12, 12)
    assert ((table > 0) & (table < 1)).all()
    assert rates == pytest.approx(10.0 ** np.arange(-5, 1, 0.5), rel=0.01)
    assert decays == pytest.approx(10.0 ** np.arange(-6, 0, 0.5), rel=0.01)
    assert not record["is_stand_in"]
    assert {"source", "device", "versions", "date", "code"} <= set(record)


@pytest.mark.parametrize(("patience", "ends"), [(1, (3, 2)), (2, (6, 4)), (5, (8, 4))])
def test_the_replay_of_early_stopping(patience, ends):
    run = SimpleNamespace(history=curves())
    chapter = defined("solution-patience", runs={"dl/4": run})
    assert chapter.early_stopping([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.3, 1.4], patience) == ends
