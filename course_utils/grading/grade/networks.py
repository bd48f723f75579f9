"""Grading trained networks, whose accuracy is measured again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course_utils.data import Dataset
from course_utils.errors import SubmissionError
from course_utils.evaluation import Evaluation
from course_utils.grading.grade.review import reasons_to_review, sounds_ready_made
from course_utils.grading.grade.values import Grade, partial_credit
from course_utils.submission.messages import Structure
from course_utils.submission.trained import Trained, load_trained
from course_utils.thresholds import load_thresholds

# Test images whose classes are compared between students, and those that are also mirrored.
TRACED, MIRRORED = 2_000, 500


def network(
    question: str,
    data: Dataset,
    *,
    units: Callable[[list[int | None]], bool] | None = None,
    limit: int | None = None,
) -> Grade:
    """Grade a trained network by its accuracy on test images, which is measured again.

    The file ``thresholds.toml`` contains, for each question, the accuracy that earns all points and
    the limits on epochs and parameters. A network beyond a limit earns no points.

    Parameters
    ----------
    question : str
        Name of the question and of the network's files.
    data : Dataset
        Data set whose test images are used.
    units : callable, optional
        Receives the units of the layers with weights (None for a layer that is not dense), and
        tells whether the network is of the kind that the question asks for.
    limit : int, optional
        Number of test images to use; default: all.

    Examples
    --------
    >>> from course_utils import load_cifar10
    >>> from course_utils.grading import grade
    >>> grade.network("a1-q2", load_cifar10(limit=50)).message
    '✗ a1-q2.keras is missing: run the cell that creates it, and hand the file in.'
    """
    bounds = load_thresholds()[question]
    threshold = bounds["test_accuracy"]
    try:
        trained = load_trained(question)
        check_input(trained, data)
        _check_limits(trained, bounds)
        if units and not units(_units(trained.structure)):
            raise SubmissionError(f"{question}.keras is another network than the one asked for.")
    except SubmissionError as error:
        return Grade(0.0, f"✗ {error}", review=f"{question}: {error}")
    if data.source.is_stand_in:
        name = data.source.name
        return Grade(0.0, f"✗ Not judged: there is no real data here, only the {name}.",
                     review=f"{question}: graded without real data ({name})")  # fmt: skip
    scored = trained.score(data.x_test[:limit], data.y_test[:limit], data.class_names)
    fraction = partial_credit(scored.accuracy, threshold)
    sign = "✓" if fraction == 1 else "✗"
    # Networks that earn nothing may be alike by chance: many always answer with the same class.
    traces = {question: _traces(trained, scored, data)} if fraction else {}
    return Grade(
        fraction=fraction,
        message=f"{sign} {question}: test accuracy {scored}, required: {threshold:.0%}",
        review=reasons_to_review(trained, scored, threshold, data),
        accuracies=(_measured(trained, scored, threshold),),
        traces=traces,
    )


def test_accuracy(question: str, data: Dataset) -> float:
    """Measure a submitted network's accuracy, 0 to 1, on the test images.

    Raises
    ------
    SubmissionError
        If the network is missing or cannot be used with these images.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.grading import grade
    >>> from course_utils.submission import train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q2", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q2.keras (... MB) and its record. Hand both in.
    >>> 0 <= grade.test_accuracy("a1-q2", data) <= 1
    True
    """
    trained = load_trained(question)
    check_input(trained, data)
    return trained.evaluate(data).accuracy


def check_input(trained: Trained, data: Dataset) -> None:
    """Make sure that a network fits the images and the classes of `data`.

    Raises
    ------
    SubmissionError
        If it does not.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, load_mnist, setup, zoo
    >>> from course_utils.grading import grade
    >>> from course_utils.submission import train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a1-q3", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a1-q3.keras (... MB) and its record. Hand both in.
    >>> grade.check_input(trained, load_mnist(limit=50))
    Traceback (most recent call last):
        ...
    course_utils.errors.SubmissionError: a1-q3.keras takes (32, 32, 3) and returns
    (10,), but the question asks for images of shape (28, 28, 1) and 10 classes.
    """
    shape, classes = data.x_test.shape[1:], len(data.class_names)
    takes, gives = trained.network.input_shape, trained.network.output_shape
    if takes[1:] != shape or gives[1:] != (classes,):
        raise SubmissionError(
            f"{trained.question}.keras takes {takes[1:]} and returns {gives[1:]}, but the question "
            f"asks for images of shape {shape} and {classes} classes."
        )


def _check_limits(trained: Trained, bounds: dict[str, float]) -> None:
    epochs, parameters = trained.history.epochs, trained.network.count_params()
    for what, number in (("epochs", trained.passes), ("parameters", parameters)):
        most = bounds.get(f"{what}_at_most", number)
        if number > most:
            raise SubmissionError(f"{number:,} {what}, at most {most:,.0f} are allowed.")
    if epochs != trained.record.recipe.epochs and not trained.record.recipe.early_stopping:
        raise SubmissionError(
            f"{trained.question}.json lists {epochs} epochs, but its recipe asks for "
            f"{trained.record.recipe.epochs}: hand in the record that training wrote."
        )
    takes = trained.network.input_shape
    takes_images = len(takes) == 4 and takes[-1] == 3
    for name in trained.structure.networks if takes_images else ():
        if sounds_ready_made(name):
            raise SubmissionError(
                f"The network contains {name}, a ready-made network; "
                "this question asks for one of your own."
            )


def _units(structure: Structure) -> list[int | None]:
    """Return the units of the layers with weights; None for one that is not dense."""
    return [
        layer.settings["units"] if layer.kind == "Dense" else None
        for layer in structure.with_weights
    ]


def _measured(trained: Trained, scored: Evaluation, threshold: float) -> dict[str, Any]:
    low, high = scored.interval
    return {
        "question": trained.question,
        "accuracy": scored.accuracy,
        "low": low,
        "high": high,
        "threshold": threshold,
    }


def _traces(trained: Trained, scored: Evaluation, data: Dataset) -> list[str]:
    """Return what of a network is compared with those of other students."""
    return [
        _mistakes(scored.y_true[:TRACED], scored.y_pred[:TRACED]),
        trained.network.weights,
        _mirrored(trained, scored, data),
    ]


def _mirrored(trained: Trained, scored: Evaluation, data: Dataset) -> str:
    """Return what the network takes the first pictures for if they are mirrored.

    Another network, which mirrors its pictures first, then makes the same mistakes.
    """
    if data.x_test.ndim != 4:  # features of pictures
        return ""
    y = scored.y_true[:MIRRORED]
    pictures = np.asarray(data.x_test[: len(y)])[:, :, ::-1]
    return _mistakes(y, trained.network.predict(pictures).argmax(axis=1))


def _mistakes(y: np.ndarray, predicted: np.ndarray) -> str:
    """Return what a network takes images for: a character each, ``"."`` if right.

    Two networks that were trained apart agree on at most three quarters of the images that either
    of them gets wrong; copies agree on nearly all, even if their weights were changed a little.
    """
    return "".join("." if t == p else chr(ord("a") + p) for t, p in zip(y, predicted))
