"""A fork server: a process that has imported everything slow, and forks for each program.

A process that has imported TensorFlow, but has not computed anything yet, can be forked, and the
child can compute. `ForkServer` is the client; this file, run as a program, is the server.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import itertools
import logging
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.sandbox.enter import confine, enter
from course_utils.paths import CHECKOUT
from course_utils.runtime import keras_home, start_folder
from course_utils.submission.messages import Ended, Started, Task, Ticket

# Imports everything that the programs of an examination need; called once, before the first fork.
PRELOAD = "course_utils.grading.inside.preload:import_everything"
MESSAGE_BYTES = 2**16
MAX_DESCRIPTORS = 4
# Seconds until the server must have imported everything. A slow machine takes minutes, and no time
# limit of a submission has begun.
START_SECONDS = 1_800
# Seconds in which a server that is ready must have started a program.
ANSWER_SECONDS = 120
# Environment variables of the grader that a program receives. Beside them it sees only those of
# `FIXED`, the folders of `handed_on`, and what its caller adds.
ENVIRONMENT = (env.THREADS.name, env.BACKEND.name, env.GPUS.name)

# Values that are the same for everybody: nothing here tells who grades, or where.
FIXED = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/"}

# The import must not start a thread, because a fork would lose it.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
         "TF_NUM_INTRAOP_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1",
         "TF_NUM_INTEROP_THREADS": "1", "MPLBACKEND": "agg", env.OFFLINE.name: "1",
         "PYDEVD_DISABLE_FILE_VALIDATION": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true",
         "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
         # A submission that locks shared weights would keep others from reading them.
         "HDF5_USE_FILE_LOCKING": "FALSE"}  # fmt: skip

FROM_SERVER: TypeAdapter[Started | Ended] = TypeAdapter(Started | Ended)

# Every program that is started, with its process id; nothing else is logged here.
log = logging.getLogger(__name__)

_starting = threading.Lock()
_servers: dict[str, ForkServer] = {}


class ForkServer:
    """Starts programs in sandboxes, as forks of one process that has imported everything.

    Parameters
    ----------
    preload : str
        ``"module:function"``, which imports what the programs need.
    """

    def __init__(self, preload: str = PRELOAD) -> None:
        # Linux refuses to pass open files on while this user has more of them on their way than
        # this process may open, and a submission can have many thousands on their way.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._exit_codes: dict[int, int] = {}
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(far.fileno()), preload],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            # Programs can read it in /proc, even after they have got another one. Sandboxes show
            # this copy of the library, so the fork server must import it, too.
            env=handed_on() | {"PYTHONPATH": str(CHECKOUT)},
        )
        far.close()
        self._near.settimeout(ANSWER_SECONDS)
        self._is_ready = self._is_late = False

    def wait(self) -> None:
        """Wait until everything is imported; `start` does so by itself.

        Raises
        ------
        SandboxError
            If the server ends before, or is not ready after `START_SECONDS`; after that, nobody
            waits for it again.
        """
        with self._lock:
            if self._is_ready:
                return
            seconds = 0 if self._is_late else START_SECONDS
            if not select.select([self._near], [], [], seconds)[0]:
                self._is_late = True
                raise SandboxError(
                    "The process that starts submissions was not ready within "
                    f"{START_SECONDS / 60:.0f} minutes: this machine is too busy or too slow. "
                    "Close other programs, then grade again."
                )
            with contextlib.suppress(ConnectionError):
                self._is_ready = self._near.recv(MESSAGE_BYTES) == b"ready"
            if not self._is_ready:
                raise SandboxError(
                    "The process that starts submissions has ended; see the lines above."
                )

    def start(
        self,
        program: str,
        ticket: Ticket,
        environment: Mapping[str, str],
        arguments: Sequence[Any] = (),
        descriptors: Sequence[int] = (),
    ) -> int:
        """Start a program in a sandbox and return its process id.

        Parameters
        ----------
        program : str
            ``"module:function"``; called with the descriptors, then with the arguments.
        ticket : Ticket
            From `Sandbox.ticket`.
        environment : dict of str
        arguments : sequence
            JSON values.
        descriptors : sequence of int
            Open files that the program receives.
        """
        self.wait()
        with self._lock:
            task = Task(
                number=next(self._numbers),
                program=program,
                ticket=ticket,
                environment=handed_on() | dict(environment),
                arguments=list(arguments),
            )
            try:
                socket.send_fds(self._near, [task.to_bytes()], list(descriptors))
                started = self._answer(task.number)
            except OSError as error:
                why = "cannot be asked" if error.errno == errno.ETOOMANYREFS else "has ended"
                why = "does not answer" if isinstance(error, TimeoutError) else why
                raise SandboxError(f"The process that starts programs {why}: {error}") from error
            # An earlier program may have had the same id.
            self._exit_codes.pop(started.pid, None)
        if started.error:
            raise SandboxError(f"A program could not be started in its sandbox: {started.error}")
        log.debug("%s: %d", program, started.pid)
        return started.pid

    @property
    def has_ended(self) -> bool:
        """Whether the server has ended, so that it can start no more programs."""
        return self._process.poll() is not None

    def exit_code(self, pid: int, seconds: float) -> int | None:
        """Return how a program ended; None if that is not known after a while.

        Parameters
        ----------
        pid : int
            From `start`.
        seconds : float
            How long to wait.

        Returns
        -------
        int or None
            The exit code, or the negative number of the signal that ended the program.
        """
        self.wait()
        end = time.monotonic() + seconds
        with self._lock:
            while pid not in self._exit_codes:
                readable, _, _ = select.select([self._near], [], [], max(0, end - time.monotonic()))
                try:
                    if not readable or not self._receive():
                        return None
                except OSError:
                    return None
            return self._exit_codes[pid]

    def _answer(self, number: int) -> Started:
        """Wait for a task's answer; the answer to a task that was given up may come first."""
        while message := self._receive():
            if isinstance(message, Started) and message.number == number:
                return message
        return Started(number=number, error="it ended")

    def _receive(self) -> Started | Ended | None:
        """Receive a message, and remember which programs have ended; None at the end."""
        content = self._near.recv(MESSAGE_BYTES)
        if not content:
            return None
        message = FROM_SERVER.validate_json(content)
        if isinstance(message, Ended):
            self._exit_codes[message.pid] = message.code
        return message

    def close(self) -> None:
        """End the fork server; the programs that it has started continue."""
        self._near.close()
        if not self._is_ready:  # it may still import, and has started no program
            self._process.kill()
        self._process.wait()


def shared(preload: str = PRELOAD) -> ForkServer:
    """Return this process's only fork server that has imported this.

    The first call starts it, and so does the first one after it has ended; it is ready in a few
    seconds.

    Parameters
    ----------
    preload : str
        See `ForkServer`.
    """
    with _starting:
        server = _servers.get(preload)
        if server is None or server.has_ended:
            server = _servers[preload] = ForkServer(preload)
            atexit.register(server.close)
        return server


def handed_on() -> dict[str, str]:
    """Return the environment variables that every program receives."""
    chosen = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    # Absolute paths: a program's working folder is the submission.
    places = {env.START.name: start_folder(), env.KERAS_HOME.name: keras_home()}
    if env.DATA.path:
        places[env.DATA.name] = env.DATA.path
    return FIXED | QUIET | chosen | {name: str(place) for name, place in places.items()}


def serve(near: socket.socket, preload: str) -> None:
    """Fork a program for each task that arrives, until the client closes the connection."""
    _function(preload)()
    near.send(b"ready")
    # Linux then keeps no record of children that have ended; nobody here waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(near, MESSAGE_BYTES, MAX_DESCRIPTORS)
        except ConnectionResetError:  # the client has left messages unread
            return
        if not message:
            return
        child = os.fork()
        if child == 0:
            _become(Task.from_bytes(message), descriptors, near)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(task: Task, descriptors: list[int], near: socket.socket) -> None:
    """Enter the sandbox and run the program there; never returns."""
    status = 1
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def answer(**what: Any) -> None:
        near.send(Started(number=task.number, **what).to_bytes())

    def started(pid: int) -> None:
        # Only the program itself may hold its ends of the connections.
        for descriptor in descriptors:
            os.close(descriptor)
        answer(pid=pid)

    def ended(pid: int, code: int) -> None:
        near.send(Ended(pid=pid, code=code).to_bytes())

    try:
        try:
            parent = enter(task.ticket, started, ended)
        except BaseException as error:
            answer(error=f"{type(error).__name__}: {error}")
            raise
        # Each task has one answer, and it has been sent.
        near.close()
        confine(task.ticket, task.environment, parent)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        _function(task.program)(*descriptors, *task.arguments)
        status = 0
    finally:
        os._exit(status)


def _function(name: str) -> Callable[..., Any]:
    """Return the function named ``"module:function"``."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
