"""Answering the examiner's questions in the student's kernel.

The student's code may have changed anything in this process, so an answer is only ever input to a
test and never its result.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import keras
import numpy as np
from IPython import get_ipython

from course_utils.submission.codec import pack, unpack
from course_utils.submission.contract import ANSWER_MIME
from course_utils.submission.forbidden import forbidden
from course_utils.submission.messages import Answer, Question


class Displayed:
    """Passes an answer through Jupyter's protocol, under its own MIME type."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": "an answer", ANSWER_MIME: self._answer.model_dump(mode="json")}


def answer(question: str) -> Displayed:
    """Answer a `Question`, given as JSON."""
    return Displayed(_answer(Question.model_validate_json(question)))


def _answer(question: Question) -> Answer:
    names = get_ipython().user_ns
    if question.name not in names:
        return Answer()
    value = names[question.name]
    if question.arguments is None:
        return Answer(value=_packed(value))
    positional, named = unpack(question.arguments)
    try:
        with contextlib.redirect_stdout(io.StringIO()), forbidden(question.without):
            value = value(*positional, **named)
    except Exception as error:
        return Answer(error=(type(error).__name__, str(error)[:500]))
    # An argument that the function changes in place must change for the caller too.
    mutable = (np.ndarray, list, dict, set)
    changed = [each if isinstance(each, mutable) else None for each in positional]
    return Answer(value=_packed(value), arguments=_packed(changed))


def _packed(value: Any) -> str:
    return pack(value, lambda each: isinstance(each, keras.Model))
