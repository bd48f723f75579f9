"""Other programs' processes: handles that stay theirs, and the memory that they take."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from pathlib import Path

LONGEST_WAIT = 0.05


class Process:
    """A process that somebody else started, with the part of `subprocess.Popen` that is needed."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        # Unlike the number, it never comes to mean another process.
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        ended, _, _ = select.select([self._handle], [], [], 0)
        return -signal.SIGKILL if ended else None

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(LONGEST_WAIT)
        return -signal.SIGKILL

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def __del__(self) -> None:
        os.close(self._handle)


def resident(process: Path) -> int:
    """Return the bytes that a process has in memory, those that others have too among them.

    And those of the tables that say where its memory is. A process whose first thread has ended
    shows all this with the others.
    """
    for place in (process, *_threads(process)):
        sizes = _sizes(place / "status", b"VmRSS", b"VmPTE")
        if sizes:
            return sum(sizes)
    return 0


def proportional(process: Path) -> int:
    """Return a process's own bytes and its share of those that several have.

    A process can keep that from being seen: then all of them count.
    """
    shares = _sizes(process / "smaps_rollup", b"Pss")
    return sum(shares + _sizes(process / "status", b"VmPTE")) if shares else resident(process)


def _threads(process: Path) -> list[Path]:
    """Return a process's threads; none where it is gone."""
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


def _sizes(path: Path, *names: bytes) -> list[int]:
    """Read the lines of /proc that are called so, such as ``VmRSS:  1234 kB``, in bytes.

    There are none where the process is gone, or does not let it be seen. It can give itself a
    name of any bytes, which stands there as well: with all but the end of a line in it.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    found = (re.fullmatch(rb"(\w+):\s+(\d+) kB", line) for line in lines)
    return [int(size[2]) * 1024 for size in found if size and size[1] in names]
