"""Deciding whom a program in a sandbox may end by SIGKILL.

A program that was ended by SIGKILL counts as ended from outside, so it must not be able to end
itself in this way. It may end what it has started. A filter of system calls sees only the number
in a call of `kill`, which can be the id of any thread, so Linux asks the process that waits outside
for the program's end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct

from course_utils.grading.sandbox.limits import MAX_KILLS

# A listener's requests, from linux/seccomp.h: to receive a call, and to answer it.
RECEIVE, ANSWER = 0xC0502100, 0xC0182101
# `struct seccomp_notif`, of which only the call's id and its first argument matter here, and
# `struct seccomp_notif_resp`: id, result, error, flags.
CALL, RESULT = struct.Struct("=Q24xQ40x"), struct.Struct("=QqiI")

# The first two processes of a sandbox, with which it ends.
FIRST = frozenset({1, 2})


def listen(listener: int, supervisor: socket.socket) -> None:
    """Hand this process's listener to `supervise`, and close it here."""
    socket.send_fds(supervisor, [str(os.getpid()).encode()], [listener])
    os.close(listener)


def supervise(program: socket.socket, pid: int) -> None:
    """Carry out the SIGKILLs of a program and its children until it has ended.

    Parameters
    ----------
    program : socket
        Receives the listener from `listen`; nothing, if the program is not confined.
    pid : int
        The program's id.
    """
    with program:
        number, listeners, _, _ = socket.recv_fds(program, 20, 1)
    if not listeners:
        return
    (listener,), ended = listeners, os.pidfd_open(pid)
    protected = FIRST | {int(number)}
    for _ in range(MAX_KILLS):
        readable, _, _ = select.select([listener, ended], [], [])
        if ended in readable:
            break
        # The caller of `kill` may have ended meanwhile.
        with contextlib.suppress(OSError):
            call = bytearray(CALL.size)
            fcntl.ioctl(listener, RECEIVE, call)
            name, target = CALL.unpack(call)
            error = _kill(target & 0xFFFFFFFF, protected)
            fcntl.ioctl(listener, ANSWER, RESULT.pack(name, 0, -error, 0))
    # Linux refuses all calls that nobody listens to.
    os.close(listener)
    os.close(ended)


def _kill(target: int, protected: frozenset[int]) -> int:
    """Send SIGKILL to a process of this sandbox; return the error, or 0.

    Parameters
    ----------
    target : int
        Id of a process or of one of its threads, as the programs in the sandbox see it.
    protected : set of int
        The processes that no SIGKILL may end.
    """
    if target == 0:  # the caller's group, which can be the program's
        return errno.EPERM
    with contextlib.ExitStack() as opened:
        try:
            # The folder always refers to the same process, unlike its number.
            process = os.open(f"/proc/{target}", os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, process)
            with open(os.open("status", os.O_RDONLY, dir_fd=process), "rb") as status:
                group = re.search(rb"^Tgid:\t(\d+)$", status.read(), re.MULTILINE)
            if not group or int(group[1]) in protected:
                return errno.EPERM
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except OSError:
            return errno.ESRCH
    return 0
