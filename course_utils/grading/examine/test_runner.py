"""Running tests in sandboxes: the examiner's, and one for each network."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

import psutil
from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_utils import env
from course_utils.grading.examine.endings import check_ending
from course_utils.grading.examine.kernel import data_folders
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import NoSandbox, Sandbox, open_sandbox
from course_utils.grading.sandbox.layout import WORK, private_cache
from course_utils.grading.sandbox.limits import (
    PREDICTOR_LIMITS,
    UNCLOCKED_SECONDS,
    WATCH_SECONDS,
)
from course_utils.grading.sandbox.watch import Clock, Usage
from course_utils.runtime import cache_dir
from course_utils.submission.contract import LECTURER
from course_utils.submission.messages import Answer, Order, PredictorOrder, Question, Reply

ENDED = "The notebook's kernel ended before this test."
# Told to the lecturer, because such a test may have failed for no other reason.
FOREIGN = "an answer is of a type that the test cannot get from the notebook: {}"
EXAMINER_ENDED = "the program that runs the tests has ended."


@dataclass(frozen=True)
class _Program:
    """A program in its sandbox."""

    name: str
    sandbox: Sandbox | NoSandbox
    pid: int

    def has_ended(self) -> bool:
        ended = fork_server.shared().exit_code(self.pid, 0) is not None
        return ended or not psutil.pid_exists(self.pid)

    def why_it_ended(self) -> str:
        return check_ending(self.name, self.sandbox, self.pid)


class TestRunner:
    """Runs the tests of one submission in the examiner, and starts the predictors that it needs.

    All of them live until `close`.

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

    Attributes
    ----------
    readable : list of Path
        The folders with data that the programs of the submission see.
    """

    def __init__(
        self,
        handed_in: Path,
        environment: dict[str, str],
        with_my_rights: bool = False,
        fills_cache: bool = False,
    ) -> None:
        self._handed_in, self._environment = handed_in, environment
        self._with_my_rights = with_my_rights
        self._sandboxes = contextlib.ExitStack()
        self._predictors: dict[str, _Program] = {}
        self._endings: list[str] = []
        self._stopped: dict[int, str] = {}
        cache = cache_dir()
        cache.mkdir(parents=True, exist_ok=True)
        self.readable = data_folders()
        sandbox = self._open(readable=self.readable, writable=[cache] if fills_cache else [])
        own_cache = cache if fills_cache else private_cache(sandbox.folder)
        self._examiner, self._connection = self._start(
            "the program that runs the tests",
            "course_utils.grading.inside.examiner:run",
            sandbox,
            {env.GRADING.name: "autograde", env.CACHE.name: str(own_cache)},
            "" if fills_cache else str(cache),
        )

    def prepare(self, cells: list[str], seconds: float) -> str:
        """Run the lecturer's own cells; return the first problem, or an empty text."""
        reply = self._order(Order(command="prepare", content=cells), _nobody, seconds)
        return reply.problem if reply else EXAMINER_ENDED

    def predict(self, question: str, folder: Path, seconds: float) -> None:
        """Let a submitted network predict in advance, and save the predictions in `folder`."""
        inside = self._examiner.sandbox.folder / WORK
        order = Order(command="predict", content=[str(inside), question])
        self._order(order, _nobody, seconds)
        for path in self._examiner.sandbox.outside(inside).glob("*.npy"):
            shutil.copyfile(path, folder / path.name)

    def examine(
        self, source: str, ordinary: bool, ask: Callable[[Question], Answer], seconds: float
    ) -> list[NotebookNode]:
        """Run a test and return its cell's outputs.

        Parameters
        ----------
        source : str
            The test's code.
        ordinary : bool
            Whether it earns points by nbgrader's rule, and not by a `Grade`.
        ask : callable
            Passes a question to the student's notebook and returns the answer.
        seconds : float
            Longest time without a message from the examiner.
        """
        order = Order(command="examine", content=source, ordinary=ordinary)
        reply = self._order(order, ask, seconds)
        outcome = reply.outcome if reply else None
        if outcome is None:
            return [test_stopped()]
        outputs = [
            new_output("stream", name=name, text=text)
            for name, text in (("stdout", outcome.printed), ("stderr", outcome.complained))
            if text
        ]
        value = {"text/plain": outcome.value} if outcome.value is not None else None
        if data := outcome.grade or value:
            outputs.append(new_output("execute_result", data=data, execution_count=1))
        if outcome.error is not None:
            outputs.append(_error(*outcome.error))
        if outcome.foreign:
            text = FOREIGN.format(", ".join(outcome.foreign)[:200])
            outputs.append(
                new_output("display_data", data={"text/plain": text}, metadata={LECTURER: True})
            )
        return outputs

    def forget(self, names: list[str]) -> None:
        """Tell the examiner that the student's notebook has redefined these names."""
        self._order(Order(command="forget", content=names), _nobody, 10)

    def endings(self) -> list[str]:
        """Return which programs have ended, and why: a clause for each.

        Raises
        ------
        InterruptedExaminationError
            If one was ended from outside.
        """
        for program in [self._examiner, *self._predictors.values()]:
            if program.has_ended():
                self._note_ending(program, program.name)
        self._predictors.clear()
        return list(dict.fromkeys(self._endings))

    def close(self) -> None:
        """End all programs."""
        self._connection.close()
        self._sandboxes.close()

    def _open(self, **settings: Any) -> Sandbox | NoSandbox:
        return self._sandboxes.enter_context(
            contextlib.closing(
                open_sandbox(self._with_my_rights, handed_in=self._handed_in, **settings)
            )
        )

    def _start(
        self,
        name: str,
        program: str,
        sandbox: Sandbox | NoSandbox,
        environment: dict[str, str],
        *arguments: str,
    ) -> tuple[_Program, Connection]:
        """Start a program in its sandbox; return it and the connection to it."""
        near, far = socket.socketpair()
        with far:
            pid = fork_server.shared().start(
                program,
                sandbox.ticket(),
                environment | self._environment,
                [str(sandbox.folder), *arguments],
                [far.fileno()],
            )
        return _Program(name, sandbox, pid), Connection(near.detach())

    def _carry_out(self, order: PredictorOrder) -> None:
        """Start a predictor, or note why one has ended."""
        if order.command == "forget":
            if predictor := self._predictors.pop(order.name, None):
                self._note_ending(predictor, f"the program that loads {order.network}")
                predictor.sandbox.close()
            self._connection.send_bytes(b"")
            return
        predictor, connection = self._start(
            f"the program that loads {order.name}",
            "course_utils.grading.inside.predictor:serve",
            self._open(limits=PREDICTOR_LIMITS),
            {},
        )
        self._predictors[order.name] = predictor
        with connection:
            self._connection.send_bytes(b"")
            send_handle(self._connection, connection.fileno(), self._examiner.pid)

    def _note_ending(self, program: _Program, name: str) -> None:
        how = self._stopped.pop(program.pid, "") or f"has ended: {program.why_it_ended()}"
        self._endings.append(f"{name} {how}")

    def _order(
        self, order: Order, ask: Callable[[Question], Answer], seconds: float
    ) -> Reply | None:
        """Send an order, do what the examiner asks for, and return the reply.

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
            while self._hears_in_time(seconds):
                reply = Reply.from_bytes(self._connection.recv_bytes())
                if reply.question is not None:
                    self._connection.send_bytes(ask(reply.question).to_bytes())
                elif reply.predictor is not None:
                    self._carry_out(reply.predictor)
                else:
                    return reply
            self._endings.append(
                f"{self._examiner.name} was stopped: it took more than {seconds:.0f} seconds, so "
                "no test after that was run"
            )
        except (EOFError, OSError):
            self._examiner.why_it_ended()
        except ValueError:
            pass
        # A late reply must not be taken for the reply to the next order.
        self._connection.close()
        return None

    def _hears_in_time(self, seconds: float) -> bool:
        """Wait for a message of the examiner; tell whether there is one.

        The time is the own time of examiner and predictors (see `Clock`). A predictor that takes it
        up is ended, and the examiner, which waits for it, goes on.
        """
        while not self._connection.poll(UNCLOCKED_SECONDS):
            before = {name: each.sandbox.usage() for name, each in self._predictors.items()}
            clock = Clock(self.usage)
            while (left := clock.left(seconds)) > 0:
                if self._connection.poll(max(left, WATCH_SECONDS)):
                    return True
            for name, then in before.items():
                predictor = self._predictors[name]
                if predictor.sandbox.usage().computed - then.computed > seconds / 2:
                    self._stopped[predictor.pid] = (
                        f"was stopped: it took more than {seconds:.0f} seconds"
                    )
                    predictor.sandbox.close()
                    break
            else:
                return False
        return True

    def usage(self) -> Usage:
        """Return what examiner and predictors have had of the processor."""
        programs = [self._examiner, *self._predictors.values()]
        computed, waited = zip(*(program.sandbox.usage() for program in programs))
        return Usage(sum(computed), sum(waited))


def test_stopped() -> NotebookNode:
    """Return the output of a test that did not come to its end."""
    return _error("TestStopped", "The test was stopped before it had finished.")


def _nobody(question: Question) -> Answer:
    return Answer(ended=ENDED)


def _error(name: str, message: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
