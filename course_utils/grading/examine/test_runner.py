"""Carrying out tests: in two sandboxes, one that predicts and one that judges."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_utils import env
from course_utils.grading.examine.kernel import data_folders
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import open_sandbox
from course_utils.grading.sandbox.layout import WORK
from course_utils.grading.sandbox.limits import PREDICTOR_LIMITS
from course_utils.runtime import cache_dir
from course_utils.submission.messages import Answer, Order, Question, Reply

ENDED = "The notebook's program ended before this test."
EXAMINER_ENDED = "the program that carries out the tests has ended."


class TestRunner:
    """The tests of one submission; their programs run until `close`.

    Parameters
    ----------
    handed_in : Path
        Its files.
    environment : dict of str
        Added to the environment of its programs.
    with_my_rights : bool
        Whether these run with the lecturer's rights, without a sandbox.
    """

    def __init__(
        self, handed_in: Path, environment: dict[str, str], with_my_rights: bool = False
    ) -> None:
        self._with_my_rights = with_my_rights
        self._sandboxes = contextlib.ExitStack()
        cache = cache_dir()
        cache.mkdir(parents=True, exist_ok=True)
        predictor = self._open(handed_in=handed_in, limits=PREDICTOR_LIMITS)
        self._examiner = examiner = self._open(
            readable=data_folders(), handed_in=handed_in, writable=[cache]
        )
        near, far = socket.socketpair()
        for_examiner, for_predictor = socket.socketpair()
        fork_server.shared().start(
            "course_utils.grading.inside.predictor:serve",
            predictor.ticket(),
            environment,
            [str(predictor.folder)],
            [for_predictor.fileno()],
        )
        fork_server.shared().start(
            "course_utils.grading.inside.examiner:run",
            examiner.ticket(),
            {env.GRADING.name: "autograde", env.CACHE.name: str(cache)} | environment,
            [str(examiner.folder)],
            [far.fileno(), for_examiner.fileno()],
        )
        for end in (far, for_examiner, for_predictor):
            end.close()
        self._connection = Connection(near.detach())

    def prepare(self, cells: list[str], seconds: float) -> str:
        """Run the lecturer's own cells; return what went wrong, if anything did."""
        reply = self._order(Order(command="prepare", content=cells), _nobody, seconds)
        return reply.problem if reply else EXAMINER_ENDED

    def predict(self, folder: Path, seconds: float) -> bool:
        """Have the handed-in networks predict ahead; what they made of it lies in `folder` then.

        Return whether they came to an end in time; if not, nothing can be examined any more.
        """
        inside = self._examiner.folder / WORK
        self._order(Order(command="predict", content=str(inside)), _nobody, seconds)
        for path in self._examiner.outside(inside).glob("*.npy"):
            shutil.copyfile(path, folder / path.name)
        return not self._connection.closed

    def examine(
        self, source: str, ask: Callable[[Question], Answer], seconds: float
    ) -> list[NotebookNode]:
        """Carry out a test and return its cell's outputs.

        Parameters
        ----------
        source : str
        ask : callable
            Passes a request on to the student's notebook and returns the answer.
        seconds : float
            It may take.
        """
        reply = self._order(Order(command="examine", content=source), ask, seconds)
        outcome = reply.outcome if reply else None
        if outcome is None:
            return [_error("TestStopped", "The test did not come to its end.")]
        outputs = []
        if outcome.printed:
            outputs.append(new_output("stream", name="stdout", text=outcome.printed))
        if outcome.grade is not None:
            outputs.append(new_output("execute_result", data=outcome.grade, execution_count=1))
        if outcome.error is not None:
            outputs.append(_error(*outcome.error))
        return outputs

    def forget(self, names: list[str]) -> None:
        """Say that the student's notebook has given names a new meaning."""
        self._order(Order(command="forget", content=names), _nobody, seconds=10)

    def close(self) -> None:
        """End everything."""
        self._connection.close()
        self._sandboxes.close()

    def _open(self, **settings: Any) -> Any:
        return self._sandboxes.enter_context(
            contextlib.closing(open_sandbox(self._with_my_rights, **settings))
        )

    def _order(
        self, order: Order, ask: Callable[[Question], Answer], seconds: float
    ) -> Reply | None:
        """Give an order, answer the questions that come back, and return the reply, or None."""
        try:
            self._connection.send_bytes(order.to_bytes())
            while self._connection.poll(seconds):
                reply = Reply.from_bytes(self._connection.recv_bytes())
                if reply.question is None:
                    return reply
                self._connection.send_bytes(ask(reply.question).to_bytes())
        except (EOFError, OSError, ValueError):
            pass
        # Anything that still arrives belongs to an order that was given up.
        self._connection.close()
        return None


def _nobody(question: Question) -> Answer:
    return Answer(ended=ENDED)


def _error(name: str, message: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
