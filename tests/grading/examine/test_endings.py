"""Programs that end: by themselves, by a limit of their own, or from outside."""

from __future__ import annotations

import os
import signal
import threading
import time
from unittest import mock

import psutil
import pytest
from nbformat.v4 import new_code_cell
from nbgrading import new_cell
from sandbox_programs import KILLS_ITSELF

from course_utils.errors import InterruptedExaminationError, SandboxError
from course_utils.grading.examine import store
from course_utils.grading.examine.endings import signal_name
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.limits import MAX_KILLS
from course_utils.submission.contract import GRADE_MIME
from course_utils.submission.messages import Ticket

pytestmark = pytest.mark.sandbox

TEST = "from course_utils.grading import grade\ngrade.equal('first', first, 1)"
# The student's network is built in a predictor.
BUILDS = """
import keras

def build():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
"""
BUILT = f"assert build().count_params() == 8\n{TEST}"
SLOW = "import time\ntime.sleep(1.5)\nfirst = 1"


def job(program: str, test: str = TEST) -> Job:
    return Job(
        [new_code_cell(program), new_cell("first-test", test, points=1)], [], {}, 60, 60, False
    )


def fraction(examined) -> float:
    (result,) = (o for o in examined.cells[1].outputs if o.output_type == "execute_result")
    return result.data[GRADE_MIME]["fraction"]


@pytest.fixture
def started(monkeypatch):
    """Ids of the programs that were started: name -> the last one."""
    pids: dict[str, int] = {}
    start = fork_server.ForkServer.start

    def recorded(self, program, *arguments):
        pid = pids[program.split(":")[0].split(".")[-1]] = start(self, program, *arguments)
        return pid

    monkeypatch.setattr(fork_server.ForkServer, "start", recorded)
    return pids


def kill(started: dict[str, int], program: str, after: float) -> None:
    """Kill a program from outside, a while after it and the kernel have started."""
    while not {"kernel", program} <= started.keys():
        time.sleep(0.01)
    time.sleep(after)
    os.kill(started[program], signal.SIGKILL)


@pytest.mark.parametrize("program", ["kernel", "examiner"])
@pytest.mark.parametrize("after", [0.0, 0.7])
def test_what_was_ended_from_outside_is_not_graded(started, program, after):
    thread = threading.Thread(target=kill, args=(started, program, after))
    thread.start()
    with pytest.raises(InterruptedExaminationError, match="ended from outside"):
        examine(job(SLOW))
    thread.join()
    assert fraction(examine(job(SLOW))) == 1


def test_a_predictor_that_was_ended_from_outside_costs_nothing(started):
    killed = f"{BUILDS}\nfirst = 1", f"build()\nimport time\ntime.sleep(1)\n{BUILT}"
    thread = threading.Thread(target=kill, args=(started, "predictor", 0.0))
    thread.start()
    with pytest.raises(InterruptedExaminationError, match="ended from outside"):
        examine(job(*killed))
    thread.join()
    assert fraction(examine(job(*killed))) == 1


def test_a_kernel_that_was_ended_before_a_test_is_not_graded(started):
    """No cell comes after it, so only the test notices."""
    with pytest.raises(InterruptedExaminationError, match="the notebook's kernel was ended"):
        examine(job("first = 1"), lambda name: os.kill(started["kernel"], signal.SIGKILL))


def test_a_kernel_that_ends_itself_before_a_test_is_noted():
    later = "import os, threading\nthreading.Timer(0.2, os._exit, [3]).start()\nfirst = 1"
    examined = examine(job(later), lambda name: time.sleep(1))
    assert [note for _, note in examined.notes] == [
        "The kernel ended: it ended itself (exit code 3)"
    ]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (
            "import os, signal\nsignal.signal(15, signal.SIG_DFL)\nos.kill(os.getpid(), 15)\n",
            "it crashed (SIGTERM)",
        ),
        ("import os\nos._exit(3)", "it ended itself (exit code 3)"),
        ("import ctypes\nctypes.string_at(0)", "it crashed (SIGSEGV)"),
        ("import os\nos.abort()", "it crashed (SIGABRT)"),
    ],
)
def test_what_a_notebook_does_to_its_kernel_counts(program, why):
    examined = examine(job(f"first = 1\n{program}"))
    assert [o.output_type for o in examined.cells[1].outputs] == ["error"]
    assert [for_lecturer for _, for_lecturer in examined.notes] == [f"The kernel ended: {why}"]


def test_a_notebook_cannot_look_as_if_it_was_killed_from_outside():
    count = "from course_utils.grading import grade\ngrade.equal('refused', first, 22)"
    assert fraction(examine(job(f"{KILLS_ITSELF}first = refused", count))) == 1


@pytest.mark.parametrize("kill", ["kill(child.pid, 9)", "killpg(child.pid, 9)"])
def test_a_notebook_may_kill_what_it_has_started(kill):
    program = (
        "import os, subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"os.{kill}\nfirst = int(child.wait() == -9)\n"
        "try:\n    os.kill(child.pid, 9)\nexcept ProcessLookupError:\n    pass"
    )
    assert fraction(examine(job(program))) == 1


def test_whom_a_notebook_kills_is_decided_a_limited_number_of_times():
    """Afterwards the system refuses it, and the notebook goes on."""
    program = (
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
        "for number in range(1_000_000):\n    try:\n        os.kill(os.getpid(), 9)\n"
        "    except PermissionError:\n        pass\n    except OSError:\n        break\n"
        "first = number"
    )
    count = TEST.replace("1)", f"{MAX_KILLS})")
    assert fraction(examine(job(program, count))) == 1


def test_a_fork_server_that_was_killed_is_started_again():
    server = fork_server.shared()
    psutil.Process(server._process.pid).kill()
    server._process.wait()
    with pytest.raises(SandboxError, match="has ended"):
        server.start("time:sleep", Ticket(keeper=None, work="/tmp"), {})
    assert fraction(examine(job(SLOW))) == 1
    assert fork_server.shared() is not server


def test_plain_nbgrader_tries_once_more(tmp_path):
    result = examine(job("first = 1"))
    interrupted = InterruptedExaminationError("Not graded: ...")
    with mock.patch.object(store, "examine", side_effect=[interrupted, result]):
        assert store.load_or_examine(job("first = 1"), tmp_path) is result
    with (
        mock.patch.object(store, "examine", side_effect=interrupted),
        pytest.raises(InterruptedExaminationError),
    ):
        store.load_or_examine(job("first = 2"), tmp_path)
    assert store.load(job("first = 2"), tmp_path) is None


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_has_a_name(number):
    assert signal_name(number)


def test_a_notebook_that_ends_by_a_real_time_signal_crashed(started):
    examined = examine(job("first = 1\nimport os\nos.kill(os.getpid(), 40)"))
    assert [note for _, note in examined.notes] == ["The kernel ended: it crashed (signal 40)"]
