"""Sharing GPUs: each serves one submission at a time, whose programs free its memory at the end."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

from course_utils import env

# Program that exits with 0 if Keras sees a GPU.
LOOK = """
import sys
from course_utils.runtime import gpu_name, import_keras
import_keras()
sys.exit(gpu_name() is None)
"""


def devices() -> list[Path]:
    """Return the device files of NVIDIA's driver, including those that are not GPUs."""
    return sorted(Path("/dev").glob("nvidia*"))


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use and can use; possibly none."""
    names = [device.name.removeprefix("nvidia") for device in devices()]
    names = sorted(filter(str.isdigit, names), key=int)
    if names and env.GPUS.name in os.environ:
        # The driver ignores everything after the first invalid name, and so does this function.
        names = [name.strip() for name in os.environ[env.GPUS.name].split(",")]
        names = names[: next((n for n, name in enumerate(names) if name in ("", "-1")), None)]
    return names if names and keras_sees_one() else []


@functools.cache
def keras_sees_one() -> bool:
    """Tell whether Keras' backend is installed with everything that it needs to use a GPU.

    A separate process finds out, because a process that looks for GPUs keeps some of their memory.
    """
    return subprocess.run([sys.executable, "-c", LOOK], capture_output=True).returncode == 0


@contextlib.contextmanager
def one() -> Iterator[dict[str, str]]:
    """Reserve one GPU and yield the environment variables with which programs see only that one.

    Waits until a GPU is free. If this machine has no GPU, the environment is empty.
    """
    if not visible():
        yield {}
        return
    name = _free().get()
    try:
        yield {env.GPUS.name: name}
    finally:
        _free().put(name)


@functools.cache
def _free() -> SimpleQueue[str]:
    free: SimpleQueue[str] = SimpleQueue()
    for name in visible():
        free.put(name)
    return free
