"""Values that pass between the notebook and the examiner."""

from __future__ import annotations

import base64
import http
import io
import json
import time
from decimal import Decimal
from fractions import Fraction

import keras
import numpy as np
import pandas as pd
import pytest

from course_utils import Recipe
from course_utils.errors import SubmissionError
from course_utils.grading import grade
from course_utils.submission.codec import Foreign, pack, unpack


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**80,
        -0.5,
        float("inf"),
        "ü☃",
        [1, [2.0, None]],
        (1, "a"),
        {"a": [1], 2: (3,)},
        {1, 2},
        Recipe(epochs=3, learning_rate=0.01),
    ],
    ids=repr,
)
def test_plain_data_pass_as_they_are(value):
    came = unpack(pack(value))
    assert came == value
    assert type(came) is type(value)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool", "<U3"])
def test_arrays_pass_with_shape_and_dtype(dtype):
    value = np.ones((2, 3)).astype(dtype)
    came = unpack(pack(value))
    assert came.dtype == value.dtype
    assert np.array_equal(came, value)
    assert isinstance(unpack(pack(value[0, 0])), np.generic)


def test_tables_and_generators_pass():
    table = pd.DataFrame({"name": ["a", "b"], "value": [1.5, 2.5]})
    assert unpack(pack(table)).equals(table)
    rng = np.random.default_rng(3)
    assert unpack(pack(rng)).random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(1, 2), 0.5),
        (Decimal("0.25"), 0.25),
        (http.HTTPStatus.OK, 200),
        (2 + 1j, 2 + 1j),
        (keras.ops.convert_to_tensor(3), 3),
        (keras.ops.convert_to_tensor([1.5, 2.5]), np.array([1.5, 2.5])),
        (keras.Variable(4.0), 4.0),
        (pd.Series([1, 2]), np.array([1, 2])),
    ],
    ids=repr,
)
def test_numbers_and_arrays_of_other_types_are_numbers_and_arrays(value, expected):
    came = unpack(pack(value))
    assert np.shape(came) == np.shape(expected)
    assert np.array_equal(came, expected)


@pytest.mark.parametrize("number", [float("inf"), 10**400, Decimal("1e999")], ids=repr)
def test_numbers_without_end_pass(number):
    assert unpack(pack(number)) in (number, float("inf"))


def test_a_class_that_claims_to_be_an_array_is_an_object():
    class Claims:
        def __array__(self, *arguments, **settings):
            raise SystemError

    assert isinstance(unpack(pack(Claims())), Foreign)


def test_other_objects_pass_as_their_names():
    class Always:
        def __eq__(self, other):
            return True

        __hash__ = None

    came = unpack(pack([Always(), np.array([Always()]), Always]))
    assert all(isinstance(each, Foreign) for each in came)
    assert grade.plain(came)[0] == "a Always"
    assert came[0] != 1


@pytest.mark.parametrize(
    "forged",
    ["", "{", '{"array": "AAAA"}', '{"a": 1, "b": 2}', '{"recipe": "{}x"}', '{"table": 3}',
     '{"generator": {"dict": []}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_forged_is_no_answer(forged):
    try:
        assert isinstance(unpack(forged), list | Foreign)
    except SubmissionError:
        return


def test_a_pickled_array_is_no_answer():
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(SubmissionError):
        unpack(json.dumps({"array": base64.b64encode(buffer.getvalue()).decode()}))


def test_lists_in_themselves_pass_without_end():
    endless: list = []
    endless.append(endless)
    assert "foreign" in pack(endless)


@pytest.mark.parametrize("kind", ["set", "dict"])
def test_keys_that_python_would_compare_for_hours_are_no_answer(kind):
    """All multiples of this number have the same hash."""
    same = [(2**61 - 1) * number for number in range(1, 200_000)]
    forged = {"set": same, "dict": [[key, 0] for key in same]}[kind]
    start = time.process_time()
    with pytest.raises(SubmissionError, match="too many keys with the same hash"):
        unpack(json.dumps({"list": [{kind: forged}]}))
    assert time.process_time() - start < 5
    honest = {-1, -2, *range(20_000), *map(str, range(20_000)), *((n, -n) for n in range(20_000))}
    assert unpack(pack(honest)) == honest
