"""Other programs' processes: handles that stay theirs, and the memory that they take."""

from __future__ import annotations

import contextlib
import os
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
        lines = _read(place / "status").splitlines()
        sizes = [line for line in lines if line.startswith(("VmRSS:", "VmPTE:"))]
        if sizes:
            return sum(map(_bytes, sizes))
    return 0


def proportional(process: Path) -> int:
    """Return a process's own bytes and its share of those that several have.

    A process can keep that from being seen: then all of them count.
    """
    lines = _read(process / "smaps_rollup").splitlines()
    shares = [line for line in lines if line.startswith("Pss:")]
    tables = [line for line in _read(process / "status").splitlines() if line.startswith("VmPTE:")]
    return sum(map(_bytes, shares + tables)) if shares else resident(process)


def _threads(process: Path) -> list[Path]:
    """Return a process's threads; none where it is gone."""
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


def _bytes(line: str) -> int:
    """Read a line of /proc such as ``VmRSS:  1234 kB``."""
    return int(line.split()[1]) * 1024


def _read(path: Path) -> str:
    """Read an entry of /proc; empty where the process is gone, or does not let it be seen."""
    try:
        return path.read_text()
    except OSError:
        return ""
