"""The examiner, which runs the tests of one submission outside the student's process.

A test sees the names that earlier tests and the lecturer's own cells have defined here. Every other
name is requested from the student's notebook, as plain data, when the test uses it.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.displayhook import DisplayHook

from course_utils.data import Dataset
from course_utils.errors import SubmissionError
from course_utils.grading.grade.values import Grade
from course_utils.grading.inside.networks import Predictors
from course_utils.grading.sandbox.layout import HANDED_IN, link_cache
from course_utils.grading.sandbox.limits import MAX_PRINTED
from course_utils.submission import predictions
from course_utils.submission import trained as trained_networks
from course_utils.submission.codec import foreign_kinds, pack, unpack
from course_utils.submission.messages import (
    Answer,
    Order,
    PredictorOrder,
    Question,
    Reply,
    TestOutcome,
)

semicolon_at_end_of_expression = DisplayHook.semicolon_at_end_of_expression

# Exceptions of a student's function that a test meets as what they are. None of them ends an
# iteration, which would silently end a loop in the test.
ERRORS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (
        ArithmeticError, AssertionError, AttributeError, FileNotFoundError, ImportError, IndexError,
        KeyError, LookupError, MemoryError, NameError, NotImplementedError, OSError, OverflowError,
        RecursionError, RuntimeError, SyntaxError, TypeError, UnboundLocalError, ValueError,
        ZeroDivisionError,
    )
}  # fmt: skip


class Names(dict):
    """Global names of a test: those defined here, and then those of the student's notebook."""

    def __init__(self, ask: Callable[[Question], Any]) -> None:
        super().__init__(__name__="__main__")
        self._ask = ask

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return self._ask(Question(name=name))


@dataclass(frozen=True)
class _Ran:
    """What a cell printed, its last expression's value, that value as text, and its error."""

    printed: str
    complained: str
    value: Any
    shown: str
    error: Exception | None


class Examiner:
    """Runs the tests of one submission.

    Parameters
    ----------
    connection : Connection
        Connection to the grader, which passes questions to the student's notebook.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.predictors = Predictors(self._order)
        self._names = Names(self._ask)
        self._given: set[str] = set()
        self._asked: dict[str, Any] = {}
        self._is_ordinary = False
        self._foreign: set[str] = set()

    def serve(self) -> None:
        """Carry out the grader's orders until it closes the connection."""
        commands: dict[str, Callable[[Any], Reply]] = {
            "prepare": self._prepare,
            "predict": self._predict,
            "examine": self._examine,
            "forget": self._forget,
        }
        with contextlib.suppress(EOFError):
            while True:
                order = Order.from_bytes(self._connection.recv_bytes())
                self._is_ordinary = order.ordinary
                self._send(commands[order.command](order.content))

    def _prepare(self, cells: list[str]) -> Reply:
        """Run the lecturer's own cells; reply with the first problem, if any."""
        for source in cells:
            if error := self._run(source).error:
                return Reply(problem=f"{type(error).__name__}: {error}")
        self._given = set(self._names)
        return Reply()

    def _predict(self, content: list[str]) -> Reply:
        """Let a network predict on the lecturer's test images, and save the predictions.

        The tests use them later, and so does the notebook, which then need not predict.
        """
        folder, question = content
        # If a network is faulty, the test that uses it reports the problem.
        with contextlib.suppress(Exception):
            trained = trained_networks.load_trained(question)
            for data in self._names.values():
                if isinstance(data, Dataset) and trained.takes(data):
                    trained.evaluate(data)
        predictions.save_predictions(Path(folder))
        return Reply()

    def _examine(self, source: str) -> Reply:
        """Run a test; reply with its output, and with its grade or its error."""
        self._asked.clear()
        self._foreign.clear()
        ran = self._run(source)
        grade = said = None
        if ran.error is not None:
            said = type(ran.error).__name__, str(ran.error)[:1000]
        elif isinstance(ran.value, Grade):
            # The message may quote an answer of any length.
            grade = replace(ran.value, message=ran.value.message[:MAX_PRINTED])._repr_mimebundle_()
        return Reply(
            outcome=TestOutcome(
                printed=ran.printed[:MAX_PRINTED],
                complained=ran.complained[:MAX_PRINTED] if self._is_ordinary else "",
                grade=grade,
                value=ran.shown[:MAX_PRINTED] if self._is_ordinary and ran.shown else None,
                error=said,
                foreign=tuple(sorted(self._foreign)) if said else (),
            )
        )

    def _forget(self, names: list[str]) -> Reply:
        """Forget these names, because a cell of the student's notebook has redefined them.

        Names of the lecturer's own cells keep their values.
        """
        for name in set(names) - self._given:
            self._names.pop(name, None)
        return Reply()

    def _run(self, source: str) -> _Ran:
        """Run a cell."""
        printed, complained, value, error = io.StringIO(), io.StringIO(), None, None
        shown = ""
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complained):
            try:
                tree = ast.parse(source)
                last = tree.body[-1] if tree.body else None
                if isinstance(last, ast.Expr):
                    tree.body.pop()
                exec(compile(tree, "<test>", "exec"), self._names)
                if isinstance(last, ast.Expr):
                    expression = compile(ast.Expression(last.value), "<test>", "eval")
                    value = eval(expression, self._names)
                    # A semicolon hides the value, as it does in a notebook.
                    if value is not None and not semicolon_at_end_of_expression(source):
                        shown = repr(value)
            except Exception as raised:
                error = raised
        return _Ran(printed.getvalue(), complained.getvalue(), value, shown, error)

    def _ask(self, question: Question) -> Any:
        """Request a value from the student's notebook, once for each name in a test."""
        name = question.name
        if name not in self._asked:
            answer = self._answer_to(question)
            if answer.value is None:
                raise NameError(f"name {name!r} is not defined")
            self._asked[name] = self._unpacked(answer.value, name)
        return self._asked[name]

    def _answer_to(self, question: Question) -> Answer:
        self._send(Reply(question=question))
        answer = Answer.from_bytes(self._connection.recv_bytes())
        if answer.ended is not None:
            raise SubmissionError(answer.ended)
        return answer

    def _unpacked(self, text: str, name: str) -> Any:
        value = unpack(
            text,
            model=lambda structure: self.predictors.build(structure, name),
            function=lambda _: RemoteFunction(name, self._call),
        )
        if self._is_ordinary:
            self._foreign |= foreign_kinds(value)
        return value

    def _call(self, name: str, arguments: str, without: tuple[str, ...]) -> tuple[Any, list]:
        answer = self._answer_to(Question(name=name, arguments=arguments, without=without))
        if answer.error is not None:
            kind, message = answer.error
            raise _error_type(kind)(message)
        if answer.value is None or answer.arguments is None:
            raise NameError(f"name {name!r} is not defined")
        changed = unpack(answer.arguments)
        if not self._is_ordinary:
            changed = [each if isinstance(each, np.ndarray) else None for each in changed]
        return self._unpacked(answer.value, name), changed

    def _order(self, order: PredictorOrder) -> Connection | None:
        """Have the grader start a predictor, and return the connection to it; or forget one."""
        self._send(Reply(predictor=order))
        self._connection.recv_bytes()
        if order.command == "forget":
            return None
        return Connection(recv_handle(self._connection))

    def _send(self, reply: Reply) -> None:
        self._connection.send_bytes(reply.to_bytes())


class RemoteFunction:
    """A function of the student's notebook, which runs there and exchanges plain data only."""

    def __init__(
        self, name: str, call: Callable[..., tuple[Any, list]], without: tuple[str, ...] = ()
    ) -> None:
        self.__name__ = name
        self._call, self._without = call, without

    def __call__(self, *positional: Any, **named: Any) -> Any:
        value, changed = self._call(self.__name__, pack((positional, named)), self._without)
        for given, after in zip(positional, changed):
            _change(given, after)
        return value

    def without(self, *forbidden: str) -> RemoteFunction:
        """Return the same function, which fails if it calls one of these (dotted names)."""
        return RemoteFunction(self.__name__, self._call, forbidden)


def run(to_grader: int, folder: str, cache: str) -> None:
    """Run the examiner of one submission, inside a sandbox.

    It links its own cache to the grader's; without a path, it writes to the grader's.
    """
    if cache:
        link_cache(Path(cache), Path(folder))
    os.chdir(Path(folder) / HANDED_IN)
    examiner = Examiner(Connection(to_grader))
    trained_networks.open_network.set(examiner.predictors.open)
    examiner.serve()


def _error_type(name: str) -> type[Exception]:
    """Return one of Python's usual exceptions, or one that only has this name."""
    return ERRORS.get(name) or type(name if name.isidentifier() else "Error", (Exception,), {})


def _change(given: Any, after: Any) -> None:
    """Give an argument the content that the function has given its copy of it."""
    if isinstance(given, np.ndarray) and isinstance(after, np.ndarray):
        if given.shape == after.shape and given.flags.writeable:
            np.copyto(given, after, casting="unsafe")
    elif isinstance(given, list) and isinstance(after, list):
        given[:] = after
    elif isinstance(given, dict | set) and type(after) is type(given):
        given.clear()
        given.update(after)
