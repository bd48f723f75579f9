"""Carrying out tests: in two sandboxes, one that predicts and one that judges."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_utils.grading.examine.kernel import data_folders
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import open_sandbox
from course_utils.grading.sandbox.layout import WORK
from course_utils.grading.sandbox.limits import PREDICTOR_LIMITS
from course_utils.runtime import cache_dir
from course_utils.submission.contract import GRADING

ENDED = "The notebook's program ended before this test."


class TestRunner:
    """The tests of one submission; their programs run until `close`.

    Parameters
    ----------
    handed_in : Path
        Its files.
    environment : dict of str
        Added to what its programs get.
    """

    def __init__(self, handed_in: Path, environment: dict[str, str]) -> None:
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
            {GRADING: "autograde", "COURSE_CACHE": str(cache)} | environment,
            [str(examiner.folder)],
            [far.fileno(), for_examiner.fileno()],
        )
        for end in (far, for_examiner, for_predictor):
            end.close()
        self._connection = Connection(near.detach())

    def prepare(self, cells: list[str], seconds: float) -> str:
        """Run the lecturer's own cells; return what went wrong, if anything did."""
        return self._order({"prepare": cells}, _nobody, seconds) or ""

    def predict(self, folder: Path, seconds: float) -> bool:
        """Have the handed-in networks predict ahead; what they made of it lies in `folder` then.

        Return whether they came to an end in time; if not, nothing can be examined any more.
        """
        inside = self._examiner.folder / WORK
        self._order({"predict": str(inside)}, _nobody, seconds)
        for path in self._examiner.outside(inside).glob("*.npy"):
            shutil.copyfile(path, folder / path.name)
        return not self._connection.closed

    def examine(
        self, source: str, ask: Callable[[dict[str, Any]], dict[str, Any]], seconds: float
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
        outcome = self._order({"examine": source}, ask, seconds)
        if not isinstance(outcome, dict):
            return [_error("TestStopped", "The test did not come to its end.")]
        outputs = []
        if outcome["printed"]:
            outputs.append(new_output("stream", name="stdout", text=outcome["printed"]))
        if "grade" in outcome:
            outputs.append(new_output("execute_result", data=outcome["grade"], execution_count=1))
        if "error" in outcome:
            outputs.append(_error(*outcome["error"]))
        return outputs

    def forget(self, names: list[str]) -> None:
        """Say that the student's notebook has given names a new meaning."""
        self._order({"forget": names}, _nobody, seconds=10)

    def close(self) -> None:
        """End everything."""
        self._connection.close()
        self._sandboxes.close()

    def _open(self, **settings: Any) -> Any:
        return self._sandboxes.enter_context(contextlib.closing(open_sandbox(**settings)))

    def _order(
        self,
        order: dict[str, Any],
        ask: Callable[[dict[str, Any]], dict[str, Any]],
        seconds: float,
    ) -> Any:
        """Give an order, answer what is asked back, and return what came of it; else None."""
        try:
            self._send(order)
            while self._connection.poll(seconds):
                message = json.loads(self._connection.recv_bytes())
                if "done" in message:
                    return message["done"]
                self._send(ask(message["ask"]))
        except (EOFError, OSError):
            pass
        # Whatever it still says belongs to an order that was given up.
        self._connection.close()
        return None

    def _send(self, message: dict[str, Any]) -> None:
        self._connection.send_bytes(json.dumps(message).encode())


def _nobody(request: dict[str, Any]) -> dict[str, Any]:
    return {"ended": ENDED}


def _error(name: str, message: str) -> NotebookNode:
    return new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"])
