"""The book's statistical method: which of two networks, or of two designs, is more accurate.

Two trained networks are compared image by image, two designs by several runs of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import binomtest, t, ttest_ind

from course_utils.errors import DataError

CONFIDENCE = 0.95


class Answers(Protocol):
    """What is compared of an `Evaluation`: true and predicted labels, int64, shape ``(n,)``."""

    @property
    def y_true(self) -> np.ndarray:
        """The true labels."""

    @property
    def y_pred(self) -> np.ndarray:
        """The predicted labels."""


def mean_interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the 95% t-interval of the mean accuracy of several runs; NaN for a single run.

    Source: Student, "The probable error of a mean", 1908.

    Parameters
    ----------
    accuracies : sequence of float
        One for each run.

    Returns
    -------
    tuple of float
        The lower and the upper end.

    Examples
    --------
    >>> from course_utils.comparison import mean_interval
    >>> mean_interval([0.76, 0.77, 0.78])
    (0.7451..., 0.7948...)
    """
    n = len(accuracies)
    if n < 2:
        return float("nan"), float("nan")
    mean = np.mean(accuracies)
    half = t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(accuracies, ddof=1) / np.sqrt(n)
    return float(mean - half), float(mean + half)


@dataclass(frozen=True)
class Difference:
    """By how much the second of two networks, or of two designs, is more accurate.

    Attributes
    ----------
    value : float
        The second accuracy minus the first, from -1 to 1.
    interval : tuple of float
        95% confidence interval of the difference; NaN if a design has a single run.

    Examples
    --------
    >>> from course_utils import compare_designs
    >>> print(compare_designs([0.75, 0.76, 0.77], [0.78, 0.79, 0.80]))
    +3.0 points (95% interval +0.7 to +5.3)
    """

    value: float
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """``"better"``, ``"worse"``, or ``"undecided"`` if the interval contains 0."""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else "undecided"

    def choose(self, better: str, worse: str, undecided: str) -> str:
        """Return the one of three sentences that the verdict calls for."""
        return {"better": better, "worse": worse, "undecided": undecided}[self.verdict]

    def __str__(self) -> str:
        low, high = (100 * end for end in self.interval)
        known = f"95% interval {low:+.1f} to {high:+.1f}"
        if np.isnan(low):
            known = "one run, no interval"
        return f"{100 * self.value:+.1f} points ({known})"


def compare_networks(one: Answers, other: Answers) -> Difference:
    """Compare two trained networks on the same images, pair by pair.

    Only the images that exactly one of the two classifies correctly count. If neither network were
    better, each of these images would be the first one's or the second one's with probability 1/2.
    The interval is that of the binomial test, given their number, so that it excludes 0 exactly
    when the test finds a difference.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions",
    1947; the exact form, with the interval of Clopper and Pearson, 1934.

    Parameters
    ----------
    one, other : Evaluation
        Evaluations on the same images, in the same order.

    Returns
    -------
    Difference

    Raises
    ------
    DataError
        If the labels differ.

    Examples
    --------
    >>> from course_utils import compare_networks, evaluate, load_cifar10, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_val, data.y_val, data.class_names)
    >>> compare_networks(evaluation, evaluation).verdict
    'undecided'
    """
    if not np.array_equal(one.y_true, other.y_true):
        raise DataError("The networks were evaluated on different images: use the same for both.")
    first, second = only_one_right(one, other)
    n = len(one.y_true)
    if first + second == 0:
        return Difference(0.0, (0.0, 0.0))
    ends = binomtest(second, first + second).proportion_ci(CONFIDENCE, method="exact")
    low, high = ((first + second) * (2 * end - 1) / n for end in (ends.low, ends.high))
    return Difference((second - first) / n, (float(low), float(high)))


def only_one_right(one: Answers, other: Answers) -> tuple[int, int]:
    """Return how many images only the first, and only the second, classifies correctly.

    Parameters
    ----------
    one, other : Evaluation
        Evaluations on the same images, in the same order.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from course_utils import only_one_right
    >>> import numpy as np
    >>> labels, guesses = np.array([0, 1, 2]), np.array([0, 2, 1])
    >>> one = SimpleNamespace(y_true=labels, y_pred=guesses)
    >>> only_one_right(one, SimpleNamespace(y_true=labels, y_pred=labels))
    (0, 2)
    """
    first, second = one.y_pred == one.y_true, other.y_pred == other.y_true
    return int((first & ~second).sum()), int((second & ~first).sum())


def compare_designs(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Compare two designs by the accuracies of several runs of each.

    Source: Welch, "The generalization of Student's problem when several different population
    variances are involved", 1947.

    Parameters
    ----------
    one, other : sequence of float
        The accuracies of the runs of each design, one for each seed.

    Returns
    -------
    Difference
        The difference of the means, with the t-interval.

    Examples
    --------
    >>> from course_utils import compare_designs
    >>> compare_designs([0.75, 0.76, 0.77], [0.74, 0.77, 0.78]).verdict
    'undecided'
    """
    value = float(np.mean(other) - np.mean(one))
    if min(len(one), len(other)) < 2:
        return Difference(value, (float("nan"), float("nan")))
    if np.ptp(one) == np.ptp(other) == 0:
        return Difference(value, (value, value))
    ends = ttest_ind(other, one, equal_var=False).confidence_interval(CONFIDENCE)
    return Difference(value, (float(ends.low), float(ends.high)))
