"""GPUs: each examines one submission at a time; its memory is free when the programs have ended."""

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

LOOK = """
import sys
from course_utils.runtime import gpu_name, import_keras
import_keras()
sys.exit(gpu_name() is None)
"""


def devices() -> list[Path]:
    """Return the devices of NVIDIA's driver, that of the driver itself among them."""
    return sorted(Path("/dev").glob("nvidia*"))


def visible() -> list[str]:
    """Return the names of the GPUs that this process may, and can, use; there may be none."""
    names = [device.name.removeprefix("nvidia") for device in devices()]
    names = sorted(filter(str.isdigit, names), key=int)
    if names and env.GPUS.name in os.environ:
        # As the driver does: what comes after a name that is none is left out.
        names = [name.strip() for name in os.environ[env.GPUS.name].split(",")]
        names = names[: next((n for n, name in enumerate(names) if name in ("", "-1")), None)]
    return names if names and keras_sees_one() else []


@functools.cache
def keras_sees_one() -> bool:
    """Tell whether Keras' backend was installed with all that it needs to compute on a GPU.

    A program of its own finds that out: whoever looks keeps some of the GPU's memory.
    """
    return subprocess.run([sys.executable, "-c", LOOK], capture_output=True).returncode == 0


@contextlib.contextmanager
def one() -> Iterator[dict[str, str]]:
    """Give the environment in which programs see one GPU, which they have for themselves.

    Waits for one that is free. Where there is none at all, the environment is empty.
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
