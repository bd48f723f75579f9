"""Accuracy, its interval, precision, recall and the confusion matrix."""

import numpy as np
import pytest

from course_utils.evaluation import score, wilson_interval

CLASSES = ("cat", "dog", "frog")
TRUE = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
GUESS = np.array([0, 0, 1, 1, 1, 1, 0, 2, 2, 0])


def scored():
    return score(np.eye(3, dtype="float32")[GUESS], TRUE, CLASSES)


def test_accuracy_and_confusion_matrix():
    result = scored()
    assert result.accuracy == 0.6
    np.testing.assert_array_equal(result.confusion, [[2, 2, 0], [1, 2, 0], [1, 0, 2]])


def test_precision_and_recall_of_each_class():
    np.testing.assert_allclose(scored().precision, [2 / 4, 2 / 4, 1])
    np.testing.assert_allclose(scored().recall, [2 / 4, 2 / 3, 2 / 3])


def test_the_most_confused_pair_comes_first():
    assert scored().confused_pairs() == [("cat", "dog", 2), ("frog", "cat", 1), ("dog", "cat", 1)]


def test_a_class_that_nobody_guesses_has_precision_zero():
    result = score(np.tile([1.0, 0, 0], (4, 1)), np.array([0, 1, 2, 2]), CLASSES)
    np.testing.assert_allclose(result.precision, [0.25, 0, 0])


def test_wilson_interval_against_the_formula():
    n, p, z = 10_000, 0.62, 1.959964
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson_interval(6_200, n) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_the_interval_stays_between_zero_and_one():
    assert wilson_interval(0, 20)[0] == pytest.approx(0, abs=1e-12)
    assert wilson_interval(20, 20)[1] == pytest.approx(1)


def test_a_result_reads_as_a_sentence():
    assert str(scored()) == "60.0% (95% interval 31.3 to 83.2%, 10 images)"
