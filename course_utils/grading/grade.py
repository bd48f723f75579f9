"""Hidden tests: each returns a `Grade`, the part of a question's points that was earned.

The last line of a hidden test is a grade. nbgrader gives full marks to a test cell that says
nothing; here a cell without a grade earns nothing (see `preprocessors.GradeCells`), so a test
that was skipped, or never came to its end, cannot pass.
"""

from __future__ import annotations

import contextlib
import functools
import html
import math
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from unittest import mock

import keras
import numpy as np

from course_utils.data import Dataset
from course_utils.errors import SubmissionError
from course_utils.evaluation import Evaluation, evaluate
from course_utils.submission.artefacts import Trained, load_trained, score, weights_digest
from course_utils.submission.settings import GRADE_MIME, RETRAIN
from course_utils.thresholds import load_thresholds
from course_utils.training import train

# Below a threshold the points fall linearly, to none at this distance.
PARTIAL_CREDIT = 0.10
# A network that is trained again may differ by so much before somebody should look.
RETRAIN_TOLERANCE = 0.03
# The log's validation accuracy and the one measured here may differ so much: other processors.
LOG_TOLERANCE = 0.01
# A network gets more test than validation images right by so much, and by so many standard
# deviations of that difference, before somebody should ask what it was trained on.
HELD_OUT_POINTS, HELD_OUT_DEVIATIONS = 0.03, 4
READY_MADE = ("mobilenet", "resnet", "vgg", "efficientnet", "inception", "xception",
                    "densenet", "nasnet", "convnext")  # fmt: skip


@dataclass(frozen=True)
class Grade:
    """The part of a question's points that an answer earns.

    Attributes
    ----------
    fraction : float
        0 to 1.
    message : str
        What the student reads.
    review : str
        Why the lecturer should look at it; empty where there is no reason to.
    accuracies : tuple of dict
        What was measured: ``question, accuracy, low, high, threshold``, and the digest of the
        network's ``weights``.
    """

    fraction: float
    message: str
    review: str = ""
    accuracies: tuple[dict[str, Any], ...] = field(default=())

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        lines = html.escape(self.message).replace("\n", "<br>")
        return {
            "text/plain": f"{self.fraction:.4f}",
            "text/html": f'<div class="course-grade">{lines}</div>',
            GRADE_MIME: asdict(self),
        }


def equal(what: str, got: Any, expected: Any, *, tolerance: float = 0.0, hint: str = "") -> Grade:
    """Grade an answer that is a number, a text, a truth value, or a list of such.

    Parameters
    ----------
    what : str
        The answer's name.
    got, expected : object
        The student's answer and the right one.
    tolerance : float
        How far each number may be off.
    hint : str
        Told where the answer is wrong. The right answer is not.
    """
    if _matches(plain(got), plain(expected), tolerance):
        return Grade(1.0, f"✓ {what}")
    return Grade(0.0, f"✗ {what} is not right: {plain(got)!r}. {hint}".rstrip())


def holds(what: str, condition: Any, hint: str = "") -> Grade:
    """Grade a property that the answer has or has not."""
    if condition is True or condition is np.True_:
        return Grade(1.0, f"✓ {what}")
    return Grade(0.0, f"✗ {what}: no. {hint}".rstrip())


def together(*grades: Grade, weights: Sequence[float] | None = None) -> Grade:
    """Combine the grades of a question's parts into their (weighted) mean."""
    weights = weights or [1.0] * len(grades)
    total = sum(w * g.fraction for w, g in zip(weights, grades, strict=True)) / sum(weights)
    return Grade(
        fraction=total,
        message="\n".join(grade.message for grade in grades),
        review="; ".join(grade.review for grade in grades if grade.review),
        accuracies=tuple(a for grade in grades for a in grade.accuracies),
    )


def network(
    question: str,
    data: Dataset,
    *,
    units: Callable[[list[int | None]], bool] | None = None,
    limit: int | None = None,
) -> Grade:
    """Grade a trained network by its accuracy on test images, scored anew.

    The accuracy that earns all points, and the limits of epochs and parameters beyond which
    there are none, are the question's in ``thresholds.toml``.

    Parameters
    ----------
    question : str
        Names the files.
    data : Dataset
        The network is scored on its test images.
    units : callable, optional
        Tells from the units of the layers with weights (None of one that is not dense) whether
        the network is of the kind that the question asks for.
    limit : int, optional
        Score on so many test images only.
    """
    bounds = load_thresholds()[question]
    threshold = bounds["test_accuracy"]
    try:
        trained = load_trained(question)
        check_input(trained, data)
        _check_limits(trained, bounds)
        if units and not units(_units(trained.model)):
            raise SubmissionError(f"{question}.keras is another network than the one asked for.")
    except SubmissionError as error:
        return Grade(0.0, f"✗ {error}", review=f"{question}: {error}")
    if data.source.is_stand_in:
        name = data.source.name
        return Grade(0.0, f"✗ Not judged: no real data here, only the {name}.",
                     review=f"{question}: graded without real data ({name})")  # fmt: skip
    scored = score(trained, data.x_test[:limit], data.y_test[:limit], data.class_names)
    fraction = partial_credit(scored.accuracy, threshold)
    sign = "✓" if fraction == 1 else "✗"
    return Grade(
        fraction=fraction,
        message=f"{sign} {question}: test accuracy {scored}, asked: {threshold:.0%}",
        review=_reasons_to_review(trained, scored, threshold, data),
        accuracies=(_measured(trained, scored, threshold),),
    )


def partial_credit(accuracy: float, threshold: float) -> float:
    """Return the part of the points: 0 at ten points below the threshold, 1 from it on."""
    return float(np.clip(1 + (accuracy - threshold) / PARTIAL_CREDIT, 0.0, 1.0))


def claim(what: str, claimed: Any, actual: float, *, tolerance: float = 0.005) -> Grade:
    """Grade an accuracy that the student reports against the one measured here.

    Parameters
    ----------
    what : str
    claimed : object
        0 to 1.
    actual : float
    tolerance : float
    """
    number = plain(claimed)
    if not isinstance(number, float | int) or isinstance(number, bool):
        return Grade(0.0, f"✗ {what} is no number: {number!r}")
    if abs(number - actual) <= tolerance:
        return Grade(1.0, f"✓ {what}: {number:.1%}, measured here: {actual:.1%}")
    return Grade(
        0.0,
        f"✗ {what}: you report {number:.1%}, measured here: {actual:.1%}. "
        "Evaluate on the images that the question names, and report that number.",
    )


def test_accuracy(question: str, data: Dataset) -> float:
    """Score a handed-in network on the test images.

    Raises
    ------
    SubmissionError
        Where there is none that can be scored.
    """
    trained = load_trained(question)
    check_input(trained, data)
    return trained.evaluate(data).accuracy


def check_input(trained: Trained, data: Dataset) -> None:
    """Make sure that a network takes the images of `data` and knows its classes.

    Raises
    ------
    SubmissionError
        Where it does not.
    """
    shape, classes = data.x_test.shape[1:], len(data.class_names)
    takes, gives = trained.model.input_shape, trained.model.output_shape
    if takes[1:] != shape or gives[1:] != (classes,):
        raise SubmissionError(
            f"{trained.question}.keras takes {takes[1:]} and returns {gives[1:]}: "
            f"asked are images of shape {shape} and {classes} classes."
        )


def without(function: Any, *forbidden: str) -> Any:
    """Return a function of the student's that fails where it calls one of these.

    Parameters
    ----------
    function : callable
    forbidden : str
        Dotted names, such as ``"keras.Model.count_params"``.
    """
    if hasattr(function, "without"):
        return function.without(*forbidden)

    @functools.wraps(function)
    def limited(*arguments: Any, **settings: Any) -> Any:
        with contextlib.ExitStack() as stack:
            for name in forbidden:
                stack.enter_context(mock.patch(name, side_effect=RuntimeError))
            return function(*arguments, **settings)

    return limited


def plain(value: Any) -> Any:
    """Return an answer as plain Python values, or its type's name where it is anything else.

    Nothing of the answer's own code runs: an object that claims to equal everything becomes
    a text.
    """
    if type(value) in (bool, int, float, str, type(None)):
        return value
    if type(value) in (list, tuple):
        return [plain(item) for item in value]
    if type(value) is dict:
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if type(value) is np.longdouble:  # whose `tolist` gives the same again
        return float(value)
    if type(value) is np.ndarray or type(value).__module__ == "numpy":
        return plain(value.tolist())
    return f"a {type(value).__name__}"


def _matches(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(got) == len(expected)
            and all(_matches(g, e, tolerance) for g, e in zip(got, expected))
        )
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and got.keys() == expected.keys()
            and all(_matches(got[key], expected[key], tolerance) for key in expected)
        )
    if isinstance(expected, bool) or not isinstance(expected, numbers.Real):
        return type(got) is type(expected) and got == expected
    if isinstance(got, bool) or not isinstance(got, numbers.Real):
        return False
    return abs(got - expected) <= tolerance


def _check_limits(trained: Trained, bounds: dict[str, float]) -> None:
    epochs, parameters = trained.history.epochs, trained.model.count_params()
    for what, number in (("epochs", _passes(trained)), ("parameters", parameters)):
        most = bounds.get(f"{what}_at_most", number)
        if number > most:
            raise SubmissionError(f"{number:,} {what}, at most {most:,.0f} are allowed.")
    if epochs != trained.record.recipe.epochs and not trained.record.recipe.early_stopping:
        raise SubmissionError(
            f"{trained.question}.json lists {epochs} epochs and a recipe of "
            f"{trained.record.recipe.epochs}: hand in the record that training wrote."
        )
    takes_images = len(trained.model.input_shape) == 4 and trained.model.input_shape[-1] == 3
    for layer in _layers(trained.model) if takes_images else ():
        if isinstance(layer, keras.Model) and _sounds_ready_made(layer):
            raise SubmissionError(
                f"The network holds {layer.name}, a ready-made network; "
                "this question asks for one of your own."
            )


def _passes(trained: Trained) -> int:
    """Return the epochs, counted in passes where the recipe's are longer than one."""
    recipe, epochs = trained.record.recipe, trained.history.epochs
    if recipe.steps_per_epoch is None:
        return epochs
    seen = epochs * recipe.steps_per_epoch * recipe.batch_size
    return max(epochs, math.ceil(seen / max(trained.record.train_images, 1)))


def _units(model: keras.Model) -> list[int | None]:
    return [
        layer.units if isinstance(layer, keras.layers.Dense) else None
        for layer in _layers(model)
        if layer.weights and not isinstance(layer, keras.Model)
    ]


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Give all layers, those of networks inside the network too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _sounds_ready_made(layer: keras.Layer) -> bool:
    return any(name in layer.name.lower() for name in READY_MADE)


def _reasons_to_review(
    trained: Trained, scored: Evaluation, threshold: float, data: Dataset
) -> str:
    reasons = []
    low, high = scored.interval
    if low < threshold <= high:
        reasons.append(f"the 95% interval {low:.1%} to {high:.1%} straddles {threshold:.0%}")
    reported = trained.record.test_accuracy
    if not low <= reported <= high:
        reasons.append(f"the record claims {reported:.1%}, measured {scored.accuracy:.1%}")
    if trained.record.parameters != trained.model.count_params():
        reasons.append("record and network have different numbers of parameters")
    if named := [layer.name for layer in _layers(trained.model) if _sounds_ready_made(layer)]:
        reasons.append(f"a layer is called {named[0]}, as in a ready-made network")
    if trained.model.input_shape[1:] == data.x_val.shape[1:]:
        reasons += _compared_with_validation(trained, scored, data)
    if os.environ.get(RETRAIN) == "1":
        again = _train_again(trained, data)
        if abs(again - scored.accuracy) > RETRAIN_TOLERANCE:
            reasons.append(f"trained again it reached {again:.1%}, not {scored.accuracy:.1%}")
    return f"{trained.question}: {'; '.join(reasons)}" if reasons else ""


def _compared_with_validation(trained: Trained, scored: Evaluation, data: Dataset) -> Iterator[str]:
    """Hold the network's validation accuracy against its log, and against its test accuracy."""
    validated = score(trained, data.x_val, data.y_val, data.class_names)
    logged = trained.history.val_accuracy
    if not any(abs(value - validated.accuracy) <= LOG_TOLERANCE for value in logged):
        yield (
            f"no epoch of the log has the validation accuracy measured here, "
            f"{validated.accuracy:.1%}"
        )
    ahead = scored.accuracy - validated.accuracy
    chance = np.sqrt(sum(e.accuracy * (1 - e.accuracy) / e.n for e in (scored, validated)))
    if ahead > max(HELD_OUT_POINTS, HELD_OUT_DEVIATIONS * chance):
        yield (
            f"{scored.accuracy:.1%} of the test images and {validated.accuracy:.1%} of the "
            "validation images are right: was it trained on the test images?"
        )


def _train_again(trained: Trained, data: Dataset) -> float:
    """Train a network of the same structure by the record's recipe; return its test accuracy."""
    record = trained.record
    keras.utils.set_random_seed(record.seed)
    model = type(trained.model).from_config(trained.model.get_config())
    train(model, data, record.recipe, seed=record.seed, verbose=False)
    return evaluate(model, data.x_test, data.y_test, data.class_names).accuracy


def _measured(trained: Trained, scored: Evaluation, threshold: float) -> dict[str, Any]:
    low, high = scored.interval
    return {
        "question": trained.question,
        "accuracy": scored.accuracy,
        "low": low,
        "high": high,
        "threshold": threshold,
        "weights": weights_digest(trained.model),
    }
