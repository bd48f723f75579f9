"""Encoding answers as plain data, to pass them between a student's program and the grader's.

Numbers, texts, lists, dictionaries, arrays, tables and recipes are passed as values. A network is
passed as its structure, a function as its name, and any other object as the name of its type. No
code is passed.
"""

from __future__ import annotations

import base64
import io
import json
import numbers
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from course_utils.errors import SubmissionError
from course_utils.recipes import Recipe

# Kinds of arrays that are passed: NumPy's letters for numbers, truth values and texts.
KINDS = "biufcU"
# Largest depth of nested lists.
MAX_DEPTH = 50
# Different keys with the same hash in one set or dictionary: Python compares each with all others.
# At most two ordinary values have the same hash.
MAX_EQUAL_HASHES = 100


class Foreign:
    """Stands for an object that cannot be passed; it is equal only to itself."""


def pack(value: Any, is_model: Callable[[Any], bool] = lambda value: False) -> str:
    """Write a value as JSON.

    Parameters
    ----------
    value : object
    is_model : callable
        Tells whether a value is a network. The caller decides, because this module does not import
        Keras.
    """
    return json.dumps(_packed(value, is_model, 0))


def unpack(
    text: str,
    model: Callable[[str], Any] | None = None,
    function: Callable[[str], Any] | None = None,
) -> Any:
    """Read a value that `pack` wrote, or that somebody forged.

    Parameters
    ----------
    text : str
    model : callable, optional
        Builds a network from its structure, which is JSON.
    function : callable, optional
        Creates a callable from a function's name.

    Raises
    ------
    SubmissionError
        If the text is not in the form that `pack` writes.
    """
    try:
        return _unpacked(json.loads(text), model, function)
    except SubmissionError:
        raise
    except Exception as error:
        raise SubmissionError(f"An answer could not be read: {type(error).__name__}.") from error


def foreign_kinds(value: Any) -> set[str]:
    """Return the names of the types in an answer that could not be passed."""
    if isinstance(value, Foreign):
        return {type(value).__name__}
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        return {kind for item in value for kind in foreign_kinds(item)}
    return set()


def _packed(value: Any, is_model: Callable[[Any], bool], depth: int) -> Any:
    def inside(item: Any) -> Any:
        return _packed(item, is_model, depth + 1)

    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth > MAX_DEPTH:
        return {"foreign": "nested list"}
    if isinstance(value, np.generic):
        return {"scalar": _array(np.asarray(value))} if value.dtype.kind in KINDS else _name(value)
    if isinstance(value, np.ndarray):
        return {"array": _array(value)} if value.dtype.kind in KINDS else _name(value)
    if isinstance(value, tuple):
        return {"tuple": [inside(item) for item in value]}
    if isinstance(value, list):
        return {"list": [inside(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {"set": [inside(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[inside(key), inside(item)] for key, item in value.items()]}
    if isinstance(value, pd.DataFrame):
        return {"table": [[str(name), inside(value[name].tolist())] for name in value.columns]}
    if isinstance(value, np.random.Generator):
        return {"generator": inside(value.bit_generator.state)}
    if isinstance(value, Recipe):
        return {"recipe": value.model_dump_json()}
    if is_model(value):
        return {"model": value.to_json()}
    if isinstance(value, numbers.Number | str):
        return _plain_number(value)
    if hasattr(type(value), "__array__"):
        return _from_another_library(value)
    if callable(value) and not isinstance(value, type):
        return {"function": getattr(value, "__name__", "")}
    return _name(value)


def _plain_number(value: Any) -> Any:
    """Return a number or text of a type of its own, such as a fraction, as one of a usual type."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, complex):
        return {"scalar": _array(np.asarray(value))}
    try:
        return float(value)
    except Exception:  # The class is the student's, or the number is too large.
        return _name(value)


def _from_another_library(value: Any) -> Any:
    """Return a tensor of another library as an array, or as a number if it is one."""
    try:
        array = np.asarray(value)
    except Exception:  # The class can be the student's.
        return _name(value)
    if array.dtype.kind not in KINDS:
        return _name(value)
    return {"array" if array.ndim else "scalar": _array(array)}


def _unpacked(item: Any, model: Callable | None, function: Callable | None) -> Any:
    if not isinstance(item, dict):
        return item
    ((kind, content),) = item.items()

    def inside(part: Any) -> Any:
        return _unpacked(part, model, function)

    if kind in VALUES:
        return VALUES[kind](content, inside)
    if kind == "model" and model:
        return model(content)
    if kind == "function" and function:
        return function(content)
    name = content if kind == "foreign" and str(content).isidentifier() else kind
    return type(str(name)[:100], (Foreign,), {})()


def _keys(values: Iterable[Any]) -> list[Any]:
    """Return values as a list, if a set of them can be made in a time proportional to its size."""
    keys = list(values)
    if max(Counter(map(hash, keys)).values(), default=0) > MAX_EQUAL_HASHES:
        raise SubmissionError("An answer has too many keys with the same hash.")
    return keys


def _generator(content: Any, inside: Callable) -> np.random.Generator:
    generator = np.random.Generator(np.random.PCG64())
    generator.bit_generator.state = inside(content)
    return generator


# Every kind of value that is read from an answer, beside plain JSON values, networks, functions and
# the names of other types: how it is read, given a function that reads what is inside.
VALUES: dict[str, Callable[[Any, Callable], Any]] = {
    "tuple": lambda content, inside: tuple(map(inside, content)),
    "list": lambda content, inside: list(map(inside, content)),
    "set": lambda content, inside: set(_keys(map(inside, content))),
    "dict": lambda content, inside: dict(
        zip(_keys(inside(key) for key, _ in content), (inside(part) for _, part in content))
    ),
    "array": lambda content, inside: _from_bytes(content),
    "scalar": lambda content, inside: _from_bytes(content)[()],
    "table": lambda content, inside: pd.DataFrame({name: inside(part) for name, part in content}),
    "generator": _generator,
    "recipe": lambda content, inside: Recipe.model_validate_json(content),
}


def _array(value: np.ndarray) -> str:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(value).reshape(value.shape), allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode()


def _from_bytes(text: str) -> np.ndarray:
    array = np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
    if array.dtype.kind not in KINDS or not array.dtype.itemsize:
        raise SubmissionError(f"An answer has an array of {array.dtype}.")
    return array


def _name(value: Any) -> dict[str, str]:
    return {"foreign": type(value).__name__}
