"""Checks that students run: they show what was expected, what came, and where to read about it.

A failed check raises `CheckFailed`, which is displayed as a few lines without a traceback. While a
submission is graded, a failed check prints these lines instead: the points come from the grader's
own tests, and a mistake in one part of a question must not hide the others. In the student's
kernel, checks are then silent, because the examiner runs them again and only its results count.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from course_utils import env
from course_utils.data import Dataset
from course_utils.errors import SubmissionError
from course_utils.submission.network import Network, structure_of
from course_utils.submission.trained import is_graded, load_trained
from course_utils.thresholds import load_thresholds


class CheckFailed(SubmissionError):
    """Error for an answer that is not yet what the question asks for.

    Examples
    --------
    >>> from course_utils.submission import check
    >>> try:
    ...     check.expect(False, "share", expected="a number from 0 to 1", got=1.5)
    ... except check.CheckFailed as failed:
    ...     print(failed)
    share is not right yet.
      Expected: a number from 0 to 1
      Got:      1.5
    """

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


def _silent_while_examined(check: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(check)
    def checked(*arguments: Any, **settings: Any) -> None:
        if not env.EXAMINED.is_on:
            check(*arguments, **settings)

    return checked


@_silent_while_examined
def expect(
    condition: bool, what: str, *, expected: str = "", got: Any = None, read: str = ""
) -> None:
    """Print that a part of the answer is right, or say what is wrong with it.

    Parameters
    ----------
    condition : bool
        Whether the part is right.
    what : str
        The part of the answer, such as ``"n_train"`` or ``"The shape of the output"``.
    expected : str
        What was expected, without giving the answer away.
    got : object
        What the student has; shown unless it is None.
    read : str
        Where to read about it, such as ``"chapter 5, 'Output sizes'"``.

    Raises
    ------
    CheckFailed
        If the condition is false, unless the submission is being graded.

    Examples
    --------
    >>> from course_utils.submission import check
    >>> share = 0.1
    >>> check.expect(0 <= share <= 1, "share", expected="from 0 to 1", got=share)
    ✓ share
    """
    if condition:
        print(f"✓ {what}")
        return
    lines = [f"{what} is not right yet."]
    if expected:
        lines.append(f"  Expected: {expected}")
    if got is not None:
        lines.append(f"  Got:      {_short(got)}")
    if read:
        lines.append(f"  Read:     {read}")
    _fail("\n".join(lines))


@_silent_while_examined
def answered(read: str = "", **answers: Any) -> None:
    """Check that each answer, given by name, is no longer ``None``.

    Raises
    ------
    CheckFailed
        If an answer is still ``None``; the message names the first one.

    Examples
    --------
    >>> from course_utils.submission import check
    >>> check.answered(share=0.1, digit=None)
    Traceback (most recent call last):
        ...
    course_utils.submission.check.CheckFailed: digit is not right yet.
      Expected: a value for digit in the cell above
      Got:      still None
    """
    for name, answer in answers.items():
        if answer is None or answer is Ellipsis:
            asked = f"a value for {name} in the cell above"
            expect(False, name, expected=asked, got="still None", read=read)


@_silent_while_examined
def network(
    model: keras.Model | Network | None, input_shape: tuple[int, ...], read: str = ""
) -> None:
    """Check that an untrained network takes images and returns one probability per class.

    Parameters
    ----------
    model : keras.Model, Network or None
        A network; in a test, what stands for it.
    input_shape : tuple of int
        Shape of one image.
    read : str
        Where to read about it.

    Raises
    ------
    CheckFailed
        If the network is missing, takes another shape, or does not return probabilities.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.submission import check
    >>> check.network(zoo.build("fast/cnn"), (32, 32, 3))
    ✓ The network's input
    ✓ The network's output
    ✓ The ten outputs are probabilities
    """
    structure = structure_of(model)
    if model is None or structure is None:
        got = "still None" if model is None else type(model)
        expect(False, "The network", expected="a keras.Model", got=got, read=read)
        return
    if not structure.built:
        first = "a keras.Input as the first thing in it"
        expect(False, "The network's input", expected=first, got="none", read=read)
        return
    if structure.of_kind("Lambda"):
        other = "layers without a program in them, such as Rescaling: the grader runs no Lambda"
        expect(False, "The network's layers", expected=other, got="a Lambda layer", read=read)
        return
    expect(
        structure.input_shape[1:] == input_shape,
        "The network's input",
        expected=f"images of shape {input_shape}",
        got=structure.input_shape[1:],
        read=read,
    )
    expect(
        structure.output_shape == (None, 10),
        "The network's output",
        expected="(None, 10): one value for each of the ten classes",
        got=structure.output_shape,
        read=read,
    )
    if structure.input_shape[1:] != input_shape or structure.output_shape != (None, 10):
        return
    images = np.random.default_rng(0).integers(0, 256, (8, *input_shape), dtype="uint8")
    outputs = _outputs(model, images)
    probabilities = np.asarray(outputs, dtype="float64")
    expect(
        bool(np.allclose(probabilities.sum(axis=1), 1, atol=0.02) and (probabilities >= 0).all()),
        "The ten outputs are probabilities",
        expected="values of 0 or more that add up to 1: a softmax at the end",
        got=f"they add up to {probabilities.sum(axis=1).round(2)[:3]}",
        read=read,
    )


@_silent_while_examined
def trained(question: str, data: Dataset, *, read: str = "") -> None:
    """Check the network that will be handed in: its files, its limits and its accuracy.

    The file ``thresholds.toml`` contains the limits and the required accuracy. The accuracy is
    checked on the validation images here, and graded on the test images.

    Parameters
    ----------
    question : str
    data : Dataset
    read : str
        Where to read about it.

    Raises
    ------
    CheckFailed
        If the network does not meet a requirement; the message names the first one.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, setup, zoo
    >>> from course_utils.submission import check, train_once
    >>> build_model, data = zoo.design("fast/cnn").build, load_cifar10(limit=50)
    >>> trained = train_once("a2-fc", build_model, data, Recipe(epochs=1), setup())
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    Saved a2-fc.keras (... MB) and its record. Hand both in.
    >>> check.trained("a2-fc", data)
    ✓ a2-fc.keras and a2-fc.json: 81,834 parameters, 1 epochs
    ✓ Epochs
    ✓ Parameters
      Validation accuracy: ...
    """
    try:
        found = load_trained(question)
    except SubmissionError as error:
        _fail(str(error))
        return
    epochs, parameters = found.history.epochs, found.network.count_params()
    print(f"✓ {question}.keras and {question}.json: {parameters:,} parameters, {epochs} epochs")
    bounds = load_thresholds().get(question, {})
    for what, number in (("epochs", found.passes), ("parameters", parameters)):
        if most := bounds.get(f"{what}_at_most"):
            expect(number <= most, what.title(), expected=f"at most {most:,.0f}", got=number)
    if not found.takes(data):
        _fail(f"{question}.keras takes images of shape {found.network.input_shape[1:]}.")
        return
    accuracy = found.score(data.x_val, data.y_val, data.class_names)
    print(f"  Validation accuracy: {accuracy}")
    if data.source.is_stand_in:
        print(f"  {data.source.name}: the accuracy is not judged.")
    elif threshold := bounds.get("test_accuracy"):
        expect(
            accuracy.accuracy >= threshold,
            "Validation accuracy",
            expected=f"at least {threshold:.0%}, better a point or two more",
            got=f"{accuracy.accuracy:.1%}",
            read=read,
        )


def _outputs(model: keras.Model | Network, images: np.ndarray) -> np.ndarray:
    if isinstance(model, Network):
        return model.predict(images)
    # For a few images, a call of the network is ten times as fast as `predict`.
    return keras.ops.convert_to_numpy(model(images, training=False))


def _fail(message: str) -> None:
    if is_graded():
        print(f"✗ {message}")
    else:
        raise CheckFailed(message)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
