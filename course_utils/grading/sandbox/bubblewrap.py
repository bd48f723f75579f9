"""Building sandboxes: bubblewrap creates their namespaces and file systems."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.sandbox import cgroups, gpus, obstacles, seccomp
from course_utils.grading.sandbox.layout import (
    DEVICES,
    HANDED_IN,
    INSIDE,
    SYSTEM,
    WORK,
    python_folders,
)
from course_utils.grading.sandbox.limits import WATCH_SECONDS, Limits
from course_utils.grading.sandbox.procfs import Process
from course_utils.grading.sandbox.watch import Meter, Usage, excess
from course_utils.submission.messages import Ticket

WITHOUT = (
    "To run submissions with all your rights instead, at your own risk, set "
    f"{env.WITH_MY_RIGHTS.name}=1."
)
HOW_TO_INSTALL = (
    "Submissions are other people's programs, so they run only in a sandbox: install bubblewrap "
    f"(Debian, Ubuntu: sudo apt-get install bubblewrap; in a checkout: make sandbox). {WITHOUT}"
)

# Users of the sandboxes that root opens. Each sandbox has its own, because Linux limits the number
# of processes per user.
FIRST_USER, USERS = 61_000, 1_000

_users = itertools.count(os.getpid())

_open: weakref.WeakSet[Sandbox] = weakref.WeakSet()


# Sandboxes are compared by identity: no two are the same.
@dataclass(eq=False)
class Sandbox:
    """Namespaces that bubblewrap creates and keeps open until `close`.

    Attributes
    ----------
    readable : iterable of Path
        Files and folders that are visible inside at their own paths, read-only.
    handed_in : Path, optional
        A folder that is visible inside as ``/sandbox/handed-in``, read-only.
    writable : iterable of Path
        Folders that are visible inside at their own paths and can be written to. A program in a
        sandbox with such folders is trusted and keeps the user's id.
    limits : Limits

    Raises
    ------
    SandboxError
        If bubblewrap or libseccomp is missing, or namespaces are not allowed; the message says
        what to do.
    """

    readable: Iterable[Path] = ()
    handed_in: Path | None = None
    writable: Iterable[Path] = ()
    limits: Limits = field(default_factory=Limits)
    folder = INSIDE
    _written = (Path("/tmp"), Path("/dev/shm"), INSIDE / WORK)

    def __post_init__(self) -> None:
        seccomp.library()
        self._closed = threading.Event()
        self._exceeded = ""
        self._has_gpu = bool(gpus.visible())
        self._keeper = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
        )
        # The sandbox is ready when the first program in it prints a line.
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        if self._keeper.stdout.readline() != b"ready\n":
            reason = self._keeper.stderr.read().decode(errors="replace").strip()
            self._keeper.kill()
            self._release()
            refused = f"bubblewrap cannot create a sandbox here ({reason})."
            raise SandboxError(" ".join(filter(None, (refused, obstacles.advice(reason), WITHOUT))))
        # The first process inside is bubblewrap's own child.
        self.pid = psutil.Process(self._keeper.pid).children()[0].pid
        self._first = Process(self.pid)
        self._group = cgroups.new_group(self.limits)
        self._meter = Meter(self.outside(Path("/proc")))
        _open.add(self)
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """End every process inside; the namespaces and their files disappear with the last one."""
        self._closed.set()
        _open.discard(self)
        self._end()
        self._release()
        if self._group:
            self._exceeded = self.exceeded
            self._group.close()

    @property
    def exceeded(self) -> str:
        """The limit that was exceeded, as a phrase; all processes inside have then been killed.

        Empty if no limit was exceeded.
        """
        return self._exceeded or (self._group.exceeded() if self._group else "")

    def usage(self) -> Usage:
        """Return what the programs inside have had of the processor."""
        counted = self._group.usage() if self._group else None
        return counted or self._meter.usage()

    def ticket(self) -> Ticket:
        """Return what a process needs to `enter`."""
        own = os.geteuid()
        keeps = obstacles.needs_user_namespace() or self.writable
        user = own if keeps else FIRST_USER + next(_users) % USERS
        return Ticket(
            keeper=self.pid,
            group=str(self._group.entrance) if self._group else "",
            user=user,
            limits=asdict(self.limits),
            trusted=bool(self.writable),
            gpu=self._has_gpu,
            work=str(self.folder / WORK),
        )

    def outside(self, path: Path) -> Path:
        """Return the path at which a file inside can be reached from outside."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def _command(self) -> list[str]:
        command = [find_bubblewrap(), "--die-with-parent", "--new-session", "--clearenv"]
        command += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        command += ["--unshare-cgroup-try", "--cap-drop", "ALL", "--hostname", "sandbox"]
        command += ["--unshare-user"] if obstacles.needs_user_namespace() else []
        command += self._file_system()
        return [*command, "--", "/bin/sh", "-c", "echo ready; exec sleep infinity"]

    def _file_system(self) -> list[str]:
        arguments: list[str] = []
        for path in map(Path, SYSTEM):
            arguments += _parents(path)
            if path.is_symlink():
                arguments += ["--symlink", os.readlink(path), str(path)]
            elif path.exists():
                arguments += ["--ro-bind", str(path), str(path)]
        arguments += ["--proc", "/proc", "--tmpfs", "/dev"]
        devices = gpus.devices() if self._has_gpu else []
        for path in [*(Path("/dev", name) for name in DEVICES), *devices]:
            arguments += ["--dev-bind", str(path), str(path)]
        arguments += ["--symlink", "/proc/self/fd", "/dev/fd"]
        size = str(self.limits.disk // len(self._written))
        for folder in self._written:
            arguments += _parents(folder)
            arguments += ["--perms", "1777", "--size", size, "--tmpfs", str(folder)]
        seen = dict.fromkeys([*python_folders(), *self.readable])
        folders = _outermost(path.resolve() for path in seen)
        binds = [("--ro-bind", path, path) for path in folders]
        binds += [("--bind", path, path) for path in self.writable]
        if self.handed_in:
            binds.append(("--ro-bind", self.handed_in, self.folder / HANDED_IN))
        # A folder that was named by a symbolic link must also be found through that link.
        for path in seen:
            above = [*folders, *(each for each in seen if each != path)]
            if path.resolve() != path and not any(map(path.is_relative_to, above)):
                binds.append(("--symlink", path.resolve(), path))
        for how, outside, inside in binds:
            arguments += [*_parents(inside), how, str(outside), str(inside)]
        # Both folders are kept in memory without a size limit, so they must not be writable.
        arguments += ["--remount-ro", "/", "--remount-ro", "/dev"]
        # CUDA writes the names of its threads to /proc.
        arguments += [] if self._has_gpu else ["--remount-ro", "/proc"]
        return arguments

    def _end(self) -> None:
        # All processes inside end with the first one.
        self._first.send_signal(signal.SIGKILL)
        self._keeper.kill()
        if self._group:
            self._group.kill()

    def _release(self) -> None:
        self._keeper.wait()
        for stream in filter(None, (self._keeper.stdout, self._keeper.stderr)):
            stream.close()

    def _watch(self) -> None:
        """End everything inside as soon as it exceeds a limit."""
        processes = self.outside(Path("/proc"))
        written = [self.outside(folder) for folder in self._written]
        try:
            while not self.exceeded and not self._closed.wait(WATCH_SECONDS):
                self._meter.look()
                self._exceeded = excess(processes, written, self.limits)
        except OSError:
            # The first process of the sandbox has ended.
            pass
        finally:
            # A sandbox must not run without its watch, whatever ended the watch.
            self._end()


def close_all() -> None:
    """End every sandbox that this process has opened."""
    for sandbox in list(_open):
        sandbox.close()


class NoSandbox:
    """Replaces a sandbox if submissions run with the lecturer's rights; it only cleans up."""

    exceeded = ""
    limits = Limits()

    def __init__(self, handed_in: Path | None = None, **_: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="submission-"))
        (self.folder / WORK).mkdir()
        if handed_in:
            (self.folder / HANDED_IN).symlink_to(handed_in)

    def ticket(self) -> Ticket:
        return Ticket(keeper=None, work=str(self.folder / WORK))

    def outside(self, path: Path) -> Path:
        return path

    def usage(self) -> Usage:
        """Return what the programs have had of the processor; nobody knows how long they waited."""
        seconds = 0.0
        for process in self._running():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                seconds += times.user + times.system
        return Usage(seconds, 0.0)

    def close(self) -> None:
        for process in self._running():
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder):
                    yield process


def open_sandbox(with_my_rights: bool, **settings: Any) -> Sandbox | NoSandbox:
    """Return a new sandbox, or a `NoSandbox` if submissions run with the lecturer's rights.

    Parameters
    ----------
    with_my_rights : bool
        Whether submissions run with the lecturer's rights.
    **settings
        Arguments of `Sandbox`.

    Raises
    ------
    SandboxError
        If the sandbox cannot be created; see `Sandbox`.
    """
    return NoSandbox(**settings) if with_my_rights else Sandbox(**settings)


@functools.cache
def require_sandbox(with_my_rights: bool) -> None:
    """Make sure that a sandbox can be opened here; a success is remembered.

    Raises
    ------
    SandboxError
        If it cannot be opened; see `Sandbox`.
    """
    open_sandbox(with_my_rights).close()


def find_bubblewrap() -> str:
    """Return the path of bubblewrap.

    Raises
    ------
    SandboxError
        If it is not installed; the message names the command that installs it.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxError(HOW_TO_INSTALL)
    return found


def _parents(path: Path) -> list[str]:
    """Return bubblewrap's arguments that create a path's parent folders, open to every user."""
    folders = list(path.parents)[-2::-1]
    return [word for folder in folders for word in ("--perms", "0755", "--dir", str(folder))]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Return the paths that lie in no other path of the list and in no system folder."""
    chosen: list[Path] = []
    for path in sorted(set(paths), key=lambda each: len(each.parts)):
        if not any(path.is_relative_to(folder) for folder in [*chosen, *map(Path, SYSTEM)]):
            chosen.append(path)
    return chosen
