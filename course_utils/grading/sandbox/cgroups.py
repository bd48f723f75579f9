"""Control groups: where Linux lets the grader make them (version 2), each sandbox has its own.

A group has an equal share of the cores, and the memory of its programs is counted completely:
buffers of sockets and pipes, and memory of the system that they cause. Without groups, the sandbox
is only watched.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from course_utils.grading.sandbox.limits import GROUP_SECONDS, Limits
from course_utils.grading.sandbox.watch import Usage, too_much_memory

CONTROLLERS = frozenset({"cpu", "memory", "pids"})
PREFIX = "course-grading-"

_numbers = itertools.count()
_making = threading.Lock()


class Group:
    """The group of one sandbox, until `close`.

    Parameters
    ----------
    path : Path
        A new folder in the file system of control groups.
    limits : Limits
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        path.mkdir()
        for name, value in {
            # The files that a sandbox writes are in memory, and have a limit of their own.
            "memory.max": limits.memory + limits.disk,
            "memory.swap.max": 0,
            "memory.oom.group": 1,
            "pids.max": limits.processes,
        }.items():
            if (path / name).exists():
                (path / name).write_text(str(value))

    @property
    def entrance(self) -> Path:
        """The file in which a process writes ``0`` to enter the group."""
        return self._path / "cgroup.procs"

    def usage(self) -> Usage | None:
        """Return what the group's programs have used so far; None if that is not counted here."""
        try:
            computed = re.search(r"usage_usec (\d+)", self._read("cpu.stat"))
            waited = re.search(r"some .*total=(\d+)", self._read("cpu.pressure"))
        except OSError:
            return None
        return Usage(int(computed[1]) / 1e6, int(waited[1]) / 1e6) if computed and waited else None

    def exceeded(self) -> str:
        """Return whether the group has wanted more memory than it may have, as a phrase."""
        try:
            events = self._read("memory.events")
        except OSError:
            return ""
        # The system's own lack of memory is not counted here.
        return too_much_memory(self._limits) if re.search(r"^oom [1-9]", events, re.M) else ""

    def kill(self) -> None:
        """End every process in the group."""
        with contextlib.suppress(OSError):  # Linux before 5.14 has no such file
            (self._path / "cgroup.kill").write_text("1")

    def close(self) -> None:
        """End every process in the group, and remove it."""
        self.kill()
        end = time.monotonic() + GROUP_SECONDS
        while self._path.exists() and time.monotonic() < end:
            _clear(self._path)
            time.sleep(0.002)

    def _read(self, name: str) -> str:
        return (self._path / name).read_text(encoding="ascii")


def new_group(limits: Limits) -> Group | None:
    """Return a new group, or None where none can be made."""
    home = _home()
    try:
        return Group(home / f"{os.getpid()}-{next(_numbers)}", limits) if home else None
    except OSError:  # the system allows no more of them
        return None


def controllers() -> frozenset[str]:
    """Return which resources groups can limit here: of ``"cpu"``, ``"memory"`` and ``"pids"``."""
    home = _home()
    return _listed(home / "cgroup.subtree_control") if home else frozenset()


def _home() -> Path | None:
    """Return the group that holds the groups of all sandboxes; None where none can be made."""
    with _making:
        return _make_home()


@functools.cache
def _make_home() -> Path | None:
    places = list(_places())
    # The first place in which groups can limit everything is the best one.
    places.sort(key=lambda place: _enable(place) != CONTROLLERS)
    for place in places:
        home = place / f"{PREFIX}{os.getpid()}"
        try:
            home.mkdir()
        except OSError:
            continue
        if _can_be_entered(home):
            _enable(home)
            atexit.register(_clear, home)
            return home
        _clear(home)
    return None


def _places() -> Iterator[Path]:
    """Yield the groups in which new ones might be made: this process's own, and those above it."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    roots = [Path(line.split()[1]) for line in mounts if line.split()[2] == "cgroup2"]
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line[len("0::/") :] for line in lines if line.startswith("0::/")), None)
    if own is None or not roots:
        return
    place = roots[0] / own
    for each in (place, *place.parents):
        if each.is_relative_to(roots[0]) and os.access(each, os.W_OK):
            _remove_old(each)
            yield each


def _enable(place: Path) -> frozenset[str]:
    """Let the groups in a place limit what they can, and return what that is.

    A group that has processes of its own cannot; only the uppermost can.
    """
    control = place / "cgroup.subtree_control"
    for name in CONTROLLERS & _listed(place / "cgroup.controllers") - _listed(control):
        with contextlib.suppress(OSError):
            control.write_text(f"+{name}")
    return _listed(control)


def _listed(file: Path) -> frozenset[str]:
    return CONTROLLERS & set(file.read_text(encoding="ascii").split())


def _can_be_entered(group: Path) -> bool:
    """Try it with a process that does nothing else."""
    enter = ["/bin/sh", "-c", 'echo $$ > "$0"', str(group / "cgroup.procs")]
    return subprocess.run(enter, capture_output=True).returncode == 0


def _remove_old(place: Path) -> None:
    """Remove what a grader that was killed has left."""
    for group in place.glob(f"{PREFIX}*"):
        if not psutil.pid_exists(int(group.name.removeprefix(PREFIX))):
            _clear(group)


def _clear(home: Path) -> None:
    """Remove a group and those in it, as far as their processes have ended."""
    for group in (*home.glob("*/"), home):
        with contextlib.suppress(OSError):
            group.rmdir()
