"""Changed inputs of the grader, and what must be true of each one.

A function ``check_...`` returns `ACCEPTED` or `REFUSED`. It raises if something else happens, which
is a fault of the grader. The tests use a few hundred inputs of each kind, the benchmark `fuzzing`
ten thousand.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import math
import multiprocessing
import resource
import signal
import tempfile
import time
import typing
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import nbformat
import numpy as np
import pandas as pd
from hostile import NAMES_A_CLASS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras.src.saving import serialization_lib
from reading_here import read_here
from unusual_networks import layer_with, network_with, network_with_operators

from course_utils import zoo
from course_utils.errors import RecipeError, SubmissionError
from course_utils.grading.gradebook import Writer
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.predictor import build
from course_utils.grading.nbgrader_steps import intake
from course_utils.grading.nbgrader_steps.reading import Received
from course_utils.recipes import Recipe
from course_utils.submission import messages
from course_utils.submission import structures as table
from course_utils.submission.codec import Foreign, pack, unpack
from course_utils.submission.messages import Message
from course_utils.submission.network import structure_of
from course_utils.submission.structures import checked_structure

ACCEPTED, REFUSED = "accepted", "refused"
# Seconds for one input, and bytes that a program may reserve while it reads one.
SECONDS = 20
ADDRESS_SPACE = 16 * 2**30
# Characters of a sentence.
SENTENCE = 1_000


def check_sentence(text: str) -> None:
    """Check that a student can be told this, on any terminal."""
    assert text.endswith("."), text
    assert len(text) <= SENTENCE, text
    assert text.isprintable(), text


def try_each(
    strategy: st.SearchStrategy[Any], check: Callable[[Any], str], number: int
) -> Counter[str]:
    """Check a number of inputs, the same ones in every run; return how often each outcome was.

    What a check raises is raised again, for the smallest input that has it raised.
    """
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=number, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def try_one(drawn: Any) -> None:
        outcomes[check(drawn)] += 1

    try_one()
    return outcomes


# Changed JSON

NUMBERS = st.sampled_from(
    [-1, 0, 1, 2, 3, 300, 2**31, 2**63, 10**400, 0.5, 1e308, -1e308, math.inf, -math.inf, math.nan]
)
PLAIN = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def places_of(part: Any, here: tuple = ()) -> Iterator[tuple]:
    """Yield the way to each part of a JSON value."""
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in inside:
        yield (*here, key)
        if isinstance(value, dict | list):
            yield from places_of(value, (*here, key))


@st.composite
def changed(draw: Callable, texts: Sequence[str], fragments: Sequence[Any], most: int = 3) -> Any:
    """Return one of some JSON texts, read, with up to `most` changes."""
    document = json.loads(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, most))):
        if places := list(places_of(document)):
            _change(draw, document, places[draw(st.integers(0, 10**6)) % len(places)], texts,
                    fragments)  # fmt: skip
    return document


def _change(
    draw: Callable, document: Any, place: tuple, texts: Sequence[str], fragments: Sequence[Any]
) -> None:
    *way, last = place
    holder = functools.reduce(lambda part, key: part[key], way, document)
    kind = draw(st.sampled_from(["fragment", "value", "swap", "delete", "double", "key", "nest"]))
    if kind == "fragment":
        holder[last] = copy.deepcopy(draw(st.sampled_from(fragments)))
    elif kind == "value":
        holder[last] = draw(VALUES)
    elif kind == "swap":
        other = json.loads(draw(st.sampled_from(texts)))
        others = list(places_of(other))
        found = others[draw(st.integers(0, 10**6)) % len(others)]
        holder[last] = functools.reduce(lambda part, key: part[key], found, other)
    elif kind == "delete":
        del holder[last]
    elif kind == "nest":
        for _ in range(draw(st.sampled_from([1, 2, 12, 40, 400]))):
            holder[last] = draw(st.sampled_from([[holder[last]], {"config": holder[last]}]))
    elif isinstance(holder, list):
        holder.insert(last, copy.deepcopy(holder[last]))
    elif kind == "double":
        holder[draw(st.text(max_size=8))] = copy.deepcopy(holder[last])
    else:
        keys = sorted({key for way in places_of(document) for key in way if isinstance(key, str)})
        holder[draw(st.sampled_from(keys))] = holder.pop(last)


# Structures of networks

# Layers of which a whole network is changed; the calls of the last two have several inputs.
BUILT = (
    "Bidirectional", "Conv2D", "EinsumDense", "Normalization", "SpectralNormalization",
    "StackedRNNCells", "TimeDistributed", "Dot", "MultiHeadAttention",
)  # fmt: skip
# Values that an attacker could put in the place of any part of a structure.
HOSTILE_PARTS = [
    "layers.TFSMLayer", "deserialize", "../../etc/passwd", "relu", "\ud800\x1b[2J", ["x"] * 3,
    [[0.5] * 65], NAMES_A_CLASS, {"class_name": "__lambda__", "config": {"value": "x"}},
    NAMES_A_CLASS | {"module": "builtins", "config": "exec"},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "x"}},
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}},
    {"module": "builtins", "class_name": "exec", "config": {}},
    {"module": "os", "class_name": "system", "config": {"command": "x"}},
    {"module": None, "class_name": "Dense", "config": {}, "registered_name": "Mine>Dense"},
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}},
    {"module": "keras.initializers", "class_name": "Ones", "config": {}},
    {"module": "keras.optimizers", "class_name": "Adam", "config": {}},
    {"class_name": ["Dense"], "config": []}, {"class_name": "__bytes__", "config": {"value": "x"}},
    {"class_name": "__typespec__", "spec_name": "x", "config": [], "registered_name": "x"},
    {"class_name": "__numpy__", "config": {"value": [0.5] * 65, "dtype": "float32"}},
    {"class_name": "__numpy__", "config": {"value": "x", "dtype": "object"}},
    {"shared_object_id": 1, "class_name": "Dense", "module": "keras.layers", "config": {}},
]  # fmt: skip
ALLOWED = (
    {("keras.layers", name) for name in table.LAYERS}
    | {(m, name) for m, names in (table.PARTS | table.OPERATIONS).items() for name in names}
    | {(module, "DTypePolicy") for module in ("keras", "keras.dtype_policies")}
    | {(module, "Sequential") for module in table.SEQUENTIAL}
    | {(module, "Functional") for module in table.FUNCTIONAL}
    | {(None, f"__{kind}__")
       for kind in ("keras_tensor", "tensor", "tuple", "slice", "ellipsis", "numpy")}
)  # fmt: skip


@functools.cache
def structures() -> list[str]:
    """Return the structures of networks of many kinds, as JSON."""
    models = [network_with_operators(), zoo.build("fast/cnn"), *map(network_with, BUILT)]
    # The others are not built, which takes a tenth of the time.
    models += [keras.Sequential([layer_with(name)]) for name in sorted(table.LAYERS)]
    return [model.to_json() for model in models]


def changed_structures() -> st.SearchStrategy[str]:
    """Return changed structures of networks, as JSON."""
    return changed(structures(), HOSTILE_PARTS).map(json.dumps)


def classes_of(part: Any) -> Iterator[tuple[Any, Any]]:
    """Yield module and class of every object in a structure."""
    if isinstance(part, dict):
        if "class_name" in part:
            yield part.get("module"), part["class_name"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from classes_of(each)


def check_structure(text: str) -> str:
    """Check that a structure is refused with a sentence, or holds nothing outside the table."""
    start = time.perf_counter()
    try:
        checked = checked_structure(text, "x.keras")
    except SubmissionError as error:
        check_sentence(str(error))
        return REFUSED
    finally:
        assert time.perf_counter() - start < SECONDS
    # Classes are compared as texts, because a class can be a list.
    assert set(map(str, classes_of(json.loads(checked)))) <= set(map(str, ALLOWED))
    assert checked_structure(checked, "x.keras") == checked
    return ACCEPTED


def check_building(text: str) -> str:
    """Check that a structure can be built from classes of the table, or is refused."""
    found = []

    def retrieve(*arguments: Any, **more: Any) -> Any:
        found.append(_retrieve(*arguments, **more))
        return found[-1]

    _retrieve = serialization_lib._retrieve_class_or_fn
    try:
        with mock.patch.object(serialization_lib, "_retrieve_class_or_fn", retrieve):
            build(checked_structure(text, "x.keras"), "x.keras")
        outcome = ACCEPTED
    except SubmissionError as error:
        check_sentence(str(error))
        outcome = REFUSED
    strange = {each for each in found if each not in _classes()}
    assert not strange
    return outcome


@functools.cache
def _classes() -> set[Any]:
    """Return every class and function that the table names."""
    names = {f"{module}.{name}" for module, name in ALLOWED if module and "src" not in module}
    found = {_found(name.removeprefix("keras.")) for name in names}
    for module, names in table.OPERATIONS.items():
        found |= {_found(f"{module.removeprefix('keras.')}.{name}") for name in names}
    functions = {getattr(keras.activations, name) for name in table.ACTIVATIONS}
    return found | functions | {keras.Sequential, keras.src.models.functional.Functional}


def _found(name: str) -> Any:
    try:
        return functools.reduce(getattr, name.split("."), keras)
    except AttributeError:  # an older name of the same class
        return None


# Messages between processes


def _fields(kind: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    hints = typing.get_type_hints(kind)
    return st.fixed_dictionaries({name: _of(hints[name]) for name in kind.model_fields})


def _of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type; texts include what JSON cannot hold."""
    inner = typing.get_args(hint)
    if hint is Any:
        return VALUES
    if hint is str:
        return st.text(st.characters(), max_size=20)
    if isinstance(hint, type) and issubclass(hint, Message):
        return _fields(hint)
    if hint is Recipe:
        return st.sampled_from([{}, {"epochs": 3, "learning_rate": 0.1}])
    if typing.get_origin(hint) is tuple and inner[-1] is Ellipsis:
        return st.lists(_of(inner[0]), max_size=4).map(tuple)
    if typing.get_origin(hint) is list:
        return st.lists(_of(inner[0]), max_size=4)
    if typing.get_origin(hint) is dict:
        return st.dictionaries(st.text(max_size=8), _of(inner[1]), max_size=4)
    if inner and typing.get_origin(hint) not in (tuple, typing.Literal):
        return st.one_of([_of(each) for each in inner])
    return st.from_type(hint)


KINDS = [kind for kind in vars(messages).values() if isinstance(kind, type)
         and issubclass(kind, Message) and kind is not Message]  # fmt: skip
MESSAGES = st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), _fields(kind)))


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same: NaN is, and 1 and True are not."""
    if isinstance(one, np.ndarray | np.generic):
        kind = one.dtype.kind in "fc"
        return (
            type(one) is type(other)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=kind)
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        pairs = type(one) is type(other) and len(one) == len(other)
        return pairs and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


def check_message(drawn: tuple[type[Message], dict[str, Any]]) -> str:
    """Check that a message arrives as it was sent, or cannot be made."""
    kind, fields = drawn
    try:
        message = kind(**fields)
        sent = message.to_bytes()
    except (ValueError, RecipeError):
        return REFUSED
    assert same(kind.from_bytes(sent).model_dump(), message.model_dump())
    return ACCEPTED


@functools.cache
def _samples() -> list[str]:
    """Return one message of each kind, as JSON."""
    structure = structure_of(zoo.build("fast/cnn"))
    ticket = messages.Ticket(keeper=1, limits={"memory": 1}, work="x")
    samples = [
        ticket,
        messages.Task(number=1, program="a:b", ticket=ticket, environment={"a": "b"},
                      arguments=[1, "x"]),
        messages.Started(number=1, pid=2), messages.Ended(pid=1, code=-9),
        messages.Order(command="forget", content=["a"]),
        messages.TestOutcome(printed="x", grade={"text/plain": "x"}, error=("A", "b")),
        messages.Question(name="x", arguments=pack(1), without=("a.b",)),
        messages.Answer(value=pack([1]), error=("A", "b"), arguments=pack([])),
        messages.Reply(question=messages.Question(name="x"), problem="x"),
        messages.PredictorRequest(command="predict", shape=(1, 2), dtype="uint8"),
        messages.PredictorOrder(name="a", command="forget"), structure,
        messages.OpenedNetwork(name="a", structure=structure, weights="x", architecture="x"),
        messages.ShowRequest(command="clean", notebook="{}"), messages.ShowReply(content="x"),
    ]  # fmt: skip
    return [sample.to_bytes().decode() for sample in samples]


def forged_messages() -> st.SearchStrategy[tuple[type[Message], bytes]]:
    """Return a kind of message, and bytes that claim to be one."""
    texts = changed(_samples(), HOSTILE_PARTS).map(json.dumps).map(str.encode)
    return st.tuples(st.sampled_from(KINDS), texts | st.binary(max_size=60))


def check_forged_message(drawn: tuple[type[Message], bytes]) -> str:
    """Check that forged bytes are a message of their kind, or refused."""
    kind, content = drawn
    try:
        message = kind.from_bytes(content)
    except (ValueError, RecipeError):
        return REFUSED
    assert isinstance(message, kind)
    return ACCEPTED


# Values of notebooks

ARRAYS = st.builds(
    lambda dtype, shape, seed: np.random.default_rng(seed).integers(0, 9, shape).astype(dtype),
    st.sampled_from(["bool", "uint8", "int64", "float32", "complex64", "<U3"]),
    st.sampled_from([(), (0,), (3,), (2, 3), (1, 0, 2)]),
    st.integers(0, 3),
)
KEYS = st.text(st.characters(), max_size=5) | st.integers() | st.booleans() | st.none()
PYTHON_VALUES = st.recursive(
    PLAIN | st.integers() | st.floats() | st.text(st.characters(), max_size=5) | ARRAYS
    | ARRAYS.filter(lambda array: array.shape == (3,)).map(lambda array: array[0]),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(KEYS | st.tuples(KEYS, KEYS), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def check_value(value: Any) -> str:
    """Check that a value arrives as it was packed."""
    assert same(unpack(pack(value)), value)
    return ACCEPTED


@functools.cache
def _packed() -> list[str]:
    values = [
        {"a": [1, (2.5, None)], 3: {"b"}}, np.ones((2, 3)), np.float32(1),
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), np.random.default_rng(1), np.array(["ab"]),
        print, object(), [np.arange(3, dtype="uint8")] * 2,
    ]  # fmt: skip
    return [pack(value) for value in values]


def forged_values() -> st.SearchStrategy[str]:
    """Return texts that claim to be packed values."""
    arrays = [{"array": pack(np.zeros(3, dtype))[11:-2]} for dtype in ("M8[s]", "i4,f8", "V3")]
    return changed(_packed(), [*HOSTILE_PARTS, *arrays]).map(json.dumps) | st.text(max_size=30)


PLAIN_TYPES = (type(None), bool, int, float, str, Foreign, np.generic)


def check_forged_value(text: str) -> str:
    """Check that a forged text is a plain value, or refused with a sentence."""
    try:
        value = unpack(text)
    except SubmissionError as error:
        check_sentence(str(error))
        return REFUSED
    _check_plain(value)
    return ACCEPTED


def _check_plain(value: Any) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        for each in value:
            _check_plain(each)
    elif isinstance(value, np.ndarray):
        assert value.dtype.kind in "biufcU", value.dtype
    elif not isinstance(value, pd.DataFrame | np.random.Generator):
        assert isinstance(value, PLAIN_TYPES) or type(value).__name__ == "Recipe", type(value)


# Notebooks

HOSTILE_CELLS = [
    {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [], "execution_count": None},
    {"cell_type": "markdown", "source": ["a", "b"], "metadata": {"tags": ["skip-execution"]}},
    {"nbgrader": {"grade_id": "value-test", "grade": True, "points": 99, "schema_version": 3}},
    {"nbgrader": {"grade_id": ["value-test"]}}, {"nbgrader": "value-test"}, {"tags": "x"}, "value",
    "value-test", {"grade_id": "\ud800"}, "\x1b[2J\ud800", 4, 3, 0, -1, [], {}, None,
    {"name": "python3", "display_name": "x"}, {"course_notes": ["x"]}, "raw", "heading", 10**400,
]  # fmt: skip


def changed_notebooks(notebook: nbformat.NotebookNode) -> st.SearchStrategy[bytes]:
    """Return a notebook, changed as JSON or as bytes."""
    old = nbformat.convert(copy.deepcopy(notebook), 3)
    texts = [nbformat.writes(notebook), json.dumps(old)]
    as_json = changed(texts, HOSTILE_CELLS).map(json.dumps).map(str.encode)
    return as_json | changed_bytes(nbformat.writes(notebook).encode())


@st.composite
def changed_bytes(draw: Callable, content: bytes) -> bytes:
    """Return content with some bytes changed, removed or doubled."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, 10**6)) % (len(found) + 1)
        length = draw(st.sampled_from([0, 1, 4, 100]))
        kind = draw(st.sampled_from(["write", "remove", "double", "cut"]))
        if kind == "write":
            found[at : at + length] = draw(st.binary(max_size=8))
        elif kind == "double":
            found[at:at] = found[at : at + length]
        else:
            del found[at : at + length if kind == "remove" else None]
    return bytes(found)


class Intake:
    """A course that receives one submission after the other.

    Parameters
    ----------
    course : Path
        Its gradebook knows the assignment.
    assignment : str
    """

    def __init__(self, course: Path, assignment: str) -> None:
        self._writer = Writer(course, assignment)
        folder = course / "submitted" / "ada" / assignment
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{assignment}.ipynb"
        source = nbformat.read(course / "source" / assignment / self._path.name, as_version=4)
        self._expected = [
            cell.metadata.nbgrader.grade_id for cell in source.cells if "nbgrader" in cell.metadata
        ]

    def check(self, content: bytes) -> str:
        """Check that a notebook has all cells after its repair, and is valid."""
        self._path.write_bytes(content)
        # In this process, so that an exception is seen, and no sandbox is needed for each.
        with mock.patch.object(intake, "read_submission", _read_here):
            (received,) = self._writer.receive("ada")
        nbformat.validate(received.notebook)
        found = [
            cell.metadata.nbgrader.grade_id
            for cell in received.notebook.cells
            if "nbgrader" in cell.metadata
        ]
        assert sorted(found) == sorted(self._expected), found
        for note in received.notebook.metadata.get("course_notes", []):
            check_sentence(note)
        return ACCEPTED if received.job else REFUSED


def _read_here(*work: Any, **_: Any) -> Received:
    return read_here(*work)


# Archives of networks


def changed_archives() -> st.SearchStrategy[bytes]:
    """Return a network's archive, changed in its weights, its entries, or as a whole."""
    return _changed_archives(_archive())


@functools.cache
def _archive() -> dict[str, bytes]:
    """Return the entries of a network's archive."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.keras"
        layers = keras.layers
        keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(),
                          layers.Flatten(), layers.Dense(2)]).save(path)  # fmt: skip
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@st.composite
def _changed_archives(draw: Callable, archived: dict[str, bytes]) -> bytes:
    entries = list(archived.items())
    kind = draw(st.sampled_from(["weights", "weights", "structure", "entries", "whole"]))
    if kind == "weights":
        entries = [(n, draw(_weights(c)) if n.endswith(".h5") else c) for n, c in entries]
    elif kind == "structure":
        structure = draw(changed([archived["config.json"].decode()], HOSTILE_PARTS))
        entries = [(n, json.dumps(structure).encode() if n == "config.json" else c)
                   for n, c in entries]  # fmt: skip
    elif kind == "entries":
        name = draw(st.sampled_from([*archived, "x", "../x", "/etc/x", "assets/x", "a\x00b"]))
        at = draw(st.integers(0, len(entries) - 1))
        if draw(st.booleans()):
            entries.insert(at, (name, draw(st.binary(max_size=20))))
        else:
            entries[at] = (name, entries[at][1])
    packed = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),  # of two entries with one name
        zipfile.ZipFile(packed, "w", draw(st.sampled_from([0, 8, 12, 14]))) as archive,
    ):
        for name, content in entries:
            archive.writestr(name, content)
    whole = packed.getvalue()
    return draw(changed_bytes(whole)) if kind == "whole" else whole


@st.composite
def _weights(draw: Callable, content: bytes) -> bytes:
    """Return HDF5 with bytes changed, most of them in its tables rather than in its numbers."""
    found = bytearray(content)
    full = [at for at in range(len(found)) if found[at] not in (0, 0xFF)]
    for _ in range(draw(st.integers(1, 6))):
        at = full[draw(st.integers(0, 10**6)) % len(full)] + draw(st.integers(-4, 4))
        found[at % len(found)] = draw(st.integers(0, 255))
    if draw(st.integers(0, 9)) == 0:
        del found[draw(st.integers(0, len(found))) :]
    return bytes(found)


def check_archive(content: bytes) -> str:
    """Check that an archive is refused with a sentence, or has a structure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.keras"
        path.write_bytes(content)
        try:
            structure = read_structure(path)
        except SubmissionError as error:
            check_sentence(str(error))
            return REFUSED
    return check_structure(structure)


# Another process, for what could end it


class OutOfTime(BaseException):
    """One input has taken too long."""


class InAnotherProcess:
    """Calls a check in another process, which a fault in HDF5 or TensorFlow can end."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, initializer=_limit)

    def __call__(self, check: Callable[[Any], str], drawn: Any) -> str:
        try:
            return self._pool.submit(_in_time, check, drawn).result()
        except BrokenProcessPool:
            self._start()
            raise

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _out_of_time)


def _in_time(check: Callable[[Any], str], drawn: Any) -> str:
    signal.alarm(SECONDS)
    try:
        return check(drawn)
    finally:
        signal.alarm(0)


def _out_of_time(*_: Any) -> None:
    raise OutOfTime
