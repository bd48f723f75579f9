"""System calls that Linux refuses to programs in a sandbox, through a filter of libseccomp."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import resource
import signal
import socket

from course_utils.errors import SandboxError
from course_utils.grading.sandbox import kills

# System calls that are refused whatever their arguments are.
FORBIDDEN = (
    # Memory that belongs to no process, so no limit would count it.
    "memfd_secret", "shmget", "msgget", "semget", "mq_open", "vmsplice",
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    # Namespaces, in which a program would have capabilities and could mount large file systems.
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    # Access to other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "pidfd_send_signal", "kcmp",
    # Signals of the program's choice, sent by the system: SIGKILL could be one of them.
    "timer_create", "mq_notify",
    # Requests of which the whole machine can have a limited number only.
    "io_setup",
    # Large parts of Linux that no notebook needs and that have had many vulnerabilities.
    "add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
)  # fmt: skip

# Numbers of calls that are newer than some versions of libseccomp; all architectures share them.
NUMBERS = {"mount_setattr": 442, "memfd_secret": 447, "setxattrat": 463}

# Flags of `clone` for new namespaces, from linux/sched.h: user, PID, network, ...
NEW_NAMESPACES = (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x08000000, 0x04000000,
                  0x02000000)  # fmt: skip

# Flags of `clone` for a thread and for a common table of open files, from linux/sched.h. A thread
# with a table of its own could open files that nobody counts.
THREAD, COMMON_FILES = 0x00010000, 0x00000400

# Commands of `fcntl` that lock a file or take a lease on it, from linux/fcntl.h.
LOCKS = (6, 7, 37, 38, 1024)

# Calls that choose a lower priority. A process that hardly ever gets a core would seem to wait for
# one all the time, and time in which a program waits is not its own.
PRIORITIES = ("setpriority", "sched_setscheduler", "sched_setparam", "sched_setattr")

# Flags of `mmap` for shared memory without a file. A program can drop such pages from its page
# tables; they then stay in memory and count for no process.
SHARED_WITHOUT_FILE = 0x21

# Flags of `clone`: the signal that the parent receives at the child's end.
EXIT_SIGNAL = 0xFF

# Calls that send a signal to threads or with data, and the place of the signal among the arguments.
# A program cannot end itself by SIGKILL with them, nor with `kill` (see `kills`): this signal means
# that it was ended from outside.
SENDS_SIGNAL = {"tkill": 1, "tgkill": 2, "rt_sigqueueinfo": 1, "rt_tgsigqueueinfo": 2}

# Command of `fcntl` that chooses a signal, and those with which somebody else receives it when a
# file is ready, from linux/fcntl.h; the latter also as requests of `ioctl`, from asm/sockios.h.
F_SETSIG, OWNERS, OWNER_REQUESTS = 10, (8, 15), (0x8901, 0x8902)

# Limits at which the system sends SIGKILL: on the processor's time, also without a pause.
ENDED_AT = (resource.RLIMIT_CPU, 15)

# Bit of the id in `kill` that stands for a group of processes.
NEGATIVE = 0x80000000

# Level and options of `setsockopt` that enlarge a socket's buffers.
SOL_SOCKET, BUFFER_SIZES = 1, (7, 8, 32, 33)

# Constants from seccomp.h.
ALLOW, ERROR, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
# Level of libseccomp and Linux from which on a process outside can decide on a call.
DECIDED_OUTSIDE = 5

# Constants of libseccomp.
NOT_EQUAL, MASKED_EQUAL, UNKNOWN = 1, 7, -1


class _Comparison(ctypes.Structure):
    """A comparison of a call's masked argument with certain bits: ``struct scmp_arg_cmp``."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("bits", ctypes.c_uint64),
    )


def forbid(gpu: bool) -> int:
    """Make Linux refuse the `FORBIDDEN` calls to this process and its children, permanently.

    Locks on files have no effect from then on.

    Parameters
    ----------
    gpu : bool
        Whether the process may use a GPU. CUDA does not start without files in memory and shared
        memory without a file, so both are then allowed, and so are sockets of every family.

    Returns
    -------
    int
        The listener, a file, from which a call of `kill` with SIGKILL can be received (see
        `kills`). Such a call waits for the answer.

    Raises
    ------
    OSError
        If the filter cannot be installed.
    """
    context = ctypes.c_void_p(library().seccomp_init(ctypes.c_uint32(ALLOW)))
    for name in FORBIDDEN:
        _refuse(context, name, errno.EPERM)
    for flag in NEW_NAMESPACES:
        _refuse(context, "clone", errno.EPERM, _has(0, flag))
    _refuse(context, "clone", errno.EPERM, _has(0, THREAD, of=THREAD | COMMON_FILES))
    _refuse(context, "clone", errno.EPERM, _has(0, signal.SIGKILL, of=EXIT_SIGNAL))
    if not gpu:
        # Kernels and tests talk through sockets in files; no other family is needed.
        for name in ("socket", "socketpair"):
            _refuse(context, name, errno.EOPNOTSUPP, _is_not(0, socket.AF_UNIX))
        _refuse(context, "memfd_create", errno.EPERM)
        _refuse(context, "mmap", errno.EPERM, _has(3, SHARED_WITHOUT_FILE))
    for size in BUFFER_SIZES:
        _refuse(context, "setsockopt", errno.EPERM, _is(1, SOL_SOCKET), _is(2, size))
    # A lock on a file that others see would hold them up. Programs go on after a lock of their own
    # files, so the call says that it has succeeded, and does nothing.
    _refuse(context, "flock", 0)
    for command in LOCKS:
        _refuse(context, "fcntl", 0, _is(1, command))
    for name in PRIORITIES:  # without an effect, as locks
        _refuse(context, name, 0)
    for name, argument in SENDS_SIGNAL.items():
        _refuse(context, name, errno.EPERM, _is(argument, signal.SIGKILL))
    # The sandbox ends with its first two processes, which an ordinary user's programs could end.
    for name in ("kill", *SENDS_SIGNAL):
        for first in kills.FIRST:
            _refuse(context, name, errno.EPERM, _is(0, first))
    for target in (-1, -2):  # everybody, and the group of the first processes
        _refuse(context, "kill", errno.EPERM, _is(0, target))
    # Other ways to have the system send SIGKILL, or a signal to those two: at a time limit, or when
    # a file is ready.
    for limit in ENDED_AT:
        _refuse(context, "setrlimit", errno.EPERM, _is(0, limit))
        _refuse(context, "prlimit64", errno.EPERM, _is(1, limit), _is_not(2, 0))
    _refuse(context, "fcntl", errno.EPERM, _is(1, F_SETSIG), _is(2, signal.SIGKILL))
    for command in OWNERS:
        _refuse(context, "fcntl", errno.EPERM, _is(1, command))
    for request in OWNER_REQUESTS:
        _refuse(context, "ioctl", errno.EPERM, _is(1, request))
    # The process's own group, and any other process, of which only its id is known here.
    _refuse(context, "kill", errno.EPERM, _is(0, -os.getpid()), _is(1, signal.SIGKILL))
    _rule(context, "kill", NOTIFY, _has(0, 0, of=NEGATIVE), _is(1, signal.SIGKILL))
    # A filter cannot read the arguments of clone3; after this error, programs use clone instead.
    _refuse(context, "clone3", errno.ENOSYS)
    _done(library().seccomp_load(context), "seccomp_load")
    listener = library().seccomp_notify_fd(context)
    library().seccomp_release(context)
    return listener


@functools.cache
def library() -> ctypes.CDLL:
    """Return libseccomp.

    Raises
    ------
    SandboxError
        If it is not installed, or it or Linux is too old; the message says what to do.
    """
    try:
        found = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise SandboxError(
            "Submissions run only in a sandbox, which needs libseccomp: install it (Debian, "
            "Ubuntu: sudo apt-get install libseccomp2; in a checkout: make sandbox)."
        ) from error
    if found.seccomp_api_get() < DECIDED_OUTSIDE:
        raise SandboxError(
            "Upgrade this system: submissions run only in a sandbox, which needs libseccomp 2.5 "
            "and Linux 5.0, or newer ones."
        )
    found.seccomp_init.restype = ctypes.c_void_p
    return found


def _has(argument: int, flags: int, of: int = 0) -> _Comparison:
    """Compare an argument: of the flags in `of`, it has exactly these."""
    return _Comparison(argument, MASKED_EQUAL, of or flags, flags)


def _is(argument: int, value: int) -> _Comparison:
    return _Comparison(argument, MASKED_EQUAL, 0xFFFFFFFF, value & 0xFFFFFFFF)


def _is_not(argument: int, value: int) -> _Comparison:
    return _Comparison(argument, NOT_EQUAL, value, 0)


def _refuse(context: ctypes.c_void_p, name: str, number: int, *when: _Comparison) -> None:
    _rule(context, name, ERROR | number, *when)


def _rule(context: ctypes.c_void_p, name: str, action: int, *when: _Comparison) -> None:
    call = library().seccomp_syscall_resolve_name(name.encode())
    call = NUMBERS[name] if call == UNKNOWN else call
    comparisons = (_Comparison * len(when))(*when)
    _done(
        library().seccomp_rule_add_array(
            context, ctypes.c_uint32(action), call, len(when), comparisons
        ),
        name,
    )


def _done(result: int, what: str) -> None:
    if result != 0:
        raise OSError(-result, what)
