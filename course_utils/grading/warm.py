"""A process that has imported everything slow, and forks: a program starts in a blink.

A process that imported TensorFlow, but has not computed anything yet, can be forked and compute
in the child. `Warm` is the near end; this file, run as a program, is the far one.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from course_utils.errors import SandboxError
from course_utils.grading.sandbox import confine, enter
from course_utils.runtime import keras_home, start_folder

MESSAGE_BYTES = 2**16
MOST_DESCRIPTORS = 4
START_SECONDS = 120
# What a program needs from outside; nothing else of the environment is handed on.
ENVIRONMENT = ("COURSE_THREADS", "KERAS_BACKEND", "LANG", "TZ", "CUDA_VISIBLE_DEVICES")
# One thread at import, so that a fork takes everything along.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
         "TF_NUM_INTRAOP_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/",
         "TF_NUM_INTEROP_THREADS": "1", "MPLBACKEND": "agg", "COURSE_OFFLINE": "1",
         "PYDEVD_DISABLE_FILE_VALIDATION": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true",
         "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # fmt: skip


# What the three programs import: their own modules first.
MODULES = (
    "course_utils.grading.examiner", "course_utils.grading.kernels", "course_utils.transfer",
    "course_utils.submission.answers", "course_utils.submission.check",
    "ipykernel.kernelapp", "ipykernel.debugger", "tornado.platform.asyncio", "zmq.utils.garbage",
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "sqlite3",
    "matplotlib.backends.backend_agg", "encodings.cp437", "sklearn.linear_model", "seaborn",
)  # fmt: skip

_starting = threading.Lock()


class Warm:
    """Starts programs in sandboxes, each a fork of one process that has imported everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "course_utils.grading.warm", str(far.fileno())],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            env=handed_on() | {"PATH": os.environ.get("PATH", os.defpath)},
        )
        far.close()
        self._near.settimeout(START_SECONDS)
        if self._near.recv(MESSAGE_BYTES) != b"ready":
            raise SandboxError("The process that starts submissions ended: see the lines above.")

    def start(
        self,
        program: str,
        ticket: Mapping[str, Any],
        environment: Mapping[str, str],
        arguments: Sequence[Any] = (),
        descriptors: Sequence[int] = (),
    ) -> int:
        """Start a program in a sandbox and return its process's number.

        Parameters
        ----------
        program : str
            ``"module:function"``; called with the descriptors, then with the arguments.
        ticket : dict
            From `Sandbox.ticket`.
        environment : dict of str
        arguments : sequence
            JSON can hold them.
        descriptors : sequence of int
            Open files that the program gets.
        """
        task = {
            "program": program,
            "ticket": dict(ticket),
            "environment": handed_on() | dict(environment),
            "arguments": list(arguments),
        }
        with self._lock:
            task["number"] = next(self._numbers)
            socket.send_fds(self._near, [json.dumps(task).encode()], list(descriptors))
            answer = self._answer(task["number"])
        if "error" in answer:
            raise SandboxError(f"A program could not be started in its sandbox: {answer['error']}")
        return answer["pid"]

    def _answer(self, number: int) -> dict[str, Any]:
        """Wait for a task's answer; one that was given up may be answered before."""
        while message := self._near.recv(MESSAGE_BYTES):
            answer = json.loads(message)
            if answer["number"] == number:
                return answer
        return {"error": "it ended"}

    def close(self) -> None:
        """End the process; what it has started goes on."""
        self._near.close()
        self._process.wait()


def shared() -> Warm:
    """Return this program's one warm process; the first call starts it, in some seconds."""
    with _starting:
        return _shared()


@functools.cache
def _shared() -> Warm:
    warm = Warm()
    atexit.register(warm.close)
    return warm


def handed_on() -> dict[str, str]:
    """Return the part of the environment that every program gets."""
    chosen = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    # Whole names: programs change into what was handed in, where others could be found.
    places = {"COURSE_START": start_folder(), "KERAS_HOME": keras_home()}
    if data := os.environ.get("COURSE_DATA"):
        places["COURSE_DATA"] = Path(data).expanduser().absolute()
    return QUIET | chosen | {name: str(place) for name, place in places.items()}


def serve(near: socket.socket) -> None:
    """Fork a program for each task that comes, until the other end is closed."""
    _import_everything()
    near.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(near, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            return
        child = os.fork()
        if child == 0:
            _become(json.loads(message), descriptors, near)
        for descriptor in descriptors:
            os.close(descriptor)
        # The child answers, and ends when its own child has stepped into the sandbox.
        os.waitpid(child, 0)


def _become(task: dict[str, Any], descriptors: list[int], near: socket.socket) -> None:
    """Step into the sandbox, and run the program there; never returns."""
    status = 1

    def answer(**what: Any) -> None:
        near.send(json.dumps({"number": task["number"]} | what).encode())

    try:
        try:
            enter(task["ticket"], lambda pid: answer(pid=pid))
        except BaseException as error:
            answer(error=f"{type(error).__name__}: {error}")
            raise
        # There is one answer to each task, and it was given.
        near.close()
        confine(task["ticket"], task["environment"])
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        module, _, function = task["program"].partition(":")
        getattr(importlib.import_module(module), function)(*descriptors, *task["arguments"])
        status = 0
    finally:
        os._exit(status)


def _import_everything() -> None:
    """Import what a kernel, a predictor and an examiner use; compute nothing with TensorFlow."""
    # Nothing that is imported is garbage: looking for some takes a fifth of the time.
    gc.disable()
    from course_utils.runtime import import_keras

    backend = import_keras()
    for module in MODULES:
        importlib.import_module(module)
    if backend == "tensorflow":
        _prepare_tensorflow()
    _draw_evaluation()
    # No program looks through all of this for garbage again, which would also copy its pages.
    gc.collect()
    gc.freeze()
    gc.enable()


def _prepare_tensorflow() -> None:
    """Spare every program what TensorFlow does before its first operations."""
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.framework.kernels import get_registered_kernels_for_op

    # All of TensorFlow's kernels are sorted when the first one is looked for.
    get_registered_kernels_for_op("NoOp")
    # TensorFlow would make a function of each operation outside of one, and look through all of its
    # kernels for one of oneDNN's: until a network is loaded that takes as long as all the rest.
    as_function = pywrap_tfe.TFE_ContextOptionsSetRunEagerOpAsFunction
    pywrap_tfe.TFE_ContextOptionsSetRunEagerOpAsFunction = lambda options, _: as_function(
        options, False
    )


def _draw_evaluation() -> None:
    """Draw what most notebooks draw: fonts and more are looked for when that is done first."""
    import numpy as np

    from course_utils.data import Source
    from course_utils.evaluation import score
    from course_utils.plotting import evaluation_image
    from course_utils.training import History

    curve = [0.0, 1.0]
    evaluation_image(
        History(curve, curve, curve, curve, seconds=0.0),
        score(np.eye(2), np.arange(2), ("a", "b")),
        Source(name="", kind="", location="", fingerprint="", is_stand_in=False),
    )._repr_mimebundle_()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
