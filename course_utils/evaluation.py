"""The evaluation of a trained model: its accuracy with a confidence interval, and its errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras
import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from course_utils.comparison import CONFIDENCE

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


def difference_interval(one: tuple[int, int], other: tuple[int, int]) -> tuple[float, float]:
    """Return the 95% confidence interval of the difference of two proportions, `other` minus `one`.

    Source: Newcombe, "Interval estimation for the difference between independent proportions",
    1998, method 10: the Wilson intervals of both, combined.

    Parameters
    ----------
    one, other : tuple of int
        Numbers of correct answers and of all answers, from independent samples.

    Examples
    --------
    >>> difference_interval((56, 70), (48, 80))
    (-0.3339..., -0.0524...)
    """
    a, b = one[0] / one[1], other[0] / other[1]
    (a_low, a_high), (b_low, b_high) = wilson_interval(*one), wilson_interval(*other)
    low = b - a - math.hypot(b - b_low, a_high - a)
    high = b - a + math.hypot(b_high - b, a - a_low)
    return low, high
