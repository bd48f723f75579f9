"""Programs that try what no program in a sandbox may do."""

from __future__ import annotations

# Attempts to get memory that belongs to no process, or file systems of any size.
GRASP = """
import ctypes, json, mmap, os, platform, signal, socket

libc = ctypes.CDLL(None, use_errno=True)
REQUESTS = 206 if platform.machine() == "x86_64" else 0  # io_setup
had = []

def grasp(what, how):
    try:
        if how() != -1:
            had.append(what)
    except OSError:
        pass

def new_namespace():
    child = os.fork()
    if child == 0:
        os._exit(libc.unshare(0x10000000) == 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or -1

def splice(size):
    return libc.vmsplice(os.pipe()[1], (ctypes.c_size_t * 2)(id(size), 8), 1, 0)

def thread_with_its_own_files():
    number = 56 if platform.machine() == "x86_64" else 220
    # The flags of clone: common memory, common signal handlers, a thread.
    return libc.syscall(number, 0x100 | 0x800 | 0x10000, 0, 0, 0, 0)

def timer():
    # struct sigevent: a value, the signal, and the way it is sent.
    event = (ctypes.c_int * 16)(0, 0, signal.SIGKILL, 0)
    return libc.timer_create(0, event, (ctypes.c_void_p * 1)())

def large_buffer():
    socket.socketpair()[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**30)

grasp("shared memory without a file", lambda: mmap.mmap(-1, 4096))
grasp("shared memory in a device", lambda: open("/dev/zero"))
grasp("pages in a pipe", lambda: splice(1))
grasp("attributes", lambda: os.setxattr("/tmp", "user.x", b"x"))
grasp("large buffers", large_buffer)
grasp("the keeper's memory", lambda: open("/proc/1/mem", "r+b"))
grasp("its place when memory is out", lambda: open("/proc/self/oom_score_adj", "w"))
grasp("file in memory", lambda: os.memfd_create("x"))
grasp("shared memory", lambda: libc.shmget(0, 2**20, 0o1600))
grasp("messages", lambda: libc.msgget(0, 0o1600))
grasp("a queue of messages", lambda: ctypes.CDLL("librt.so.1").mq_open(b"/x", 0o102, 0o600, None))
grasp("requests to files", lambda: libc.syscall(REQUESTS, 1, (ctypes.c_void_p * 1)()))
grasp("a timer that kills", timer)
grasp("files that only a thread has", thread_with_its_own_files)
grasp("an internet socket", lambda: socket.socket())
grasp("a socket of the system", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
grasp("new namespace", new_namespace)
grasp("file system", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, b""))
grasp("another process", lambda: libc.ptrace(16, os.getppid(), 0, 0))
for folder in ("/", "/dev", "/etc", "/sandbox", "/usr", "/proc"):
    grasp(folder, lambda: open(os.path.join(folder, "x"), "w").close())
grasp("a thread's name", lambda: open("/proc/thread-self/comm", "w").write("x"))
print(json.dumps(had))
"""

# Every way to a SIGKILL, and to the end of a sandbox, that a program has.
KILLS_ITSELF = """
import ctypes, fcntl, os, platform, resource, signal, socket, threading

libc = ctypes.CDLL(None, use_errno=True)
me = os.getpid()
other = threading.Thread(target=threading.Event().wait, daemon=True)
other.start()

def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "")

def sigaction_of_a_file(command, value):
    with socket.socketpair()[0] as file:
        fcntl.fcntl(file, command, value)

def owned_by(target, request):
    with socket.socketpair()[0] as file:
        fcntl.ioctl(file, request, ctypes.c_int(target))

def in_a_child(kill):
    child = os.fork()
    if child == 0:
        try:
            kill()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1:
        raise PermissionError

def attempts():
    for target in (me, 0, -1, -os.getpgid(0), other.native_id, other.native_id + 2**32):
        yield lambda target=target: libc_kill(target, signal.SIGKILL)
    for target in (me, other.native_id):
        yield lambda target=target: in_a_child(lambda: os.kill(target, signal.SIGKILL))
    yield lambda: signal.pthread_kill(threading.get_ident(), signal.SIGKILL)
    yield lambda: signal.pidfd_send_signal(os.pidfd_open(me), signal.SIGKILL)
    for first in (1, 2, -2, -1):
        yield lambda first=first: os.kill(first, signal.SIGTERM)
    for limit in (resource.RLIMIT_CPU, 15):
        yield lambda limit=limit: resource.setrlimit(limit, (1, 1))
    yield lambda: sigaction_of_a_file(fcntl.F_SETSIG, signal.SIGKILL)
    for command in (fcntl.F_SETOWN, 15):
        yield lambda command=command: sigaction_of_a_file(command, 2)
    for request in (0x8901, 0x8902):
        yield lambda request=request: owned_by(2, request)
    # clone: a child whose end sends SIGKILL
    number = 56 if platform.machine() == "x86_64" else 220
    yield lambda: call(number, signal.SIGKILL, 0, 0, 0, 0)

def libc_kill(target, number):
    call(62 if platform.machine() == "x86_64" else 129, ctypes.c_long(target), number)

refused = 0
for attempt in attempts():
    try:
        attempt()
    except (PermissionError, ValueError):
        refused += 1
"""

# Full buffers, which /proc does not show.
FILLS_SOCKETS = """
import socket, time
kept = []
for _ in range(500):
    pair = socket.socketpair()
    kept.append(pair)
    for one in pair:
        one.setblocking(False)
        try:
            while True:
                one.send(b"x" * 2**16)
        except OSError:
            pass
time.sleep(60)
"""

# Its processes compute for a moment each, and Linux forgets for how long; others wait meanwhile.
FORGETS = """
import os, signal, time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for number in range(6):
    if os.fork() == 0:
        while number == 0:
            pass
        while True:
            if os.fork() == 0:
                end = time.monotonic() + 0.05
                while time.monotonic() < end:
                    pass
                os._exit(0)
            time.sleep(0.05)
time.sleep(60)
"""

# Processes of every kind that somebody waits for: children, and theirs that the first one receives.
IS_COUNTED = """
import os, subprocess, sys

while True:
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 9999 ]; do i=$((i+1)); done"])
    if os.fork() == 0:
        if os.fork() == 0:
            sum(range(10**6))
        os._exit(0)
    os.wait()
"""

# Processes that all wake at the same moment, and so wait for each other, each for a moment.
WAKE_TOGETHER = """
import os, time

for _ in range(150):
    if os.fork() == 0:
        break
while True:
    time.sleep(0.2 - time.monotonic() % 0.2)
"""
