"""A fork server: a process that has imported everything slow, and forks for each program.

A process that has imported TensorFlow, but has not computed anything yet, can be forked, and the
child can compute. `ForkServer` is the client; this file, run as a program, is the server.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.sandbox.enter import confine, enter
from course_utils.paths import CHECKOUT
from course_utils.runtime import keras_home, start_folder
from course_utils.submission.messages import Started, Task, Ticket

# Imports everything that the programs need; called once, before the first fork.
PRELOAD = "course_utils.grading.inside.preload:import_everything"
MESSAGE_BYTES = 2**16
MAX_DESCRIPTORS = 4
START_SECONDS = 120
# Environment variables that a program receives; it sees no others.
ENVIRONMENT = (env.THREADS.name, env.BACKEND.name, env.GPUS.name, "LANG", "TZ")

# The import must not start a thread, because a fork would lose it.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
         "TF_NUM_INTRAOP_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/",
         "TF_NUM_INTEROP_THREADS": "1", "MPLBACKEND": "agg", env.OFFLINE.name: "1",
         "PYDEVD_DISABLE_FILE_VALIDATION": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true",
         "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # fmt: skip

_starting = threading.Lock()


class ForkServer:
    """Starts programs in sandboxes, as forks of one process that has imported everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(far.fileno())],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            env=handed_on()
            # Sandboxes show this copy of the library, so the fork server must import it, too.
            | {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(CHECKOUT)},
        )
        far.close()
        self._near.settimeout(START_SECONDS)
        if self._near.recv(MESSAGE_BYTES) != b"ready":
            raise SandboxError("The process that starts submissions ended; see the lines above.")

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
        with self._lock:
            task = Task(
                number=next(self._numbers),
                program=program,
                ticket=ticket,
                environment=handed_on() | dict(environment),
                arguments=list(arguments),
            )
            socket.send_fds(self._near, [task.to_bytes()], list(descriptors))
            started = self._answer(task.number)
        if started.error:
            raise SandboxError(f"A program could not be started in its sandbox: {started.error}")
        return started.pid

    def _answer(self, number: int) -> Started:
        """Wait for a task's answer; the answer to a task that was given up may come first."""
        while message := self._near.recv(MESSAGE_BYTES):
            started = Started.from_bytes(message)
            if started.number == number:
                return started
        return Started(number=number, error="it ended")

    def close(self) -> None:
        """End the fork server; the programs that it has started continue."""
        self._near.close()
        self._process.wait()


def shared() -> ForkServer:
    """Return this process's only fork server; the first call starts it, in a few seconds."""
    with _starting:
        return _shared()


@functools.cache
def _shared() -> ForkServer:
    server = ForkServer()
    atexit.register(server.close)
    return server


def handed_on() -> dict[str, str]:
    """Return the environment variables that every program receives."""
    chosen = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    # Absolute paths: a program's working folder is the submission.
    places = {env.START.name: start_folder(), env.KERAS_HOME.name: keras_home()}
    if env.DATA.path:
        places[env.DATA.name] = env.DATA.path
    return QUIET | chosen | {name: str(place) for name, place in places.items()}


def serve(near: socket.socket) -> None:
    """Fork a program for each task that arrives, until the client closes the connection."""
    _function(PRELOAD)()
    near.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(near, MESSAGE_BYTES, MAX_DESCRIPTORS)
        if not message:
            return
        child = os.fork()
        if child == 0:
            _become(Task.from_bytes(message), descriptors, near)
        for descriptor in descriptors:
            os.close(descriptor)
        # The child answers, and ends as soon as its own child has entered the sandbox.
        os.waitpid(child, 0)


def _become(task: Task, descriptors: list[int], near: socket.socket) -> None:
    """Enter the sandbox and run the program there; never returns."""
    status = 1

    def answer(**what: Any) -> None:
        near.send(Started(number=task.number, **what).to_bytes())

    try:
        try:
            enter(task.ticket, lambda pid: answer(pid=pid))
        except BaseException as error:
            answer(error=f"{type(error).__name__}: {error}")
            raise
        # Each task has one answer, and it has been sent.
        near.close()
        confine(task.ticket, task.environment)
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
    serve(socket.socket(fileno=int(sys.argv[1])))
