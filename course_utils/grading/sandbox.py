"""Walls around a program that is not trusted: bubblewrap builds them, a process steps inside.

`Sandbox` has bubblewrap make namespaces without a network, with a file system of a few read-only
folders and small ones in memory, and keeps them open. `enter` moves the calling process, which
may have imported TensorFlow long ago, into them, and `confine` takes all its rights away.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from course_utils.errors import SandboxError
from course_utils.grading import gpus, system_calls
from course_utils.grading.processes import Process, proportional, resident

# Below a sandbox's folder: what was handed in, read-only, and where a program may write.
HANDED_IN, WORK = "handed-in", "work"
INSIDE = Path("/sandbox")
# Set to 1, submissions run with the rights of whoever grades. The name says what is at stake.
WITH_MY_RIGHTS = "COURSE_RUN_SUBMISSIONS_WITH_MY_RIGHTS"
HOW_TO_INSTALL = (
    "Submissions are other people's programs, and are run in a sandbox only: install bubblewrap "
    "(Debian, Ubuntu: sudo apt-get install bubblewrap; in a checkout: make sandbox). To run them "
    f"with all your rights instead, at your own risk, set {WITH_MY_RIGHTS}=1."
)
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/fonts",
          "/etc/ld.so.cache", "/etc/localtime")  # fmt: skip
DEVICES = ("null", "full", "random", "urandom")
NAMESPACES = ("user", "ipc", "uts", "net", "cgroup", "pid", "mnt")
# Each sandbox that root opens has a user of its own: limits on processes count per user.
FIRST_USER, USERS = 61_000, 1_000
# Between two looks at what a sandbox takes.
WATCH_SECONDS = 0.25
# From linux/prctl.h and linux/capability.h.
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
CAPABILITY_VERSION_3 = 0x20080522

_users = itertools.count(os.getpid())
_open: weakref.WeakSet[Sandbox] = weakref.WeakSet()


@dataclass(frozen=True)
class Limits:
    """What everything in one sandbox may take.

    Attributes
    ----------
    memory : int
        Bytes of all processes together.
    address_space : int
        Bytes that one process may ask for; TensorFlow asks for much more than it uses. None where
        there is a GPU.
    processes : int
        Threads count as well.
    file : int
        Bytes of one file.
    open_files : int
        Of one process, sockets and pipes among them.
    disk : int
        Bytes of all files that are written; they lie in memory.
    files : int
        Files and folders that are written.
    """

    memory: int = 4 * 2**30
    address_space: int = 32 * 2**30
    processes: int = 256
    file: int = 256 * 2**20
    open_files: int = 1024
    disk: int = 768 * 2**20
    files: int = 50_000


# Compared by identity: two sandboxes are never the same one.
@dataclass(eq=False)
class Sandbox:
    """Namespaces that bubblewrap made and holds open until `close`.

    Attributes
    ----------
    readable : iterable of Path
        Files and folders that are seen inside under their own names, read-only.
    handed_in : Path, optional
        A folder that is seen as ``/sandbox/handed-in``, read-only.
    writable : iterable of Path
        Folders that are seen under their own names and can be written to: for programs that are
        trusted with them, which keep the user's name, and nothing else.
    limits : Limits
    exceeded : str
        What was more than the limits allow, if anything was; then everything inside has ended.

    Raises
    ------
    SandboxError
        Where there is no bubblewrap, or no libseccomp, or no namespaces may be made.
    """

    readable: Iterable[Path] = ()
    handed_in: Path | None = None
    writable: Iterable[Path] = ()
    limits: Limits = field(default_factory=Limits)
    exceeded: str = ""
    folder = INSIDE
    _written = (Path("/tmp"), Path("/dev/shm"), INSIDE / WORK)

    def __post_init__(self) -> None:
        system_calls.library()
        self._closed = threading.Event()
        self._has_gpu = bool(gpus.visible())
        self._keeper = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
        )
        # The walls stand when the first program inside speaks.
        if self._keeper.stdout.readline() != b"ready\n":
            reason = self._keeper.stderr.read().decode(errors="replace").strip()
            self._keeper.kill()
            self._release()
            raise SandboxError(
                f"bubblewrap cannot make a sandbox here ({reason}). {HOW_TO_INSTALL}"
            )
        # bubblewrap's own child is the first process inside.
        self.pid = psutil.Process(self._keeper.pid).children()[0].pid
        self._first = Process(self.pid)
        _open.add(self)
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """End every process inside, and with the last one the namespaces and their files."""
        self._closed.set()
        _open.discard(self)
        self._end()
        self._release()

    def ticket(self) -> dict:
        """Return what a process needs to `enter`; JSON can hold it."""
        own = os.geteuid()
        user = own if own != 0 or self.writable else FIRST_USER + next(_users) % USERS
        return {
            "keeper": self.pid,
            "user": user,
            "limits": asdict(self.limits),
            "trusted": bool(self.writable),
            "gpu": self._has_gpu,
            "work": str(self.folder / WORK),
        }

    def outside(self, path: Path) -> Path:
        """Return a name under which a file inside is known outside."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def _command(self) -> list[str]:
        command = [find_bubblewrap(), "--die-with-parent", "--new-session", "--clearenv"]
        command += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        command += ["--unshare-cgroup-try", "--cap-drop", "ALL", "--hostname", "sandbox"]
        command += [] if os.geteuid() == 0 else ["--unshare-user"]
        command += self._file_system()
        return [*command, "--", "/bin/sh", "-c", "echo ready; exec sleep infinity"]

    def _file_system(self) -> list[str]:
        wall: list[str] = []
        for path in map(Path, SYSTEM):
            wall += _parents(path)
            if path.is_symlink():
                wall += ["--symlink", os.readlink(path), str(path)]
            elif path.exists():
                wall += ["--ro-bind", str(path), str(path)]
        wall += ["--proc", "/proc", "--tmpfs", "/dev"]
        devices = gpus.devices() if self._has_gpu else []
        for path in [*(Path("/dev", name) for name in DEVICES), *devices]:
            wall += ["--dev-bind", str(path), str(path)]
        wall += ["--symlink", "/proc/self/fd", "/dev/fd"]
        size = str(self.limits.disk // len(self._written))
        for folder in self._written:
            wall += [*_parents(folder), "--perms", "1777", "--size", size, "--tmpfs", str(folder)]
        seen = [*python_folders(), *self.readable]
        folders = _outermost(path.resolve() for path in seen)
        binds = [("--ro-bind", path, path) for path in folders]
        binds += [("--bind", path, path) for path in self.writable]
        if self.handed_in:
            binds.append(("--ro-bind", self.handed_in, self.folder / HANDED_IN))
        # What is known by a link is found by it.
        for path in seen:
            if path.resolve() != path and not any(path.is_relative_to(f) for f in folders):
                binds.append(("--symlink", path.resolve(), path))
        for how, outside, inside in binds:
            wall += [*_parents(inside), how, str(outside), str(inside)]
        # These are in memory as well, of any size, and an ordinary user's own.
        wall += ["--remount-ro", "/", "--remount-ro", "/dev"]
        # CUDA gives its threads names there.
        wall += [] if self._has_gpu else ["--remount-ro", "/proc"]
        return wall

    def _end(self) -> None:
        # With the first process inside end all others, whatever they have made of it.
        self._first.send_signal(signal.SIGKILL)
        self._keeper.kill()

    def _release(self) -> None:
        self._keeper.wait()
        for stream in (self._keeper.stdout, self._keeper.stderr):
            stream.close()

    def _watch(self) -> None:
        """End everything inside once it takes more than it may."""
        try:
            while not self.exceeded and not self._closed.wait(WATCH_SECONDS):
                self.exceeded = self._excess()
        except OSError:
            # Its first process has ended.
            pass
        finally:
            # What is not watched, for whatever reason, does not run.
            self._end()

    def _excess(self) -> str:
        """Return what is more than the limits allow; empty where nothing is."""
        # The inside has a /proc of its own, of what runs there and nothing else.
        inside = self.outside(Path("/proc"))
        running = [inside / name for name in os.listdir(inside) if name.isdigit()]
        if len(running) > self.limits.processes:
            return f"more than {self.limits.processes} processes"
        if self._takes_too_much_memory(running):
            return f"more than {self.limits.memory / 2**30:.0f} GB of memory"
        if self._files() > self.limits.files:
            return f"more than {self.limits.files:,} files"
        return ""

    def _files(self) -> int:
        """Count what was written; the names of files take memory, too."""
        try:
            systems = [os.statvfs(self.outside(folder)) for folder in self._written]
        except OSError:
            return 0
        return sum(system.f_files - system.f_ffree for system in systems)

    def _takes_too_much_memory(self, running: list[Path]) -> bool:
        # The exact look stops the programs for a moment: taken only where the quick one is high.
        return all(
            sum(map(look, running)) > self.limits.memory for look in (resident, proportional)
        )


def close_all() -> None:
    """End everything in every sandbox that this process has opened."""
    for sandbox in list(_open):
        sandbox.close()


class NoSandbox:
    """In a sandbox's place where submissions run with the lecturer's rights: it only tidies up."""

    exceeded = ""

    def __init__(self, handed_in: Path | None = None, **_: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="submission-"))
        (self.folder / WORK).mkdir()
        if handed_in:
            (self.folder / HANDED_IN).symlink_to(handed_in)

    def ticket(self) -> dict:
        return {"keeper": None, "work": str(self.folder / WORK)}

    def outside(self, path: Path) -> Path:
        return path

    def close(self) -> None:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder):
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def open_sandbox(**settings: Any) -> Sandbox | NoSandbox:
    """Return a new sandbox, or what takes its place where the lecturer has asked for that.

    Parameters are those of `Sandbox`.

    Raises
    ------
    SandboxError
        As `Sandbox` does.
    """
    return NoSandbox(**settings) if os.environ.get(WITH_MY_RIGHTS) == "1" else Sandbox(**settings)


@functools.cache
def require_sandbox() -> None:
    """Make sure that sandboxes can be had; where they can, that is found out once.

    Raises
    ------
    SandboxError
        As `Sandbox` does.
    """
    open_sandbox().close()


def find_bubblewrap() -> str:
    """Return where bubblewrap is.

    Raises
    ------
    SandboxError
        Where it is not installed, with the command that installs it.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxError(HOW_TO_INSTALL)
    return found


def python_folders() -> list[Path]:
    """Return what a Python program of the course reads to start."""
    package = Path(__file__).resolve().parents[1]
    return [Path(sys.prefix), Path(sys.base_prefix), package]


def enter(ticket: Mapping, report: Callable[[int], None]) -> None:
    """Step into a sandbox, for good; the caller must have one thread only, and `confine` itself.

    Namespaces of processes take in children only, so the rest of the program goes on in one.

    Parameters
    ----------
    ticket : dict
        From `Sandbox.ticket`.
    report : callable
        Is given the number of the process that goes on, as it is known outside.
    """
    if ticket["keeper"]:
        # Should the machine run out of memory, what runs there ends first, and not the grader.
        Path("/proc/self/oom_score_adj").write_text("1000")
        _join_namespaces(ctypes.CDLL(None, use_errno=True), ticket["keeper"])
    child = os.fork()
    if child:
        report(child)
        os._exit(0)


def confine(ticket: Mapping, environment: Mapping[str, str]) -> None:
    """Give up all rights, inside a sandbox, and the environment for another one.

    Parameters
    ----------
    ticket : dict
        From `Sandbox.ticket`.
    environment : dict of str
    """
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o022)
    os.chdir(ticket["work"])
    if ticket["keeper"]:
        _limit(Limits(**ticket["limits"]), ticket["gpu"])
        _drop_rights(ctypes.CDLL(None, use_errno=True), ticket["user"])
        if not ticket["trusted"]:
            system_calls.forbid(ticket["gpu"])


def _join_namespaces(libc: ctypes.CDLL, keeper: int) -> None:
    names = [
        name
        for name in NAMESPACES
        if os.readlink(f"/proc/{keeper}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    ]
    # All are opened before the first is joined: after it the paths may lead nowhere.
    opened = [os.open(f"/proc/{keeper}/ns/{name}", os.O_RDONLY) for name in names]
    for descriptor in opened:
        _done(libc.setns(descriptor, 0), "setns")
        os.close(descriptor)


def _limit(limits: Limits, gpu: bool) -> None:
    # CUDA gives addresses to the GPU's memory, too.
    address_space = resource.RLIM_INFINITY if gpu else limits.address_space
    for what, most in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_FSIZE, limits.file),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _drop_rights(libc: ctypes.CDLL, user: int) -> None:
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if os.geteuid() != user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    # An ordinary user's process got rights over the namespaces when it joined them.
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _done(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _done(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    # After a change of user a process may not read its own entries in /proc.
    _done(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl")


def _done(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _parents(path: Path) -> list[str]:
    """Have bubblewrap make a path's folders so that everybody may pass through them."""
    folders = list(path.parents)[-2::-1]
    return [word for folder in folders for word in ("--perms", "0755", "--dir", str(folder))]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Leave out what lies in another one of the folders, or in the system's."""
    chosen: list[Path] = []
    for path in sorted(set(paths), key=lambda each: len(each.parts)):
        if not any(path.is_relative_to(folder) for folder in [*chosen, *map(Path, SYSTEM)]):
            chosen.append(path)
    return chosen
