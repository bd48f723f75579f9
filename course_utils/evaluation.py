"""What a trained model gets right, with the uncertainty of the figure."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

EVALUATION_BATCH = 1_000


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions on one set of images, scored.

    Attributes
    ----------
    accuracy : float
        The part of the images that were classified correctly, 0 to 1.
    interval : tuple of float
        95% confidence interval of the accuracy (Wilson, 1927).
    confusion : numpy.ndarray
        Shape ``(classes, classes)``, int: row the true class, column the predicted one.
    precision, recall : numpy.ndarray
        Shape ``(classes,)``: of the images given this class, the part that has it; of the
        images that have it, the part that was given it. Zero where there are none.
    y_true, y_pred : numpy.ndarray
        Shape ``(n,)``, int64: true and predicted labels.
    probabilities : numpy.ndarray
        Shape ``(n, classes)``, float32: what the model returned.
    class_names : tuple of str
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
        """Return the most frequent confusions as (true class, predicted class, images)."""
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
    """Predict the classes of `x` and score them against `y`.

    Parameters
    ----------
    model : keras.Model
        Returns class probabilities of shape ``(n, classes)``.
    x : numpy.ndarray
        Images, uint8, shape ``(n, height, width, channels)``.
    y : numpy.ndarray
        True labels, int64, shape ``(n,)``.
    class_names : tuple of str

    Returns
    -------
    Evaluation
    """
    probabilities = model.predict(np.asarray(x), batch_size=EVALUATION_BATCH, verbose=0)
    return score(np.asarray(probabilities, dtype="float32"), np.asarray(y), class_names)


def score(probabilities: np.ndarray, y: np.ndarray, class_names: tuple[str, ...]) -> Evaluation:
    """Score class probabilities, shape ``(n, classes)``, against true labels ``(n,)``."""
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
    """Return the 95% confidence interval of the proportion ``correct / n``."""
    interval = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
