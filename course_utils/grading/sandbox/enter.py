"""Entering a sandbox and dropping all privileges in it."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from course_utils.grading.sandbox import kills, seccomp
from course_utils.grading.sandbox.limits import Limits
from course_utils.submission.messages import Ticket

NAMESPACES = ("user", "ipc", "uts", "net", "cgroup", "pid", "mnt")

# Constants from linux/prctl.h and linux/capability.h.
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38

CAPABILITY_VERSION_3 = 0x20080522


def enter(
    ticket: Ticket, started: Callable[[int], None], ended: Callable[[int, int], None]
) -> socket.socket:
    """Enter a sandbox for good; the caller must have a single thread and call `confine` next.

    Only new children of a process enter a PID namespace, so the program continues in a child, and
    its parent stays outside until the child has ended.

    Parameters
    ----------
    ticket : Ticket
        From `Sandbox.ticket`.
    started : callable
        Receives the id of the process that continues, as seen from outside.
    ended : callable
        Receives this id and the exit code: the negative number of a signal if one ended it.

    Returns
    -------
    socket
        The connection to the parent, for `confine`.
    """
    # The group's file cannot be reached from inside.
    group = os.open(ticket.group, os.O_WRONLY) if ticket.group else None
    if ticket.keeper:
        # If the machine runs out of memory, Linux should kill the submission and not the grader.
        Path("/proc/self/oom_score_adj").write_text("1000")
        _join_namespaces(ctypes.CDLL(None, use_errno=True), ticket.keeper)
    near, far = socket.socketpair()
    child = os.fork()
    if child:
        far.close()
        started(child)
        kills.supervise(near, child)
        _, status = os.waitpid(child, 0)
        ended(child, os.waitstatus_to_exitcode(status))
        os._exit(0)
    near.close()
    if group is not None:
        os.write(group, b"0")
        os.close(group)
    return far


def confine(ticket: Ticket, environment: Mapping[str, str], parent: socket.socket) -> None:
    """Drop all privileges inside a sandbox and replace the environment.

    Parameters
    ----------
    ticket : Ticket
        From `Sandbox.ticket`.
    environment : dict of str
        The only environment variables that the program sees.
    parent : socket
        From `enter`; it is closed.
    """
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.umask(0o022)
    os.chdir(ticket.work)
    if ticket.keeper:
        limits = Limits(**ticket.limits)
        _limit(limits, ticket.gpu)
        _drop_rights(ctypes.CDLL(None, use_errno=True), ticket.user)
        if not ticket.trusted:
            kills.listen(seccomp.forbid(ticket.gpu), parent)
        # Linux refuses to pass a file on where more are on their way than this limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    parent.close()


def _join_namespaces(libc: ctypes.CDLL, keeper: int) -> None:
    names = [
        name
        for name in NAMESPACES
        if os.readlink(f"/proc/{keeper}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
    ]
    # All files are opened before the first namespace is joined, because the paths may then be gone.
    opened = [os.open(f"/proc/{keeper}/ns/{name}", os.O_RDONLY) for name in names]
    for descriptor in opened:
        _done(libc.setns(descriptor, 0), "setns")
        os.close(descriptor)


def _limit(limits: Limits, gpu: bool) -> None:
    # CUDA also reserves address space for the GPU's memory.
    address_space = resource.RLIM_INFINITY if gpu else limits.address_space
    # At the second limit, the system would send SIGKILL, which means something else here.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.processor, resource.RLIM_INFINITY))
    for what, most in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_FSIZE, limits.file),
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
    # A process of an ordinary user has gained capabilities in the namespaces that it joined.
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _done(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _done(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    # Without this, a process cannot read its own entries in /proc after a change of user.
    _done(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl")


def _done(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
