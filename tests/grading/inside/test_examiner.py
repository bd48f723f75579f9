"""The examiner: its names, and its messages to the notebook."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import textwrap
import threading
from multiprocessing.connection import Connection

import numpy as np
import pytest

from course_utils.errors import SubmissionError
from course_utils.grading.inside.examiner import Examiner
from course_utils.paths import CHECKOUT
from course_utils.submission.codec import VALUES, Foreign, pack, unpack
from course_utils.submission.messages import (
    Answer,
    Layer,
    OpenedNetwork,
    Order,
    Reply,
    Structure,
)


class Student:
    """The other end of an examiner's line: a notebook with some names."""

    def __init__(self, **names) -> None:
        near, far = socket.socketpair()
        self._line = Connection(near.detach())
        self._names = names
        self.asked: list[str] = []
        examiner = Examiner(Connection(far.detach()))
        threading.Thread(target=examiner.serve, daemon=True).start()

    def order(self, command, content):
        self._line.send_bytes(Order(command=command, content=content).to_bytes())
        while True:
            reply = Reply.from_bytes(self._line.recv_bytes())
            if reply.question is None:
                return reply
            self._line.send_bytes(self._answer(reply.question).to_bytes())

    def _answer(self, question):
        self.asked.append(question.name)
        if question.name not in self._names:
            return Answer()
        value = self._names[question.name]
        if question.arguments is None:
            return Answer(value=pack(value))
        positional, named = unpack(question.arguments)
        try:
            value = value(*positional, **named)
        except Exception as error:
            return Answer(error=(type(error).__name__, str(error)))
        return Answer(value=pack(value), arguments=pack(list(positional)))

    def said(self, source):
        return self.order("examine", source).outcome.printed.strip()


def test_a_test_knows_the_lecturers_names_and_asks_for_the_others():
    student = Student(answer=7, given="changed", print=None)
    assert student.order("prepare", ["given = 1\nimport math"]).problem == ""
    assert student.said("print(given, answer, math.pi > 3)") == "1 7 True"
    assert student.asked == ["answer"]
    outcome = student.order("examine", "print(nothing)").outcome
    assert outcome.error == ("NameError", "name 'nothing' is not defined")


def test_what_a_test_defined_holds_until_the_notebook_redefines_it():
    student = Student(rate=0.5, given=2)
    student.order("prepare", ["given = 1"])
    student.order("examine", "rate = 0.1")
    assert student.said("print(rate)") == "0.1"
    student.order("forget", ["rate", "given"])
    assert student.said("print(rate, given)") == "0.5 1"


def test_functions_are_called_there():
    def fill(array, *, value):
        array[:] = value
        return array.sum()

    def fail():
        raise ZeroDivisionError("by nothing")

    student = Student(fill=fill, fail=fail)
    source = """
        import numpy as np
        array = np.zeros(3)
        print(fill(array, value=2.0), array)
        try:
            fail()
        except ZeroDivisionError as error:
            print(error)
    """
    assert student.said(textwrap.dedent(source)) == "6.0 [2. 2. 2.]\nby nothing"


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"[]",
        b'{"value": 3}',
        b'{"value": "1", "grade": 1.0}',
        b'{"error": ["a"]}',
        b'{"value": ' + b"[" * 100_000,
    ],
)
def test_a_message_in_another_form_is_refused(forged):
    with pytest.raises(ValueError, match="validation error"):
        Answer.from_bytes(forged)


def test_no_error_of_a_function_says_that_an_iteration_is_at_its_end():
    def end():
        raise StopIteration

    source = """
        print(all(map(lambda _: end(), "ab")))
    """
    outcome = Student(end=end).order("examine", textwrap.dedent(source)).outcome
    assert outcome.error[0] == "StopIteration"


def test_security_lists_everything_that_the_examiner_accepts():
    text = (CHECKOUT / "SECURITY.md").read_text(encoding="utf-8")
    section = text.split("## What the examiner accepts")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    received = [Answer, OpenedNetwork, Structure, Layer]
    accepted = {field for message in received for field in message.model_fields}
    assert accepted | VALUES.keys() | {"model", "function"} <= named


def test_an_answer_of_no_known_kind_has_only_a_name():
    for kind in ("model", "function", "foreign", "object", "os.system"):
        value = unpack(json.dumps({kind: "print"}))
        assert isinstance(value, Foreign)
        assert not callable(value)


@pytest.mark.parametrize("dtype", ["V0", "V8", "O", "M8[s]", [("a", "f8")]])
def test_only_usual_arrays_are_read_from_an_answer(dtype):
    buffer = io.BytesIO()
    np.save(buffer, np.empty(3, dtype), allow_pickle=True)
    content = base64.b64encode(buffer.getvalue()).decode()
    with pytest.raises(SubmissionError):
        unpack(json.dumps({"array": content}))
