"""Measuring what the programs in a sandbox take."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from course_utils.grading.sandbox.limits import BUFFER_BYTES, Limits
from course_utils.grading.sandbox.procfs import descriptors, proportional, resident


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
        return f"more than {limits.memory / 2**30:.0f} GB of memory"
    if _count_files(written) > limits.files:
        return f"more than {limits.files:,} files"
    return ""


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
