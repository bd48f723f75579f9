"""Processes that other programs started: handles that stay valid, and what they take."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from pathlib import Path
from typing import NamedTuple

# Counts a second of the processor's time in /proc.
TICKS = os.sysconf("SC_CLK_TCK")

# Seconds between two checks whether a process has ended.
LONGEST_WAIT = 0.05


class Process:
    """A process that another program started, with the methods of `Popen` that Jupyter calls."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        # Unlike a process id, a pidfd never refers to another process later.
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
    """Return the bytes that a process has in memory, including memory that it shares.

    Page tables count too. If a process's first thread has ended, only its other threads show the
    sizes.
    """
    for place in (process, *_threads(process)):
        sizes = _sizes(place / "status", b"VmRSS", b"VmPTE")
        if sizes:
            return sum(sizes)
    return 0


def proportional(process: Path) -> int:
    """Return the bytes that a process has in memory, with its share of what several use.

    A process can hide this size; then all of its shared memory counts.
    """
    shares = _sizes(process / "smaps_rollup", b"Pss")
    return sum(shares + _sizes(process / "status", b"VmPTE")) if shares else resident(process)


class Times(NamedTuple):
    """What a process has had of the processor, in seconds.

    Attributes
    ----------
    started : int
        When it started: with its id, this stands for no other process.
    own : float
        For which it has computed itself; at least that of its first thread, to the nanosecond.
    inherited : float
        For which those have computed that it started, waited for and outlived.
    """

    started: int
    own: float
    inherited: float


def times(process: Path) -> Times | None:
    """Return what a process has had of the processor; None if it has ended."""
    try:
        # The process chooses its name, which stands in parentheses before the numbers.
        numbers = (process / "stat").read_bytes().rpartition(b")")[2].split()
        first = int((process / "schedstat").read_bytes().split()[0]) / 1e9
    except OSError:
        return None
    # Fields 14 to 17 and 22 of proc_pid_stat(5); the first one here is field 3.
    user, system, of_user, of_system = (int(number) / TICKS for number in numbers[11:15])
    return Times(int(numbers[19]), max(user + system, first), of_user + of_system)


def waited(process: Path) -> dict[str, float]:
    """Return for how many seconds each thread of a process, by its id, was ready without a core."""
    found = {}
    for thread in _threads(process):
        with contextlib.suppress(OSError):
            found[thread.name] = int((thread / "schedstat").read_bytes().split()[1]) / 1e9
    return found


def descriptors(process: Path, most: int) -> int:
    """Return how many files, sockets and pipes a process has open.

    A process can hide them; then this is `most`. If its first thread has ended, only its other
    threads show them.
    """
    try:
        for place in (process, *_threads(process)):
            if number := len(os.listdir(place / "fd")):
                return number
    except PermissionError:
        return most
    except OSError:  # the process has ended
        pass
    return 0


def _threads(process: Path) -> list[Path]:
    """Return the folders of a process's threads; none if the process has ended."""
    try:
        return list((process / "task").iterdir())
    except OSError:
        return []


def _sizes(path: Path, *names: bytes) -> list[int]:
    """Return the sizes, in bytes, from the lines with these names, such as ``VmRSS:  1234 kB``.

    The list is empty if the process has ended or hides the file. The file also holds the process's
    name, which the process can choose: it may contain any byte except a line feed, so the content
    is split at line feeds only.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    found = (re.fullmatch(rb"(\w+):\s+(\d+) kB", line) for line in lines)
    return [int(size[2]) * 1024 for size in found if size and size[1] in names]
