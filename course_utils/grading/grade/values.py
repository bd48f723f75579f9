"""Grading values: numbers, texts, properties and reported accuracies."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from course_utils.submission.contract import GRADE_MIME
from course_utils.submission.forbidden import forbidden

# Distance below the threshold at which an accuracy earns no points; the points fall linearly.
PARTIAL_CREDIT = 0.10

# Numbers of a log that are compared with those of other students, far more than a log has. The time
# that it takes grows with the square of this number.
MAX_TRACED = 1_000


@dataclass(frozen=True)
class Grade:
    """The fraction of a question's points that an answer earns.

    Attributes
    ----------
    fraction : float
        Between 0 and 1.
    message : str
        Message for the student.
    review : str
        Reason why the lecturer should review the answer; empty if there is none.
    accuracies : tuple of dict
        Measurements: ``question, accuracy, low, high, threshold``.
    traces : dict of list of str
        Name of a network or log -> what two students cannot have in common by chance, such as the
        mistakes of the network. The grader compares each text, character by character, with that
        of other students; a ``"."`` is not compared with another ``"."``.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> half = grade.Grade(0.5, "The method is right, but the result is not.")
    >>> half.fraction
    0.5
    """

    fraction: float
    message: str
    review: str = ""
    accuracies: tuple[dict[str, Any], ...] = ()
    traces: dict[str, list[str]] = field(default_factory=dict)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        lines = html.escape(self.message).replace("\n", "<br>")
        return {
            "text/plain": f"{self.fraction:.4f}",
            "text/html": f'<div class="course-grade">{lines}</div>',
            GRADE_MIME: asdict(self),
        }


def equal(what: str, got: Any, expected: Any, *, tolerance: float = 0.0, hint: str = "") -> Grade:
    """Grade an answer that is a number, a text, a truth value, or a list of these.

    Parameters
    ----------
    what : str
        The answer's name.
    got, expected : object
        The student's answer and the right one. Objects of other types, such as sets, are equal to
        nothing: compare sorted lists instead.
    tolerance : float
        Largest accepted difference for each number.
    hint : str
        Hint that the student reads if the answer is wrong; it never shows the right answer.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> grade.equal("share", 0.33, 1 / 3, tolerance=0.01).fraction
    1.0
    >>> grade.equal("share", 0.2, 0.1, hint="There are ten classes.").message
    '✗ share is not correct: 0.2. There are ten classes.'
    """
    if _matches(plain(got), plain(expected), tolerance):
        return Grade(1.0, f"✓ {what}")
    return Grade(0.0, f"✗ {what} is not correct: {plain(got)!r}. {hint}".rstrip())


def holds(what: str, condition: Any, hint: str = "") -> Grade:
    """Grade a property that the answer has or does not have.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> layers = ["Conv2D", "MaxPooling2D", "Dense"]
    >>> grade.holds("a convolution", "Conv2D" in layers).message
    '✓ a convolution'
    """
    if condition is True or condition is np.True_:
        return Grade(1.0, f"✓ {what}")
    return Grade(0.0, f"✗ {what}: no. {hint}".rstrip())


def together(*grades: Grade, weights: Sequence[float] | None = None) -> Grade:
    """Combine the grades of a question's parts into their (weighted) mean.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> right = grade.holds("the shape", True)
    >>> wrong = grade.holds("the values", False)
    >>> grade.together(right, wrong, weights=[3, 1]).fraction
    0.75
    """
    weights = weights or [1.0] * len(grades)
    total = sum(w * g.fraction for w, g in zip(weights, grades, strict=True)) / sum(weights)
    return Grade(
        fraction=total,
        message="\n".join(grade.message for grade in grades),
        review="; ".join(grade.review for grade in grades if grade.review),
        accuracies=tuple(a for grade in grades for a in grade.accuracies),
        traces={name: trace for grade in grades for name, trace in grade.traces.items()},
    )


def traced(grade: Grade, name: str, numbers: Sequence[float]) -> Grade:
    """Return the grade with numbers that are compared with those of other students.

    Only their differences count, so a number that is added to all of them changes nothing. Of more
    than `MAX_TRACED` numbers, the first ones are compared, and the lecturer is told.

    Parameters
    ----------
    grade : Grade
    name : str
        The name of a log.
    numbers : sequence of float
        Such as all accuracies in the log, 0 to 1.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> right = grade.holds("the log", True)
    >>> one = grade.traced(right, "log", [0.52, 0.55, 0.54])
    >>> one == grade.traced(right, "log", [0.53, 0.56, 0.55])
    True
    """
    review = grade.review
    if len(numbers) > MAX_TRACED:
        many = f"{name}: only the first {MAX_TRACED:,} of {len(numbers):,} numbers were compared"
        review = "; ".join(filter(None, (review, many)))
    differences = np.rint(np.diff(numbers[:MAX_TRACED]) * 1e4).astype(int)
    trace = "".join(f"{each:+06d}" for each in differences)
    return replace(grade, review=review, traces={name: [trace]})


def partial_credit(accuracy: float, threshold: float) -> float:
    """Return the fraction of the points: 0 at ten points below the threshold, 1 from it on.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> grade.partial_credit(0.8, 0.75), grade.partial_credit(0.6, 0.75)
    (1.0, 0.0)
    >>> round(grade.partial_credit(0.7, 0.75), 2)
    0.5
    """
    return float(np.clip(1 + (accuracy - threshold) / PARTIAL_CREDIT, 0.0, 1.0))


def claim(what: str, claimed: Any, actual: float, *, tolerance: float = 0.005) -> Grade:
    """Grade an accuracy that the student reports, by the one measured here.

    Parameters
    ----------
    what : str
        The answer's name.
    claimed : object
        The student's number, 0 to 1.
    actual : float
        The measured accuracy, 0 to 1.
    tolerance : float
        Largest accepted difference.

    Examples
    --------
    >>> from course_utils.grading import grade
    >>> grade.claim("test_accuracy", 0.63, 0.6312).message
    '✓ test_accuracy: 63.0%, measured here: 63.1%'
    """
    number = plain(claimed)
    if not isinstance(number, float | int) or isinstance(number, bool):
        return Grade(0.0, f"✗ {what} is not a number: {number!r}")
    if abs(number - actual) <= tolerance:
        return Grade(1.0, f"✓ {what}: {number:.1%}, measured here: {actual:.1%}")
    return Grade(
        0.0,
        f"✗ {what}: you report {number:.1%}, but the accuracy measured here is {actual:.1%}. "
        "Evaluate on the images that the question names, and report that number.",
    )


def without(function: Any, *names: str) -> Any:
    """Return a function of the student that fails if it calls one of the named functions.

    Parameters
    ----------
    function : callable
    *names : str
        Dotted names, such as ``"keras.Model.count_params"``.

    Examples
    --------
    >>> import numpy as np
    >>> from course_utils.grading import grade
    >>> by_hand = grade.without(lambda values: np.mean(values), "numpy.mean")
    >>> by_hand([1, 2, 3])
    Traceback (most recent call last):
        ...
    RuntimeError: This function must not call a function that the question forbids.
    """
    if hasattr(function, "without"):
        return function.without(*names)

    @functools.wraps(function)
    def limited(*arguments: Any, **settings: Any) -> Any:
        with forbidden(names):
            return function(*arguments, **settings)

    return limited


def plain(value: Any) -> Any:
    """Return an answer as plain Python values, or as the name of its type if it is anything else.

    None of the answer's own code runs: an object that claims to equal everything becomes a text.

    Examples
    --------
    >>> import numpy as np
    >>> from course_utils.grading import grade
    >>> grade.plain((np.float32(0.5), np.arange(3)))
    [0.5, [0, 1, 2]]
    >>> grade.plain({1, 2})
    'a set'
    """
    if type(value) in (bool, int, float, complex, str, type(None)):
        return value
    if type(value) in (list, tuple):
        return [plain(item) for item in value]
    if type(value) is dict:
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if type(value) is np.longdouble:  # its `tolist` returns a longdouble again
        return float(value)
    if type(value) is np.ndarray or type(value).__module__ == "numpy":
        return plain(value.tolist())
    return _Other(f"a {type(value).__name__}")


class _Other(str):
    """The name of the type of an answer that cannot be compared."""

    __slots__ = ()


def _matches(got: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(got, _Other) or isinstance(expected, _Other):
        return False
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
    if isinstance(expected, bool) or not isinstance(expected, int | float | complex):
        return type(got) is type(expected) and got == expected
    if isinstance(got, bool) or not isinstance(got, int | float | complex):
        return False
    difference: Any = got - expected
    return bool(abs(difference) <= tolerance)
