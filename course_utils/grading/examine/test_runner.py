"""Running tests in two sandboxes: the predictor's and the examiner's."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_utils import env
from course_utils.grading.examine.endings import check_ending
from course_utils.grading.examine.kernel import data_folders
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import open_sandbox
from course_utils.grading.sandbox.layout import WORK, private_cache
from course_utils.grading.sandbox.limits import PREDICTOR_LIMITS
from course_utils.runtime import cache_dir
from course_utils.submission.messages import Answer, Order, Question, Reply

ENDED = "The notebook's kernel ended before this test."
EXAMINER_ENDED = "the program that runs the tests has ended."


class TestRunner:
    """Runs the tests of one submission, in two programs that live until `close`.

    Parameters
    ----------
    handed_in : Path
        Folder of the submission's files.
    environment : dict of str
        Variables that are added to the programs' environment.
    with_my_rights : bool
        Whether the programs run with the lecturer's rights, without a sandbox.
    fills_cache : bool
        Whether the tests may write to the grader's cache: only if nothing was handed in.
    """

    def __init__(
        self,
        handed_in: Path,
        environment: dict[str, str],
        with_my_rights: bool = False,
        fills_cache: bool = False,
    ) -> None:
        self._with_my_rights = with_my_rights
        self._sandboxes = contextlib.ExitStack()
        cache = cache_dir()
        cache.mkdir(parents=True, exist_ok=True)
        predictor = self._open(handed_in=handed_in, limits=PREDICTOR_LIMITS)
        self._examiner = examiner = self._open(
            readable=data_folders(), handed_in=handed_in, writable=[cache] if fills_cache else []
        )
        own_cache = cache if fills_cache else private_cache(examiner.folder)
        near, far = socket.socketpair()
        for_examiner, for_predictor = socket.socketpair()
        predictor_pid = fork_server.shared().start(
            "course_utils.grading.inside.predictor:serve",
            predictor.ticket(),
            environment,
            [str(predictor.folder)],
            [for_predictor.fileno()],
        )
        examiner_pid = fork_server.shared().start(
            "course_utils.grading.inside.examiner:run",
            examiner.ticket(),
            {env.GRADING.name: "autograde", env.CACHE.name: str(own_cache)} | environment,
            [str(examiner.folder), "" if fills_cache else str(cache)],
            [far.fileno(), for_examiner.fileno()],
        )
        for end in (far, for_examiner, for_predictor):
            end.close()
        self._connection = Connection(near.detach())
        self._programs = [
            ("the program that loads the networks", predictor, predictor_pid),
            ("the program that runs the tests", examiner, examiner_pid),
        ]

    def prepare(self, cells: list[str], seconds: float) -> str:
        """Run the lecturer's own cells; return the first problem, or an empty text."""
        reply = self._order(Order(command="prepare", content=cells), _nobody, seconds)
        return reply.problem if reply else EXAMINER_ENDED

    def predict(self, folder: Path, seconds: float) -> bool:
        """Let the submitted networks predict in advance, and save the predictions in `folder`.

        Returns
        -------
        bool
            Whether they finished in time. If not, this runner can run no more tests.
        """
        inside = self._examiner.folder / WORK
        self._order(Order(command="predict", content=str(inside)), _nobody, seconds)
        for path in self._examiner.outside(inside).glob("*.npy"):
            shutil.copyfile(path, folder / path.name)
        return not self._connection.closed

    def examine(
        self, source: str, ask: Callable[[Question], Answer], seconds: float
    ) -> list[NotebookNode]:
        """Run a test and return its cell's outputs.

        Parameters
        ----------
        source : str
            The test's code.
        ask : callable
            Passes a question to the student's notebook and returns the answer.
        seconds : float
            Longest time without a message from the examiner.
        """
        reply = self._order(Order(command="examine", content=source), ask, seconds)
        outcome = reply.outcome if reply else None
        if outcome is None:
            return [_error("TestStopped", "The test was stopped before it had finished.")]
        outputs = []
        if outcome.printed:
            outputs.append(new_output("stream", name="stdout", text=outcome.printed))
        if outcome.grade is not None:
            outputs.append(new_output("execute_result", data=outcome.grade, execution_count=1))
        if outcome.error is not None:
            outputs.append(_error(*outcome.error))
        return outputs

    def forget(self, names: list[str]) -> None:
        """Tell the examiner that the student's notebook has redefined these names."""
        self._order(Order(command="forget", content=names), _nobody, seconds=10)

    def endings(self) -> list[str]:
        """Return which of the two programs have ended, and why: a clause for each.

        Raises
        ------
        InterruptedExaminationError
            If one was ended from outside.
        """
        return [
            f"{name} has ended: {check_ending(name, sandbox, pid)}"
            for name, sandbox, pid in self._programs
            if not psutil.pid_exists(pid) or fork_server.shared().exit_code(pid, 0) is not None
        ]

    def close(self) -> None:
        """End both programs."""
        self._connection.close()
        self._sandboxes.close()

    def _open(self, **settings: Any) -> Any:
        return self._sandboxes.enter_context(
            contextlib.closing(open_sandbox(self._with_my_rights, **settings))
        )

    def _order(
        self, order: Order, ask: Callable[[Question], Answer], seconds: float
    ) -> Reply | None:
        """Send an order, answer the questions that come back, and return the reply.

        Return None if no reply came in time, or the examiner has ended by itself.

        Raises
        ------
        InterruptedExaminationError
            If the examiner was ended from outside.
        """
        if self._connection.closed:
            return None
        try:
            self._connection.send_bytes(order.to_bytes())
            while self._connection.poll(seconds):
                reply = Reply.from_bytes(self._connection.recv_bytes())
                if reply.question is None:
                    return reply
                self._connection.send_bytes(ask(reply.question).to_bytes())
        except (EOFError, OSError):
            check_ending(*self._programs[-1])
        except ValueError:
            pass
        # A late reply must not be taken for the reply to the next order.
        self._connection.close()
        return None


def _nobody(question: Question) -> Answer:
    return Answer(ended=ENDED)


def _error(name: str, message: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
