"""The sandbox: what it limits, hides and reports."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import psutil
import pytest
from nbformat.v4 import new_code_cell
from sandbox_programs import FILLS_SOCKETS, GRASP, KILLS_ITSELF
from small_notebooks import wait_for

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.kernel import data_folders
from course_utils.grading.examine.submission import examine
from course_utils.grading.sandbox import bubblewrap, fork_server, gpus, seccomp
from course_utils.grading.sandbox.bubblewrap import Sandbox, _parents
from course_utils.grading.sandbox.procfs import resident
from course_utils.paths import PACKAGE


def test_without_bubblewrap_one_sentence(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="install bubblewrap"):
        Sandbox()


@pytest.mark.process
def test_the_fork_server_imports_the_library_that_sandboxes_show():
    server = psutil.Process(fork_server.shared()._process.pid)
    assert server.environ()["PYTHONPATH"] == str(PACKAGE.parent)


@pytest.mark.sandbox
def test_a_program_that_cannot_be_confined_ends_and_the_next_one_starts(caplog):
    caplog.set_level(logging.DEBUG, fork_server.log.name)
    with contextlib.closing(Sandbox()) as sandbox:
        nowhere = sandbox.ticket().model_copy(update={"work": "/nowhere"})
        broken = psutil.Process(fork_server.shared().start("time:sleep", nowhere, {}, [60]))
        sound = psutil.Process(fork_server.shared().start("time:sleep", sandbox.ticket(), {}, [60]))
        wait_for(lambda: not broken.is_running() or broken.status() == psutil.STATUS_ZOMBIE)
        assert sound.is_running()
        assert f"time:sleep: {sound.pid}" in caplog.messages
        assert sound.status() != psutil.STATUS_ZOMBIE


# Messages of sandboxes that were ended. A sandbox has two processes of its own.
EXCEEDED = '''
import contextlib, time
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.limits import Limits
from course_utils.grading.sandbox.bubblewrap import Sandbox

def exceeded(programs, **limits):
    with contextlib.closing(Sandbox(limits=Limits(**limits))) as sandbox:
        for program, argument in programs:
            fork_server.shared().start(program, sandbox.ticket(), {}, [argument])
        end = time.monotonic() + 20
        while not sandbox.exceeded and time.monotonic() < end:
            time.sleep(0.1)
        return sandbox.exceeded

HIDES = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); x = b'1' * 2**30"
print(exceeded([("time:sleep", 60), ("time:sleep", 60)], processes=3))
print(exceeded([("builtins:exec", HIDES + "; time.sleep(60)")], memory=2**30))
# Its first thread ends, and with it what /proc says of the whole process.
HEADLESS = """
import ctypes, platform, threading, time
kept = b"1" * 2**30
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall(60 if platform.machine() == "x86_64" else 93, 0)
"""
print(exceeded([("builtins:exec", HEADLESS)], memory=2**30))
# Names of its own, which say what the system says of memory.
NAMED = """
import ctypes, os, time
for _ in range(3):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(15, b"\\\\rVmRSS: -999999", 0, 0, 0)
        time.sleep(60)
ctypes.CDLL(None).prctl(15, b"\\\\xff\\\\rPss: 0 kB", 0, 0, 0)
kept = b"1" * 2**30
time.sleep(60)
"""
print(exceeded([("builtins:exec", NAMED)], memory=2**30))
SOCKETS = <sockets>
print(exceeded([("builtins:exec", SOCKETS)], memory=2**30))
MANY = "import os, time\\nfor n in range(3000): os.mkdir(f'/tmp/{n}')\\ntime.sleep(60)"
print(exceeded([("builtins:exec", MANY)], files=1000))
'''.replace("<sockets>", repr(f"import os\nos.fork() and os.fork()\n{FILLS_SOCKETS}"))


MORE_THAN_ALLOWED = [
    "more than 3 processes", "more than 1 GB of memory", "more than 1 GB of memory",
    "more than 1 GB of memory", "more than 1 GB of memory", "more than 1,000 files",
]  # fmt: skip


@pytest.mark.sandbox
def test_a_sandbox_that_takes_too_much_ends(capsys):
    exec(EXCEEDED, {})
    assert capsys.readouterr().out.splitlines() == MORE_THAN_ALLOWED


HOLDS = """
import fcntl, os, time
fcntl.flock(open({shared!r}, "rb"), fcntl.LOCK_EX)
open("/tmp/holds", "w").close()
time.sleep(60)
"""


@pytest.mark.sandbox
def test_a_lock_in_a_sandbox_keeps_nobody_waiting(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "shared").touch()
    with contextlib.closing(Sandbox(readable=[tmp_path])) as sandbox:
        program = HOLDS.format(shared=str(tmp_path / "shared"))
        fork_server.shared().start("builtins:exec", sandbox.ticket(), {}, [program])
        wait_for(sandbox.outside(Path("/tmp/holds")).exists)
        with (tmp_path / "shared").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.sandbox
def test_a_folder_is_visible_under_each_of_its_names_also_twice(tmp_path):
    """As with a cache and a data folder that are links to the same disk."""
    tmp_path.chmod(0o755)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "data").write_text("data")
    links = [tmp_path / "link", tmp_path / "other"]
    for link in links:
        link.symlink_to(tmp_path / "disk")
    readable = [*links, tmp_path / "disk", *links, links[0] / "data"]
    program = (
        "import time\n"
        f"read = [open(f'{{place}}/data').read() for place in {list(map(str, links))}]\n"
        "open('/tmp/read', 'w').write(' '.join(read))\ntime.sleep(60)"
    )
    with contextlib.closing(Sandbox(readable=readable)) as sandbox:
        fork_server.shared().start("builtins:exec", sandbox.ticket(), {}, [program])
        said = sandbox.outside(Path("/tmp/read"))
        wait_for(lambda: said.exists() and said.read_text() == "data data")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", [env.CACHE.name, env.KERAS_HOME.name, "HOME"])
def test_a_folder_may_be_named_from_another_one(tmp_path, monkeypatch, name):
    """As in `HOME=../home`: the folder in between is not in the sandbox."""
    (tmp_path / "between").mkdir()
    home = tmp_path / "home"
    for folder in ("datasets", "models", ".cache/course_utils/datasets"):
        (home / folder).mkdir(parents=True)
    if name == "HOME":
        monkeypatch.delenv(env.CACHE.name, raising=False)
    monkeypatch.setenv(name, f"{tmp_path}/between/../home")
    folders = data_folders()
    assert any(folder.is_relative_to(home) for folder in folders)
    Sandbox(readable=folders).close()


@pytest.mark.sandbox
def test_what_is_not_watched_does_not_run():
    with (
        mock.patch.object(bubblewrap, "excess", side_effect=FileNotFoundError),
        contextlib.closing(Sandbox()) as sandbox,
    ):
        wait_for(lambda: not psutil.pid_exists(sandbox.pid))
        assert sandbox.exceeded == ""


@pytest.mark.process
def test_a_process_that_is_gone_has_no_memory_and_no_error():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert resident(Path(f"/proc/{gone.pid}")) == 0


NEEDED_BY_CUDA = [
    "shared memory without a file", "its place when memory is out", "file in memory",
    "an internet socket", "a socket of the system", "a thread's name",
]  # fmt: skip


def had() -> list[str]:
    """Run the attack in a sandbox, and return what it got."""
    (cell,) = examine(Job([new_code_cell(GRASP)], [], {}, 60, 60, False)).cells
    # From Python 3.12 on, forking says something of its own.
    return json.loads("".join(o.text for o in cell.outputs if o.name == "stdout"))


@pytest.mark.sandbox
def test_what_nobody_would_count_cannot_be_had(monkeypatch):
    monkeypatch.setenv(env.GPUS.name, "")
    assert had() == []


@pytest.mark.sandbox
def test_beside_a_gpu_only_what_cuda_needs_can_be_had(monkeypatch):
    # No device of it is here, and nothing asks for one.
    monkeypatch.setattr(gpus, "visible", lambda: ["0"])
    gpus._free.cache_clear()
    assert had() == NEEDED_BY_CUDA
    gpus._free.cache_clear()


OLD = mock.Mock(seccomp_api_get=lambda: 4)


@pytest.mark.parametrize(
    ("library", "told"),
    [(mock.Mock(side_effect=OSError), "libseccomp2"), (lambda name: OLD, r"libseccomp 2\.5")],
)
def test_without_libseccomp_or_with_an_old_one_one_sentence(monkeypatch, library, told):
    monkeypatch.setattr(seccomp.ctypes, "CDLL", library)
    seccomp.library.cache_clear()
    with pytest.raises(SandboxError, match=told):
        Sandbox()


# Everything that a program finds of the grader's environment, wherever Linux keeps one.
ENVIRONMENTS = r"""
import glob, json, os, subprocess

def variables(text, separator):
    return dict(line.partition("=")[::2] for line in text.split(separator) if line)

found = {"own": dict(os.environ)}
found["child"] = variables(subprocess.check_output(["env"], text=True), "\n")
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/self/task/*/environ"):
    try:
        found[path] = variables(open(path).read(), "\0")
    except OSError:
        pass
shell = subprocess.check_output(["sh", "-c", "export -p; echo ~"], text=True)
print(json.dumps([found, shell, os.path.expanduser("~")]))
"""

# Beside these, a program sees only settings with fixed values.
OF_THE_COURSE = {
    "COURSE_START", "COURSE_DATA", "COURSE_CACHE", "COURSE_EXAMINED", "COURSE_PREDICTED",
    "COURSE_THREADS", "KERAS_HOME", "KERAS_BACKEND", "CUDA_VISIBLE_DEVICES", "NBGRADER_EXECUTION",
    "PYTHONPATH",
}  # fmt: skip
OF_IPYTHON = {"TERM", "CLICOLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "PAGER", "GIT_PAGER"}


@pytest.mark.sandbox
def test_the_environment_of_a_program_tells_nothing_about_who_grades(tmp_path):
    """In a process of its own, because the fork server keeps the environment of its start."""
    secrets = {"PATH": f"{tmp_path}/bin-of-the-lecturer:{os.environ['PATH']}",
               "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "TOKEN": "secret-of-the-lecturer",
               "LD_LIBRARY_PATH": "/opt/of-the-lecturer", "PYTHONSTARTUP": "/of-the-lecturer.py",
               "http_proxy": "http://of-the-lecturer", "USER": "of-the-lecturer",
               "LOGNAME": "of-the-lecturer", "SSH_AUTH_SOCK": "/of-the-lecturer"}  # fmt: skip
    program = (
        "from nbformat.v4 import new_code_cell\n"
        "from course_utils.grading.examine.job import Job\n"
        "from course_utils.grading.examine.submission import examine\n"
        f"cells = [new_code_cell({ENVIRONMENTS!r})]\n"
        "(cell,) = examine(Job(cells, [], {}, 60, 60, False)).cells\n"
        "print(''.join(o.text for o in cell.outputs if o.get('name') == 'stdout'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | secrets, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of-the-lecturer" not in done.stdout
    found, shell, home = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found) > 3
    fixed = fork_server.FIXED | fork_server.QUIET
    for seen in found.values():
        assert fixed == {name: value for name, value in seen.items() if name in fixed}
        assert seen.keys() - fixed.keys() <= OF_THE_COURSE | OF_IPYTHON
    assert home == shell.splitlines()[-1] == "/"


LOOK = "import os\nprint(open('/proc/self/oom_score_adj').read())\nos.listdir('/home')"


# Its cell may compute for 3 seconds; beside the others, it takes about 10 to compute for one.
BESIDE_OTHERS = """
MANY = "import os\\nfor _ in range(20):\\n    if os.fork() == 0: break\\nwhile True: pass"
ONE_SECOND = "import time\\nwhile time.process_time() < start + 1: pass"
with contextlib.closing(Sandbox()) as busy:
    fork_server.shared().start("builtins:exec", busy.ticket(), {}, [MANY])
    cells = [new_code_cell("import time; start = time.process_time()\\n" + ONE_SECOND)]
    print(examine(Job(cells, [], {}, 3, 60, False)).notes)
"""


# Linux refuses to pass files on to programs while too many of the same user's are on their way.
IN_FLIGHT = """
ON_THEIR_WAY = '''
import os, socket, time
pairs, file = [socket.socketpair() for _ in range(20)], os.open("/dev/null", os.O_RDONLY)
try:
    for one, _ in pairs:
        socket.send_fds(one, [b"x"], [file] * 250)
except OSError as error:
    open("/tmp/sent", "w").write(os.strerror(error.errno))
time.sleep(60)
'''
with contextlib.closing(Sandbox()) as sandbox:
    fork_server.shared().start("builtins:exec", sandbox.ticket(), {}, [ON_THEIR_WAY])
    said = sandbox.outside(Path("/tmp/sent"))
    while not (said.exists() and said.read_text()):
        time.sleep(0.1)
    print(said.read_text())
    (cell,) = examine(Job([new_code_cell("print('examined')")], [], {}, 60, 60, False)).cells
    print(cell.outputs[0].text.strip())
"""


EXAMINE = f"""
import resource
from pathlib import Path
# A shell sets this limit before anything of the course is started.
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from nbformat.v4 import new_code_cell
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine

kills = {KILLS_ITSELF!r} + "print(refused)"
programs = [{LOOK!r}, "open('/tmp/x', 'w').close()", {GRASP!r}, kills]
cells = [new_code_cell(program) for program in programs]
for cell in examine(Job(cells, [], {{"a.txt": b"mine"}}, 60, 60, False)).cells:
    print([
        output.get("text") or output.get("evalue")
        for output in cell.outputs if output.get("name") != "stderr"
    ])
{EXCEEDED}
{IN_FLIGHT}
{BESIDE_OTHERS}
"""


@pytest.mark.sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_has_a_sandbox_too():
    """Through a view of the file system in which everybody may read this Python."""
    view = ["bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev"]
    for folder in {Path(sys.base_prefix), Path(sys.prefix)}:
        top = Path("/", folder.parts[1])
        if not os.stat(top).st_mode & 0o005:
            view += ["--perms", "0755", "--tmpfs", str(top), *_parents(folder)]
            view += ["--ro-bind", str(folder), str(folder)]
    user = ["setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups"]
    with tempfile.TemporaryDirectory() as home:
        os.chown(home, 54321, 54321)
        done = subprocess.run(
            [*view, "--chdir", home, "--", *user, sys.executable, "-c", EXAMINE],
            env=os.environ | {"HOME": home, "COURSE_CACHE": f"{home}/cache", env.GPUS.name: ""},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Without real data, the stand-in is announced, too.
    said = (line for line in done.stdout.splitlines() if not line.startswith("Using the stand-in"))
    first, second, third, fourth, *exceeded, refused, examined, beside_others = said
    assert "1000" in first
    assert "No such file or directory: '/home'" in first
    assert second == "[]"
    assert third == str(["[]\n"])
    assert fourth == str(["22\n"])
    assert exceeded == MORE_THAN_ALLOWED
    assert (refused, examined) == (os.strerror(errno.ETOOMANYREFS), "examined")
    assert beside_others == "[]"
