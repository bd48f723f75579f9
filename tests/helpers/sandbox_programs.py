"""Programs that try what no program in a sandbox may do."""

from __future__ import annotations

# What would be memory that no process has, or a way to file systems of any size.
GRASP = """
import ctypes, json, mmap, os, platform, signal, socket

libc = ctypes.CDLL(None, use_errno=True)
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
