"""Networks compared image by image, designs by their runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from course_utils.comparison import (
    Difference,
    compare_designs,
    compare_networks,
    mean_interval,
)
from course_utils.errors import DataError


def answered(right):
    """The evaluation of a network that is right for these images."""
    right = np.asarray(right)
    labels = np.zeros(len(right), dtype=int)
    return SimpleNamespace(y_true=labels, y_pred=np.where(right, 0, 1))


@pytest.mark.parametrize(
    ("first", "second", "p", "verdict"),
    [
        (4, 6, 0.7539, "undecided"),
        (1, 9, 0.0215, "better"),
        (9, 1, 0.0215, "worse"),
        (2, 8, 0.1094, "undecided"),
    ],
)
def test_networks_are_compared_by_the_images_that_only_one_gets_right(first, second, p, verdict):
    """The exact p-values of McNemar's test are sums of binomial coefficients over 2^10."""
    both = np.zeros(90, dtype=bool)
    one = answered(np.r_[both, np.repeat([True, False], [first, second])])
    other = answered(np.r_[both, np.repeat([False, True], [first, second])])
    found = compare_networks(one, other)
    assert found.value == pytest.approx((second - first) / 100)
    assert found.verdict == verdict
    assert (p < 0.05) == (verdict != "undecided")


def test_the_paired_interval_is_that_of_clopper_and_pearson():
    """For 9 of 10 it is 0.5550 to 0.9975, from tables."""
    one, other = answered(np.eye(10)[9] > 0), answered(np.eye(10)[9] == 0)
    found = compare_networks(one, other)
    assert found.interval == pytest.approx((2 * 0.5550 - 1, 2 * 0.9975 - 1), abs=1e-3)


def test_networks_that_agree_do_not_differ_and_other_images_are_refused():
    one = answered([True, False])
    assert compare_networks(one, one) == Difference(0.0, (0.0, 0.0))
    with pytest.raises(DataError, match="different images"):
        compare_networks(one, answered([True, False, True]))


def test_designs_are_compared_by_welchs_interval():
    """Variances 1 and 4, three runs each: 2.94 degrees of freedom, t = 3.2198."""
    found = compare_designs([0.01, 0.02, 0.03], [0.07, 0.09, 0.11])
    error = np.sqrt((0.01**2 + 0.02**2) / 3)
    assert found.value == pytest.approx(0.07)
    np.testing.assert_allclose(found.interval, 0.07 + np.array([-1, 1]) * 3.2198 * error, rtol=1e-3)
    assert found.choose("up", "down", "open") == "up"
    assert compare_designs([0.07, 0.09, 0.11], [0.01, 0.02, 0.03]).verdict == "worse"
    assert compare_designs([0.1, 0.3], [0.2, 0.3]).choose("up", "down", "open") == "open"


def test_without_scatter_or_with_a_single_run():
    assert compare_designs([0.5, 0.5], [0.6, 0.6]).verdict == "better"
    alone = compare_designs([0.5], [0.6])
    assert alone.verdict == "undecided"
    assert str(alone) == "+10.0 points (one run, no interval)"
    assert str(Difference(0.012, (0.003, 0.021))) == "+1.2 points (95% interval +0.3 to +2.1)"
    assert np.isnan(mean_interval([0.5])).all()
