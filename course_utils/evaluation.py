"""The evaluation of a trained model, and the comparison of two networks or of two designs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from scipy.stats import binomtest, t, ttest_ind
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from course_utils.errors import DataError

CONFIDENCE = 0.95
# Batch size of predictions, which does not affect their values.
EVALUATION_BATCH = 1_000


@dataclass(frozen=True)
class Evaluation:
    """The predictions of a model for a set of images, and their scores.

    Attributes
    ----------
    accuracy : float
        The fraction of images that were classified correctly, from 0 to 1.
    interval : tuple of float
        95% confidence interval of the accuracy (Wilson, 1927).
    confusion : numpy.ndarray
        Numbers of images, int, shape ``(classes, classes)``: rows are true classes, columns are
        predicted classes.
    precision, recall : numpy.ndarray
        Shape ``(classes,)``. Precision is the fraction of the images predicted as this class that
        belong to it; recall is the fraction of the images of this class that were predicted as
        it. Both are 0 if there are no such images.
    y_true, y_pred : numpy.ndarray
        True and predicted labels, int64, shape ``(n,)``.
    probabilities : numpy.ndarray
        The output of the model, float32, shape ``(n, classes)``.
    class_names : tuple of str

    Examples
    --------
    >>> from course_utils import evaluate, load_cifar10, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> evaluation.n, evaluation.confusion.shape
    (20, (10, 10))
    """

    accuracy: float
    interval: tuple[float, float]
    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.y_true)

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.accuracy:.1%} (95% interval {100 * low:.1f} to {100 * high:.1f}%, "
            f"{self.n:,} images)"
        )

    def confused_pairs(self, most: int = 10) -> list[tuple[str, str, int]]:
        """Return the most frequent confusions: true class, predicted class, number of images.

        Parameters
        ----------
        most : int
            The largest number of confusions.
        """
        errors = self.confusion * (1 - np.eye(len(self.confusion), dtype=int))
        places = np.argsort(errors, axis=None, kind="stable")[::-1][:most]
        pairs = zip(*np.unravel_index(places, errors.shape), strict=True)
        return [
            (self.class_names[true], self.class_names[guess], int(errors[true, guess]))
            for true, guess in pairs
            if errors[true, guess]
        ]


def evaluate(
    model: keras.Model, x: np.ndarray, y: np.ndarray, class_names: tuple[str, ...]
) -> Evaluation:
    """Predict the classes of images, and compare them with the true labels.

    Parameters
    ----------
    model : keras.Model
        A model that returns class probabilities of shape ``(n, classes)``.
    x : numpy.ndarray
        Images, uint8, shape ``(n, height, width, channels)``.
    y : numpy.ndarray
        True labels, int64, shape ``(n,)``.
    class_names : tuple of str

    Returns
    -------
    Evaluation

    Examples
    --------
    >>> from course_utils import evaluate, load_cifar10, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> print(f"Test accuracy: {evaluation}")
    Test accuracy: ...% (95% interval ... to ...%, 20 images)
    """
    probabilities = model.predict(np.asarray(x), batch_size=EVALUATION_BATCH, verbose=0)
    return score(np.asarray(probabilities, dtype="float32"), np.asarray(y), class_names)


def score(probabilities: np.ndarray, y: np.ndarray, class_names: tuple[str, ...]) -> Evaluation:
    """Compare predicted probabilities with the true labels.

    Parameters
    ----------
    probabilities : numpy.ndarray
        Shape ``(n, classes)``.
    y : numpy.ndarray
        True labels, int64, shape ``(n,)``.
    class_names : tuple of str

    Returns
    -------
    Evaluation
    """
    labels = np.arange(len(class_names))
    y_pred = probabilities.argmax(axis=1)
    precision, recall, _, _ = precision_recall_fscore_support(
        y, y_pred, labels=labels, zero_division=0
    )
    correct = int((y == y_pred).sum())
    return Evaluation(
        accuracy=correct / len(y),
        interval=wilson_interval(correct, len(y)),
        confusion=confusion_matrix(y, y_pred, labels=labels),
        precision=precision,
        recall=recall,
        y_true=y,
        y_pred=y_pred,
        probabilities=probabilities,
        class_names=class_names,
    )


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Return the 95% confidence interval of the proportion ``correct / n``.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Examples
    --------
    >>> wilson_interval(90, 100)
    (0.8256..., 0.9447...)
    """
    interval = binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(accuracies: Sequence[float]) -> tuple[float, float]:
    """Return the 95% t-interval of the mean accuracy of several runs; NaN for a single run.

    Source: Student, "The probable error of a mean", 1908.

    Examples
    --------
    >>> from course_utils.evaluation import mean_interval
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
        known = f"95% interval {low:+.1f} to {high:+.1f}" if low == low else "one run, no interval"
        return f"{100 * self.value:+.1f} points ({known})"


def compare_networks(one: Evaluation, other: Evaluation) -> Difference:
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
    if first + second == 0:
        return Difference(0.0, (0.0, 0.0))
    ends = binomtest(second, first + second).proportion_ci(CONFIDENCE, method="exact")
    low, high = ((first + second) * (2 * end - 1) / one.n for end in (ends.low, ends.high))
    return Difference((second - first) / one.n, (float(low), float(high)))


def only_one_right(one: Evaluation, other: Evaluation) -> tuple[int, int]:
    """Return how many images only the first, and only the second, classifies correctly."""
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
