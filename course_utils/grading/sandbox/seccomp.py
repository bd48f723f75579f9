"""What a program in a sandbox may not ask of the system; libseccomp has the system refuse it."""

from __future__ import annotations

import ctypes
import errno
import functools

from course_utils.errors import SandboxError

FORBIDDEN = (
    # Memory that belongs to no process, so that nobody would count it.
    "memfd_secret", "shmget", "msgget", "semget", "vmsplice",
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    # Namespaces, in which a program would have rights, and could mount file systems of any size.
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    # Other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
    # Large parts of the system that no notebook needs, and that have had many holes.
    "add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
)  # fmt: skip

# Younger than some libseccomp; the numbers are the same on all machines.
NUMBERS = {"mount_setattr": 442, "memfd_secret": 447, "setxattrat": 463}

# A new process in new namespaces, from linux/sched.h: user, process numbers, network, ...
NEW_NAMESPACES = (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x08000000, 0x04000000,
                  0x02000000)  # fmt: skip

# Of mmap: memory that is shared and has no file. Nobody has it once it is not looked at.
SHARED_WITHOUT_FILE = 0x21

# Of setsockopt: larger buffers.
SOL_SOCKET, BUFFER_SIZES = 1, (7, 8, 32, 33)

# From seccomp.h.
ALLOW, ERROR, MASKED_EQUAL, UNKNOWN = 0x7FFF0000, 0x00050000, 7, -1


class _Comparison(ctypes.Structure):
    """That an argument, where a mask leaves it, has certain bits; ``struct scmp_arg_cmp``."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operation", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("bits", ctypes.c_uint64),
    )


def forbid(gpu: bool) -> None:
    """Have the system refuse `FORBIDDEN` calls to this process and its children, for good.

    Parameters
    ----------
    gpu : bool
        Whether it may use a GPU: CUDA does not start without a file in memory, and shared memory
        without a file.

    Raises
    ------
    OSError
        Where that cannot be done.
    """
    context = ctypes.c_void_p(library().seccomp_init(ctypes.c_uint32(ALLOW)))
    for name in FORBIDDEN:
        _refuse(context, name, errno.EPERM)
    for flag in NEW_NAMESPACES:
        _refuse(context, "clone", errno.EPERM, _has(0, flag))
    if not gpu:
        _refuse(context, "memfd_create", errno.EPERM)
        _refuse(context, "mmap", errno.EPERM, _has(3, SHARED_WITHOUT_FILE))
    for size in BUFFER_SIZES:
        _refuse(context, "setsockopt", errno.EPERM, _is(1, SOL_SOCKET), _is(2, size))
    # Its arguments cannot be seen; programs then use the older call.
    _refuse(context, "clone3", errno.ENOSYS)
    _done(library().seccomp_load(context), "seccomp_load")
    library().seccomp_release(context)


@functools.cache
def library() -> ctypes.CDLL:
    """Return libseccomp.

    Raises
    ------
    SandboxError
        Where it is not installed, with the command that installs it.
    """
    try:
        found = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise SandboxError(
            "Submissions are run in a sandbox only, which needs libseccomp (Debian, Ubuntu: "
            "sudo apt-get install libseccomp2; in a checkout: make sandbox)."
        ) from error
    found.seccomp_init.restype = ctypes.c_void_p
    return found


def _has(argument: int, flags: int) -> _Comparison:
    return _Comparison(argument, MASKED_EQUAL, flags, flags)


def _is(argument: int, value: int) -> _Comparison:
    return _Comparison(argument, MASKED_EQUAL, 0xFFFFFFFF, value)


def _refuse(context: ctypes.c_void_p, name: str, number: int, *when: _Comparison) -> None:
    call = library().seccomp_syscall_resolve_name(name.encode())
    call = NUMBERS[name] if call == UNKNOWN else call
    comparisons = (_Comparison * len(when))(*when)
    _done(
        library().seccomp_rule_add_array(
            context, ctypes.c_uint32(ERROR | number), call, len(when), comparisons
        ),
        name,
    )


def _done(result: int, what: str) -> None:
    if result != 0:
        raise OSError(-result, what)
