"""The student's end of the examination: gives answers, and calls functions, when it is asked to.

It runs in the student's process, which may have changed everything in it: what it says is an
answer to be judged, never a judgement.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any
from unittest import mock

import keras
import numpy as np
from IPython import get_ipython

from course_utils.submission.codec import pack, unpack
from course_utils.submission.contract import ANSWER_MIME


class Answer:
    """What is sent back; the notebook's protocol carries it under a type of its own."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": "an answer", ANSWER_MIME: self._content}


def answer(request: str) -> Answer:
    """Answer a request: the value of a name, or what its function returns.

    Parameters
    ----------
    request : str
        JSON: ``name``; to call it, ``arguments`` too, packed, and the functions that it must do
        ``without``, as dotted names.
    """
    asked = json.loads(request)
    names = get_ipython().user_ns
    if asked["name"] not in names:
        return Answer({"missing": True})
    value = names[asked["name"]]
    if "arguments" not in asked:
        return Answer({"value": _packed(value)})
    positional, named = unpack(asked["arguments"])
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            for forbidden in asked.get("without", ()):
                stack.enter_context(mock.patch(forbidden, side_effect=RuntimeError))
            value = value(*positional, **named)
    except Exception as error:
        return Answer({"error": [type(error).__name__, str(error)[:500]]})
    # An array that was changed in place is changed for the caller, too.
    changed = [each if isinstance(each, np.ndarray) else None for each in positional]
    return Answer({"value": _packed(value), "arguments": _packed(changed)})


def _packed(value: Any) -> str:
    return pack(value, lambda each: isinstance(each, keras.Model))
