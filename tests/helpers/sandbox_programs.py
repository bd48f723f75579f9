"""Programs that try what no program in a sandbox may do."""

from __future__ import annotations

# What would be memory that no process has, or a way to file systems of any size.
GRASP = """
import ctypes, json, mmap, os, socket

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
grasp("new namespace", new_namespace)
grasp("file system", lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, b""))
grasp("another process", lambda: libc.ptrace(16, os.getppid(), 0, 0))
for folder in ("/", "/dev", "/etc", "/sandbox", "/usr", "/proc"):
    grasp(folder, lambda: open(os.path.join(folder, "x"), "w").close())
grasp("a thread's name", lambda: open("/proc/thread-self/comm", "w").write("x"))
print(json.dumps(had))
"""
