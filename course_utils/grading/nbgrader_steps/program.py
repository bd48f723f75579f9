"""A program in a sandbox that answers the grader's messages about one submission."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Connection

from course_utils.grading.examine.endings import check_ending
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import NoSandbox, Sandbox, open_sandbox
from course_utils.grading.sandbox.limits import Limits

PRELOAD = "course_utils.grading.inside.renderer:import_everything"


def get_ready() -> None:
    """Begin to import what these programs need, while the grader does something else."""
    fork_server.shared(PRELOAD)


class Program:
    """A program in its own sandbox.

    Parameters
    ----------
    function : str
        ``"module:function"``; it is called with the connection's descriptor.
    limits : Limits
    wait_seconds : float
        Time after which it is ended: nothing else would end a program that takes no processor
        time.
    with_my_rights : bool
        Whether it has the lecturer's rights, without a sandbox.
    """

    def __init__(
        self, function: str, limits: Limits, wait_seconds: float, with_my_rights: bool
    ) -> None:
        server = fork_server.shared(PRELOAD)
        self._name = function.partition(":")[0].rpartition(".")[2]
        self._sandbox: Sandbox | NoSandbox = open_sandbox(with_my_rights, limits=limits)
        self._why = ""
        near, far = socket.socketpair()
        with far:
            self._connection = Connection(near.detach())
            self._pid = server.start(function, self._sandbox.ticket(), {}, [], [far.fileno()])
        why = f"it took more than {wait_seconds} seconds"
        self._timer = threading.Timer(wait_seconds, self._end, [why])
        self._timer.daemon = True
        self._timer.start()

    def ask(self, *messages: bytes, most_bytes: int) -> bytes | None:
        """Send messages; return the answer, or None if the program has ended or had to be ended.

        Parameters
        ----------
        *messages : bytes
        most_bytes : int
            The longest answer that is taken.
        """
        try:
            for message in messages:
                self._connection.send_bytes(message)
            return self._connection.recv_bytes(most_bytes)
        except EOFError:
            return None
        except OSError as error:
            if error.errno is None:  # not the system's: the answer is longer than is taken
                self._end("its answer was too long")
            return None

    def _end(self, why: str) -> None:
        self._why = why
        self._sandbox.close()

    def why_ended(self) -> str:
        """Return why there was no answer, as a clause.

        Raises
        ------
        InterruptedExaminationError
            If the program was ended from outside, which says nothing about the submission.
        """
        if self._why:
            return self._why
        return check_ending(f"the {self._name}", self._sandbox, self._pid, PRELOAD)

    def close(self) -> None:
        """End the program."""
        self._timer.cancel()
        self._connection.close()
        self._sandbox.close()
