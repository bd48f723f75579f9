"""Measuring what the programs in a sandbox take: memory, processes, files and time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from course_utils.grading.sandbox.limits import BACKSTOP, BUFFER_BYTES, MAX_LOST_SECONDS, Limits
from course_utils.grading.sandbox.procfs import (
    Times,
    descriptors,
    proportional,
    resident,
    times,
    waited,
)


class Usage(NamedTuple):
    """What the programs in a sandbox have had of the processor.

    Attributes
    ----------
    computed : float
        Seconds of all cores together.
    waited : float
        Seconds in which a thread was ready, but had no core.
    """

    computed: float
    waited: float


class Clock:
    """Measures the own time of programs since the clock was made.

    The own time is the time that has passed, without that in which a thread waited for a core. If
    they compute, it is at least the processor's time, as far as that is less than the time that has
    passed; so it runs as usual for programs that wait for each other only. It never runs faster
    than other clocks.

    Parameters
    ----------
    measure : callable
        Returns the `Usage` so far, such as `Sandbox.usage`.
    """

    def __init__(self, measure: Callable[[], Usage]) -> None:
        self._measure = measure
        self._start, self._before = time.monotonic(), measure()

    def seconds(self) -> float:
        """Return the own time, in seconds."""
        passed, now = time.monotonic() - self._start, self._measure()
        computed = now.computed - self._before.computed
        # Nothing is known of programs that have ended.
        waited = max(0.0, now.waited - self._before.waited)
        return max(min(computed, passed), passed - waited)

    def left(self, limit: float) -> float:
        """Return for how many seconds the limit cannot be reached; nothing if it is reached.

        Work also ends when `BACKSTOP` times the limit has passed.
        """
        passed = time.monotonic() - self._start
        return min(limit - self.seconds(), BACKSTOP * limit - passed)


class Meter:
    """Measures what the programs in a sandbox have had of the processor, without a control group.

    Linux adds the time of a process that has ended to that of the process that waits for it, and
    forgets it if nobody does. Programs could so keep each other from the cores, and seem to wait
    for those of others. Therefore nobody is believed to wait where much time was forgotten. And of
    the threads that wait at the same time, only the one that waits longest counts: many threads
    that wake together wait for each other, each for a moment.

    Parameters
    ----------
    processes : Path
        The sandbox's own ``/proc``, as seen from outside.
    """

    def __init__(self, processes: Path) -> None:
        self._processes = processes
        self._seen: dict[tuple[str, int], Times] = {}
        self._lost = 0.0
        # Waiting of each thread until the last look, and what counts of it.
        self._waits: dict[str, float] = {}
        self._waited = 0.0
        self._looking = threading.Lock()

    def usage(self) -> Usage:
        """Return the time until now, without what was forgotten."""
        running = _running(self._processes)
        counted = filter(None, map(times, running))
        computed = sum(each.own + each.inherited for each in counted)
        self._look_who_waits(running)
        return Usage(computed, self._waited if self._lost <= MAX_LOST_SECONDS else 0.0)

    def look(self) -> None:
        """Look who has waited or ended since the last call, and whether their time is kept."""
        running = _running(self._processes)
        self._look_who_waits(running)
        measured = {process.name: times(process) for process in running}
        now = {(name, each.started): each for name, each in measured.items() if each}
        ended = [each for key, each in self._seen.items() if key not in now]
        kept = sum(
            each.inherited - (self._seen[key].inherited if key in self._seen else 0.0)
            for key, each in now.items()
        )
        lost = self._lost + sum(each.own + each.inherited for each in ended) - kept
        # Nobody saves up time by processes that start and end between two looks.
        self._seen, self._lost = now, max(lost, 0.0)

    def _look_who_waits(self, running: Iterable[Path]) -> None:
        with self._looking:
            now = {thread: each for one in running for thread, each in waited(one).items()}
            since = [each - self._waits.get(thread, 0.0) for thread, each in now.items()]
            # A new thread can have the id of one that has ended, and has waited less.
            self._waits, self._waited = now, self._waited + max([0.0, *since])


def _running(processes: Path) -> list[Path]:
    try:
        return [processes / name for name in os.listdir(processes) if name.isdigit()]
    except OSError:  # the sandbox has ended
        return []


def excess(processes: Path, written: Iterable[Path], limits: Limits) -> str:
    """Return which limit the programs in a sandbox exceed, as a phrase; empty if none.

    Parameters
    ----------
    processes : Path
        The sandbox's own ``/proc``, as seen from outside.
    written : iterable of Path
        The folders in which its programs can write, as seen from outside.
    limits : Limits

    Raises
    ------
    OSError
        If the sandbox has ended.
    """
    running = [processes / name for name in os.listdir(processes) if name.isdigit()]
    if len(running) > limits.processes:
        return f"more than {limits.processes} processes"
    buffers = BUFFER_BYTES * sum(descriptors(each, limits.open_files) for each in running)
    if _memory_exceeds(limits.memory - buffers, running):
        return too_much_memory(limits)
    if _count_files(written) > limits.files:
        return f"more than {limits.files:,} files"
    return ""


def too_much_memory(limits: Limits) -> str:
    """Return the phrase for programs that take more memory than they may."""
    return f"more than {limits.memory / 2**30:.0f} GB of memory"


def _memory_exceeds(most: int, running: list[Path]) -> bool:
    # The exact measurement halts the programs for a moment, so the quick one comes first.
    return all(sum(map(measure, running)) > most for measure in (resident, proportional))


def _count_files(folders: Iterable[Path]) -> int:
    """Count written files and folders: even empty ones take memory."""
    try:
        systems = [os.statvfs(folder) for folder in folders]
    except OSError:
        return 0
    return sum(system.f_files - system.f_ffree for system in systems)
