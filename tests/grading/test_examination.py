"""The parts of an examination: what passes between processes, archives, names, the sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pandas as pd
import psutil
import pytest
from nbformat.v4 import new_code_cell
from nbgrading import ASSIGNMENTS, new_cell
from small_notebooks import wait_for

from course_utils import Recipe, env
from course_utils.errors import SandboxError, SubmissionError
from course_utils.grading import grade
from course_utils.grading.examine.job import Job, read_files
from course_utils.grading.examine.submission import examine
from course_utils.grading.inside.examiner import Examiner, RemoteFunction
from course_utils.grading.inside.model_archive import checked_structure, read_structure
from course_utils.grading.sandbox import bubblewrap, fork_server, gpus, seccomp
from course_utils.grading.sandbox.bubblewrap import Sandbox, _parents
from course_utils.grading.sandbox.procfs import resident
from course_utils.grading.sandbox.relay import Relay
from course_utils.submission.codec import Foreign, pack, unpack
from course_utils.submission.messages import Answer, Order, Reply

# What passes


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**80,
        -0.5,
        float("inf"),
        "ü☃",
        [1, [2.0, None]],
        (1, "a"),
        {"a": [1], 2: (3,)},
        {1, 2},
        Recipe(epochs=3, learning_rate=0.01),
    ],
    ids=repr,
)
def test_plain_data_pass_as_they_are(value):
    came = unpack(pack(value))
    assert came == value
    assert type(came) is type(value)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool", "<U3"])
def test_arrays_pass_with_shape_and_dtype(dtype):
    value = np.ones((2, 3)).astype(dtype)
    came = unpack(pack(value))
    assert came.dtype == value.dtype
    assert np.array_equal(came, value)
    assert isinstance(unpack(pack(value[0, 0])), np.generic)


def test_tables_and_generators_pass():
    table = pd.DataFrame({"name": ["a", "b"], "value": [1.5, 2.5]})
    assert unpack(pack(table)).equals(table)
    rng = np.random.default_rng(3)
    assert unpack(pack(rng)).random() == np.random.default_rng(3).random()


def test_other_objects_pass_as_their_names():
    class Always:
        def __eq__(self, other):
            return True

        __hash__ = None

    came = unpack(pack([Always(), np.array([Always()]), Always]))
    assert all(isinstance(each, Foreign) for each in came)
    assert grade.plain(came)[0] == "a Always"
    assert came[0] != 1


@pytest.mark.parametrize(
    "forged",
    ["", "{", '{"array": "AAAA"}', '{"a": 1, "b": 2}', '{"recipe": "{}x"}', '{"table": 3}',
     '{"generator": {"dict": []}}', "[" * 100_000],
)  # fmt: skip
def test_what_is_forged_is_no_answer(forged):
    try:
        assert isinstance(unpack(forged), list | Foreign)
    except SubmissionError:
        return


def test_a_pickled_array_is_no_answer():
    import base64
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(SubmissionError):
        unpack(json.dumps({"array": base64.b64encode(buffer.getvalue()).decode()}))


def test_lists_in_themselves_pass_without_end():
    endless: list = []
    endless.append(endless)
    assert "foreign" in pack(endless)


# Archives


@pytest.mark.parametrize(
    "path", sorted(ASSIGNMENTS.glob("solutions/*/*.keras")), ids=lambda path: path.stem
)
def test_the_lecturers_networks_are_accepted(path):
    model = keras.models.model_from_json(read_structure(path))
    assert model.count_params() == keras.models.load_model(path, compile=False).count_params()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"class_name": "Lambda"}, "Lambda of keras.layers"),
        ({"module": "os"}, "Dense of os"),
        ({"module": ["os"]}, "Dense of ['os']"),
        ({"module": None, "registered_name": "Mine>Dense"}, "Dense of None"),
        ({"class_name": "__lambda__"}, "__lambda__ of keras.layers"),
        ({"class_name": ["Dense"]}, "a class without a name"),
        ({"build_config": {"scale": [[0.5] * 13] * 5}}, "a list of 65 numbers"),
    ],
)
def test_a_structure_names_keras_own_layers(change, problem):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    structure = json.loads(model.to_json())
    assert checked_structure(json.dumps(structure), "x.keras")
    structure["config"]["layers"][-1].update(change)
    with pytest.raises(SubmissionError, match=re.escape(problem)):
        checked_structure(json.dumps(structure), "x.keras")


@pytest.mark.parametrize(
    "part",
    [
        lambda x: x / 255,
        lambda x: x + keras.layers.Conv2D(3, 3, padding="same")(x),
        lambda x: keras.ops.cast(x, "float32"),
        lambda x: keras.ops.relu(x),
        lambda x: keras.activations.relu(x),
        lambda x: keras.ops.mean(x, axis=-1, keepdims=True),
        lambda x: x[:, 1:, ..., :2],
    ],
    ids=["divide", "residual", "cast", "relu", "activation", "mean", "slice"],
)
def test_operations_of_keras_are_accepted(part):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Flatten()(part(image)))
    again = keras.models.model_from_json(checked_structure(model.to_json(), "x.keras"))
    assert again.output_shape == model.output_shape


@pytest.mark.parametrize("name", ["Map", "WhileLoop", "np", "vectorize", "backend"])
@pytest.mark.parametrize("module", ["core", "numpy"])
def test_what_takes_a_function_is_no_operation(module, name):
    image = keras.Input((4,))
    structure = json.loads(keras.Model(image, image / 2).to_json())
    structure["config"]["layers"][-1].update(module=f"keras.src.ops.{module}", class_name=name)
    with pytest.raises(SubmissionError, match=f"{name} of"):
        checked_structure(json.dumps(structure), "x.keras")


def test_an_optimizer_is_left_out():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    assert "compile_config" not in checked_structure(model.to_json(), "x.keras")


# Names


class Student:
    """The other end of an examiner's line: a notebook with some names."""

    def __init__(self, **names) -> None:
        near, far = socket.socketpair()
        self._line = Connection(near.detach())
        self._names = names
        self.asked: list[str] = []
        examiner = Examiner(Connection(far.detach()))
        threading.Thread(target=examiner.serve, daemon=True).start()

    def order(self, command, content):
        self._line.send_bytes(Order(command=command, content=content).to_bytes())
        while True:
            reply = Reply.from_bytes(self._line.recv_bytes())
            if reply.question is None:
                return reply
            self._line.send_bytes(self._answer(reply.question).to_bytes())

    def _answer(self, question):
        self.asked.append(question.name)
        if question.name not in self._names:
            return Answer()
        value = self._names[question.name]
        if question.arguments is None:
            return Answer(value=pack(value))
        positional, named = unpack(question.arguments)
        try:
            value = value(*positional, **named)
        except Exception as error:
            return Answer(error=(type(error).__name__, str(error)))
        return Answer(value=pack(value), arguments=pack(list(positional)))

    def said(self, source):
        return self.order("examine", source).outcome.printed.strip()


def test_a_test_knows_the_lecturers_names_and_asks_for_the_others():
    student = Student(answer=7, given="changed", print=None)
    assert student.order("prepare", ["given = 1\nimport math"]).problem == ""
    assert student.said("print(given, answer, math.pi > 3)") == "1 7 True"
    assert student.asked == ["answer"]
    outcome = student.order("examine", "print(nothing)").outcome
    assert outcome.error == ("NameError", "name 'nothing' is not defined")


def test_what_a_test_defined_holds_until_the_notebook_redefines_it():
    student = Student(rate=0.5, given=2)
    student.order("prepare", ["given = 1"])
    student.order("examine", "rate = 0.1")
    assert student.said("print(rate)") == "0.1"
    student.order("forget", ["rate", "given"])
    assert student.said("print(rate, given)") == "0.5 1"


def test_functions_are_called_there():
    def fill(array, *, value):
        array[:] = value
        return array.sum()

    def fail():
        raise ZeroDivisionError("by nothing")

    student = Student(fill=fill, fail=fail)
    source = """
        import numpy as np
        array = np.zeros(3)
        print(fill(array, value=2.0), array)
        try:
            fail()
        except ZeroDivisionError as error:
            print(error)
    """
    assert student.said(textwrap.dedent(source)) == "6.0 [2. 2. 2.]\nby nothing"


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"[]",
        b'{"value": 3}',
        b'{"value": "1", "grade": 1.0}',
        b'{"error": ["a"]}',
        b'{"value": ' + b"[" * 100_000,
    ],
)
def test_a_message_in_another_form_is_refused(forged):
    with pytest.raises(ValueError, match="validation error"):
        Answer.from_bytes(forged)


def test_no_error_of_a_function_says_that_an_iteration_is_at_its_end():
    def end():
        raise StopIteration

    source = """
        print(all(map(lambda _: end(), "ab")))
    """
    outcome = Student(end=end).order("examine", textwrap.dedent(source)).outcome
    assert outcome.error[0] == "StopIteration"


def test_without_a_function_another_one_fails():
    def counts(model):
        return model.count_params()

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert counts(model) == 10
    with pytest.raises(RuntimeError):
        grade.without(counts, "keras.Model.count_params")(model)
    remote = grade.without(RemoteFunction("counts", call=None), "keras.Model.count_params")
    assert remote._without == ("keras.Model.count_params",)


# The sandbox


def test_without_bubblewrap_one_sentence(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="install bubblewrap"):
        Sandbox()


@pytest.mark.sandbox
def test_a_program_that_cannot_be_confined_ends_and_the_next_one_starts():
    with contextlib.closing(Sandbox()) as sandbox:
        nowhere = sandbox.ticket().model_copy(update={"work": "/nowhere"})
        broken = psutil.Process(fork_server.shared().start("time:sleep", nowhere, {}, [60]))
        sound = psutil.Process(fork_server.shared().start("time:sleep", sandbox.ticket(), {}, [60]))
        wait_for(lambda: not broken.is_running() or broken.status() == psutil.STATUS_ZOMBIE)
        assert sound.is_running()
        assert sound.status() != psutil.STATUS_ZOMBIE


def test_a_relay_follows_no_link(tmp_path):
    """Else a student's link would have the grader call a socket of this machine."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as elsewhere:
        elsewhere.bind(str(tmp_path / "elsewhere"))
        elsewhere.listen()
        elsewhere.settimeout(1)
        (tmp_path / "kernel-1").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "kernel-2").write_text("no socket")
        relay = Relay(tmp_path / "kernel", 1000, on_excess=mock.Mock())
        relay.listen([1, 2])
        for number in (1, 2):
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
                client.connect(f"{relay.ip}-{number}")
                assert client.recv(1) == b""
        with pytest.raises(TimeoutError):
            elsewhere.accept()
        relay.close()


# What a sandbox says that has been ended. Beside its own two processes are those of the programs.
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
MANY = "import os, time\\nfor n in range(3000): os.mkdir(f'/tmp/{n}')\\ntime.sleep(60)"
print(exceeded([("builtins:exec", MANY)], files=1000))
'''
MORE_THAN_ALLOWED = [
    "more than 3 processes", "more than 1 GB of memory", "more than 1 GB of memory",
    "more than 1 GB of memory", "more than 1,000 files",
]  # fmt: skip


@pytest.mark.sandbox
def test_a_sandbox_that_takes_too_much_ends(capsys):
    exec(EXCEEDED, {})
    assert capsys.readouterr().out.splitlines() == MORE_THAN_ALLOWED


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


def write_mnist(folder: Path, first_label: int) -> None:
    """Write digits as Keras keeps them, of no more than one pixel."""
    labels = ((np.arange(70_000) + first_label) % 10).astype("uint8")
    images = np.zeros((70_000, 28, 28), "uint8")
    folder.mkdir(parents=True)
    np.savez_compressed(
        folder / "mnist.npz", x_train=images[:60_000], y_train=labels[:60_000],
        x_test=images[60_000:], y_test=labels[60_000:],
    )  # fmt: skip


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
NEEDED_BY_CUDA = [
    "shared memory without a file", "its place when memory is out", "file in memory",
    "a thread's name",
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


@pytest.mark.sandbox
def test_no_operation_is_made_a_function_first():
    """It would take each of a submission's programs a tenth of a second to load a network."""
    wrong = "import tensorflow as tf\ntf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))"
    (cell,) = examine(Job([new_code_cell(wrong)], [], {}, 60, 60, False)).cells
    (error,) = (output for output in cell.outputs if output.output_type == "error")
    assert "incompatible" in error.evalue
    # TensorFlow's name for such a function.
    assert "__wrapped__" not in error.evalue


@pytest.mark.sandbox
def test_what_was_handed_in_is_no_data(tmp_path, monkeypatch):
    """Else it would hold the labels by which it is graded."""
    # As a lecturer's own: named from where the grader was started.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "data")
    write_mnist(tmp_path / "data", first_label=3)
    write_mnist(tmp_path / "handed-in" / "data", first_label=7)
    files, _ = read_files(tmp_path / "handed-in", ignored=[])
    assert list(files) == ["data/mnist.npz"]
    load = "from course_utils import load_mnist\nmnist = load_mnist()"
    show = new_cell("first-test", "print(mnist.y_test[0])", points=1)
    job = Job(
        [new_code_cell(f"{load}\nprint(mnist.y_test[0])"), show], [load], files, 60, 60, False
    )
    for _ in range(2):
        assert [cell.outputs[0].text for cell in examine(job).cells] == ["3\n", "3\n"]
        # Then it is found as ./data.
        monkeypatch.delenv("COURSE_DATA", raising=False)


def test_without_libseccomp_one_sentence(monkeypatch):
    monkeypatch.setattr(seccomp.ctypes, "CDLL", mock.Mock(side_effect=OSError))
    seccomp.library.cache_clear()
    with pytest.raises(SandboxError, match="libseccomp2"):
        Sandbox()


LOOK = "import os\nprint(open('/proc/self/oom_score_adj').read())\nos.listdir('/home')"
EXAMINE = f"""
from nbformat.v4 import new_code_cell
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine

programs = [{LOOK!r}, "open('/tmp/x', 'w').close()", {GRASP!r}]
cells = [new_code_cell(program) for program in programs]
for cell in examine(Job(cells, [], {{"a.txt": b"mine"}}, 60, 60, False)).cells:
    print([
        output.get("text") or output.get("evalue")
        for output in cell.outputs if output.get("name") != "stderr"
    ])
{EXCEEDED}
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
    first, second, third, *exceeded = done.stdout.splitlines()
    assert "1000" in first
    assert "No such file or directory: '/home'" in first
    assert second == "[]"
    assert third == str(["[]\n"])
    assert exceeded == MORE_THAN_ALLOWED
