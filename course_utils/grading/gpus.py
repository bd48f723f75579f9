"""GPUs: each examines one submission at a time; its memory is free when the programs have ended."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

VISIBLE = "CUDA_VISIBLE_DEVICES"


def devices() -> list[Path]:
    """Return the devices of NVIDIA's driver, that of the driver itself among them."""
    return sorted(Path("/dev").glob("nvidia*"))


def visible() -> list[str]:
    """Return the names of the GPUs that this process may use; empty where there are none."""
    present = [device.name.removeprefix("nvidia") for device in devices()]
    present = sorted(filter(str.isdigit, present), key=int)
    if not present or VISIBLE not in os.environ:
        return present
    # As the driver does: what comes after a name that is none is left out.
    named = [name.strip() for name in os.environ[VISIBLE].split(",")]
    return named[: next((n for n, name in enumerate(named) if name in ("", "-1")), None)]


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
        yield {VISIBLE: name}
    finally:
        _free().put(name)


@functools.cache
def _free() -> SimpleQueue[str]:
    free: SimpleQueue[str] = SimpleQueue()
    for name in visible():
        free.put(name)
    return free
