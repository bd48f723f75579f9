"""Examining a submission."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hostile import hungry_network, slow_network
from nbformat.v4 import new_code_cell, new_notebook
from nbgrading import ASSIGNMENTS, new_cell
from sandbox_programs import GRASP

from course_utils import env
from course_utils.errors import SandboxError
from course_utils.grading.examine import kernel
from course_utils.grading.examine.job import Job, read_files
from course_utils.grading.examine.names import names_in
from course_utils.grading.examine.submission import examine

SOLUTIONS = ASSIGNMENTS / "solutions"


def write_mnist(folder: Path, first_label: int) -> None:
    """Write digits as Keras keeps them, of no more than one pixel."""
    labels = ((np.arange(70_000) + first_label) % 10).astype("uint8")
    images = np.zeros((70_000, 28, 28), "uint8")
    folder.mkdir(parents=True)
    np.savez_compressed(
        folder / "mnist.npz", x_train=images[:60_000], y_train=labels[:60_000],
        x_test=images[60_000:], y_test=labels[60_000:],
    )  # fmt: skip


@pytest.mark.sandbox
def test_the_examiner_has_no_rights_either(monkeypatch):
    """Its tests are the lecturer's, but they handle what students wrote."""
    monkeypatch.setenv(env.GPUS.name, "")
    owner = "print(os.getuid() == 0)\n" if os.geteuid() == 0 else "print(False)\n"
    job = Job([new_cell("first-test", GRASP + owner, points=1)], [], {}, 60, 60, False)
    (cell,) = examine(job).cells
    assert cell.outputs[0].text == "[]\nFalse\n"


CACHED = "from course_utils.runtime import cache_dir\nplace = cache_dir() / 'features' / 'x.npy'\n"


@pytest.mark.sandbox
def test_the_cache_is_filled_before_a_submission_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv(env.CACHE.name, str(tmp_path / "cache"))
    write = (
        "place.parent.mkdir(exist_ok=True)\nplace.open('a').write('x')\nprint(place.read_text())"
    )
    lecturers = [new_cell("first-test", CACHED + write, points=1)]
    tries = (
        "try:\n    place.open('a').write('y')\nexcept OSError:\n"
        "    print('refused')\n"
        "print(place.read_text(), place.is_symlink())"
    )
    cells = [new_cell("first-test", CACHED + tries, points=1)]
    for _ in range(2):
        job = Job(cells, [], {}, 60, 60, False, lecturers=lecturers)
        assert examine(job).cells[0].outputs[0].text == "refused\nx True\n"
    assert (tmp_path / "cache" / "features" / "x.npy").read_text() == "x"


@pytest.mark.sandbox
def test_a_lecturers_notebook_that_is_stopped_runs_once_for_all(tmp_path, monkeypatch):
    monkeypatch.setenv(env.CACHE.name, str(tmp_path / "cache"))
    count = f"with open({str(tmp_path / 'cache' / 'runs')!r}, 'a') as file:\n    file.write('x')\n"
    lecturers = [
        new_cell("first-test", count, points=1),
        new_code_cell("import os\nos._exit(1)"),
    ]
    for _ in range(2):
        job = Job([new_code_cell("1")], [], {}, 60, 60, False, lecturers=lecturers)
        assert not examine(job).notes
    assert (tmp_path / "cache" / "runs").read_text() == "x"


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "what", ["the grader's folder", "a home", "the course", "a course that is graded elsewhere"]
)
def test_data_are_not_taken_from_a_folder_that_holds_more(tmp_path, monkeypatch, what):
    """A submission would see the hidden tests, the gradebook or other submissions."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    write_mnist(data / "mnist", first_label=3)
    elsewhere.mkdir()
    monkeypatch.chdir(data / "mnist" if what == "the grader's folder" else elsewhere)
    if what == "a home":
        monkeypatch.setenv("HOME", str(data / "mnist"))
    if what == "the course":
        (data / "nbgrader_config.py").touch()
    if what == "a course that is graded elsewhere":  # as on a Dask worker
        (data / "lectures" / "spring").mkdir(parents=True)
        (data / "lectures" / "spring" / "nbgrader_config.py").touch()
    monkeypatch.setenv("COURSE_DATA", str(data))
    with pytest.raises(SandboxError, match="holds more than data"):
        examine(Job([new_code_cell("1")], [], {}, 60, 60, False))


@pytest.mark.sandbox
def test_the_data_are_searched_for_a_course_once_a_submission(monkeypatch):
    searched = []
    search = kernel.holds_a_course
    monkeypatch.setattr(kernel, "holds_a_course", lambda f: searched.append(f) or search(f))
    (cell,) = examine(Job([new_code_cell("1")], [], {}, 60, 60, False)).cells
    assert cell.outputs[0].data["text/plain"] == "1"
    assert searched
    assert len(searched) == len(set(searched))


def test_a_course_is_searched_among_the_uppermost_folders_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "MAX_SEARCHED", 100)
    images, course = tmp_path / "images" / "train", tmp_path / "zoo" / "course"
    images.mkdir(parents=True)
    for number in range(200):
        (images / f"{number}.png").touch()
    assert not kernel.holds_a_course(tmp_path)
    course.mkdir(parents=True)
    (course / "nbgrader_config.py").touch()
    (images / "itself").symlink_to(tmp_path)
    assert not kernel.holds_a_course(images)
    assert kernel.holds_a_course(course.parent)


@pytest.mark.sandbox
def test_a_virtual_environment_that_is_the_course_folder_is_refused(tmp_path, monkeypatch):
    """Every submission sees the environment's folder, with the hidden tests in it."""
    (tmp_path / "nbgrader_config.py").touch()
    monkeypatch.setattr(kernel, "python_folders", lambda: [tmp_path])
    with pytest.raises(SandboxError, match="make the virtual environment in a folder of its own"):
        examine(Job([new_code_cell("1")], [], {}, 60, 60, False))


@pytest.mark.sandbox
def test_no_operation_is_made_a_function_first():
    """It would take each of a submission's programs a tenth of a second to load a network."""
    wrong = "import tensorflow as tf\ntf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))"
    (cell,) = examine(Job([new_code_cell(wrong)], [], {}, 60, 60, False)).cells
    (error,) = (output for output in cell.outputs if output.output_type == "error")
    assert "incompatible" in error.evalue
    # TensorFlow's name for such a function.
    assert "__wrapped__" not in error.evalue


def network_files(question: str, path: Path) -> dict[str, bytes]:
    """Return a network, with the record of a right one, as the files of a question."""
    record = (SOLUTIONS / "a2-cnn" / "a2-q3.json").read_text().replace("a2-q3", question)
    return {f"{question}.keras": path.read_bytes(), f"{question}.json": record.encode()}


MEASURE = """
from course_utils import load_cifar10
from course_utils.grading import grade
from course_utils.errors import SubmissionError

for question in ("a1-q2", "a2-q3"):
    try:
        print(grade.test_accuracy(question, data) > 0.6)
    except SubmissionError as error:
        print(error)
"""


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("write", "limit", "seconds", "why"),
    [
        (hungry_network, 500, 120, "has ended: it took more than 4 GB of memory"),
        (slow_network, None, 20, "was stopped: it took more than 20 seconds"),
    ],
)
def test_a_network_that_takes_too_much_leaves_the_others_alone(
    tmp_path, cifar10, write, limit, seconds, why
):
    write(tmp_path / "other.keras")
    files = network_files("a1-q2", tmp_path / "other.keras")
    files |= network_files("a2-q3", SOLUTIONS / "a2-cnn" / "a2-q3.keras")
    given = [f"from course_utils import load_cifar10\n\ndata = load_cifar10(limit={limit})"]
    job = Job([new_cell("first-test", MEASURE, points=1)], given, files, seconds, seconds, False)
    examined = examine(job)
    assert examined.cells[0].outputs[0].text.splitlines() == [
        "The program that loads a1-q2.keras has ended, so it cannot be used.", "True"
    ]  # fmt: skip
    assert {note for _, note in examined.notes} == {f"The program that loads a1-q2.keras {why}."}


@pytest.mark.sandbox
def test_slow_networks_have_one_time_together(tmp_path, cifar10):
    """Any text in a test can be the name of a network, so a submission can have many of them."""
    slow_network(tmp_path / "slow.keras")
    files = network_files("a2-q3", SOLUTIONS / "a2-cnn" / "a2-q3.keras")
    for name in ("a1-q2", "b", "c"):
        files |= network_files(name, tmp_path / "slow.keras")
    given = ["from course_utils import load_cifar10\n\ndata = load_cifar10()"]
    test = new_cell("first-test", f"{MEASURE}\nothers = 'b', 'c'", points=1)
    examined = examine(Job([test], given, files, 60, 20, False))
    assert examined.cells[0].outputs[0].text.splitlines()[-1] == "True"
    (note,) = {note for _, note in examined.notes}
    assert note.startswith("The program that loads a1-q2.keras was stopped")


@pytest.mark.sandbox
def test_the_examiner_computes_with_no_network(cifar10):
    files = network_files("a2-q3", SOLUTIONS / "a2-cnn" / "a2-q3.keras")
    test = """
        from tensorflow.python.eager import context
        from course_utils.submission import load_trained

        trained = load_trained("a2-q3")
        print(trained.evaluate(data).accuracy > 0.6, build().count_params())
        print(type(trained.network).__name__, type(build()).__name__)
        print(context.context()._initialized)
    """
    answer = "import keras\n\ndef build():\n    return keras.Sequential([keras.Input((3,))])"
    given = ["from course_utils import load_cifar10\n\ndata = load_cifar10(limit=500)"]
    cells = [new_code_cell(answer), new_cell("first-test", textwrap.dedent(test), points=1)]
    examined = examine(Job(cells, given, files, 120, 120, False))
    printed = examined.cells[1].outputs[0].text.splitlines()
    assert printed == ["True 0", "RemoteNetwork RemoteNetwork", "False"]
    assert not examined.notes


FORGED_MESSAGES = """
from ipykernel.kernelapp import IPKernelApp

kernel = IPKernelApp.instance().kernel
parent = kernel.get_parent()

def send(kind, **content):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)

send("execute_input", code="1", execution_count="many")
send("execute_result", execution_count="x", data={"text/plain": "1"}, metadata={})
send("display_data", data=[1], metadata={})
send("display_data", data={"text/plain": "shown"}, metadata=3)
send("stream", name=1, text={"a": 1})
send("error", ename=1, evalue=[], traceback="none")
print("said")
"""


@pytest.mark.sandbox
def test_what_a_kernel_says_in_another_form_is_dropped():
    cells = [new_code_cell(FORGED_MESSAGES), new_cell("first-test", "print(1)", points=1)]
    examined = examine(Job(cells, [], {}, 60, 60, False))
    nbformat.validate(new_notebook(cells=examined.cells))
    assert "said\n" in [output.get("text") for output in examined.cells[0].outputs]
    assert examined.cells[1].outputs[0].text == "1\n"


def test_words_of_a_cell_are_found_without_parsing_it():
    assert names_in("x1 = f(ü_2, 3.5e7) # not") == {"x1", "f", "ü_2", "e7", "not"}
    started = time.process_time()
    names_in("a=1\n" * 250_000)
    assert time.process_time() - started < 2


@pytest.mark.sandbox
def test_what_was_handed_in_is_no_data(tmp_path, monkeypatch):
    """Else it would hold the labels by which it is graded."""
    # A relative path, as a lecturer's own folder may be given.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "data")
    write_mnist(tmp_path / "data", first_label=3)
    write_mnist(tmp_path / "handed-in" / "data", first_label=7)
    files = read_files(tmp_path / "handed-in", ignored=[])
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


@pytest.mark.sandbox
def test_half_a_character_in_an_answer_does_not_end_the_examiner():
    """No message can hold it: a test that prints it, or quotes it in an error, still ends."""
    cells = [
        new_code_cell("answer = 'a\\ud800'"),
        new_cell("first-test", "print(answer)", points=1),
        new_cell("second-test", "raise ValueError(answer)", points=1),
        new_cell("third-test", "print(len(answer))", points=1),
    ]
    _, printed, raised, last = examine(Job(cells, [], {}, 60, 60, False)).cells
    assert printed.outputs[0].text == "a?\n"
    assert raised.outputs[0].evalue == "a?"
    assert last.outputs[0].text == "2\n"
