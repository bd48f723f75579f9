"""The grades that hidden tests return."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from course_utils.grading import grade
from course_utils.grading.inside.examiner import RemoteFunction
from course_utils.submission.forbidden import forbidden


@pytest.mark.parametrize(
    ("accuracy", "part"),
    [(0.30, 0.0), (0.35, 0.0), (0.40, 0.5), (0.44, 0.9), (0.45, 1.0), (0.99, 1.0)],
)
def test_points_rise_over_ten_points_of_accuracy(accuracy, part):
    assert grade.partial_credit(accuracy, 0.45) == pytest.approx(part)


@pytest.mark.parametrize(
    ("got", "expected", "right"),
    [
        (3072, 3072, True),
        (np.int64(3072), 3072, True),
        (3072.0, 3072, True),
        (True, 1, False),
        ("3072", 3072, False),
        (None, 3072, False),
        (np.longdouble(3072), 3072, True),
        (np.array([1, 2], dtype="longdouble"), [1, 2], True),
        ((1, 2), [1, 2], True),
        (np.array([1, 2]), [1, 2], True),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1}, True),
        ({"b": 1}, {"a": 1}, False),
        (float("nan"), 1.0, False),
        (False, False, True),
    ],
)
def test_equal_takes_what_is_right_in_any_usual_type(got, expected, right):
    assert grade.equal("it", got, expected).fraction == right


def test_an_object_that_equals_everything_earns_nothing():
    class Always:
        def __eq__(self, other):
            return True

        def __float__(self):
            return 3072.0

        __hash__ = None

    assert grade.equal("it", Always(), 3072).fraction == 0
    assert grade.equal("it", [Always()], [1]).fraction == 0
    assert grade.holds("it", Always()).fraction == 0
    assert grade.claim("it", Always(), 0.5).fraction == 0


def test_the_right_answer_is_not_told():
    assert "3072" not in grade.equal("inputs", 5, 3072, hint="Every pixel counts.").message


def test_parts_are_weighted():
    one, none = grade.Grade(1.0, "yes"), grade.Grade(0.0, "no", review="look")
    both = grade.together(one, none, weights=(3, 1))
    assert both.fraction == 0.75
    assert both.message == "yes\nno"
    assert both.review == "look"


@pytest.mark.parametrize(
    ("claimed", "earned"), [(0.481, 1), (0.486, 0), (48.1, 0), (None, 0), ("0.481", 0), (True, 0)]
)
def test_a_claim_must_be_what_is_measured(claimed, earned):
    assert grade.claim("accuracy", claimed, 0.480).fraction == earned


def test_a_network_that_was_not_handed_in_says_so(tmp_path, monkeypatch, small_data):
    monkeypatch.chdir(tmp_path)
    given = grade.network("a1-q2", small_data)
    assert given.fraction == 0
    assert "a1-q2.keras is missing" in given.message
    assert given.review


def test_a_function_that_was_forbidden_is_as_it_was():
    inherited, own = "count_params" in vars(keras.Model), vars(keras.layers.Layer)["__init__"]
    names = ["keras.Model.count_params", "keras.layers.Layer.__init__"]
    with forbidden(names), pytest.raises(RuntimeError):
        keras.layers.Dense(1)
    assert ("count_params" in vars(keras.Model)) is inherited is False
    assert vars(keras.layers.Layer)["__init__"] is own


def test_without_a_function_another_one_fails():
    def counts(model):
        return model.count_params()

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert counts(model) == 10
    with pytest.raises(RuntimeError):
        grade.without(counts, "keras.Model.count_params")(model)
    remote = grade.without(RemoteFunction("counts", call=None), "keras.Model.count_params")
    assert remote._without == ("keras.Model.count_params",)


@pytest.mark.parametrize("got", [1, 1.0, 1 + 0j, np.complex64(1), np.array(1 + 0j)])
def test_a_number_of_any_type_can_be_right(got):
    assert grade.equal("first", got, 1).fraction == 1
    assert grade.equal("first", got, 1j).fraction == 0


@pytest.mark.parametrize("expected", [{1, 2}, frozenset(), range(3), np.dtype("int8"), object()])
@pytest.mark.parametrize("got", [{3}, frozenset({1}), range(5), np.dtype("int16"), "a set"])
def test_what_cannot_be_compared_earns_nothing(got, expected):
    assert grade.equal("first", got, expected).fraction == 0
    assert grade.equal("all", [1, got], [1, expected]).fraction == 0
    assert grade.equal("table", {"a": got}, {"a": expected}).fraction == 0
