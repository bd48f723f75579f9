"""The command line: what it prints, and with which code it ends."""

import subprocess
import sys

import nbformat
import pytest
from typer.testing import CliRunner

from course_utils.cli import app
from course_utils.cli.run import typed_parameters

REPORTING = """
from types import SimpleNamespace
from course_utils.reporting import report
source = SimpleNamespace(name="CIFAR-10", is_stand_in=is_stand_in, fingerprint="f")
runtime = SimpleNamespace(backend="b", device="d", precision="float32", threads=1, seed=0)
report(runtime, SimpleNamespace(source=source), profile=profile, test_accuracy=accuracy)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A notebook that reports the accuracy it is told, under a name that has a threshold."""
    new = nbformat.v4
    defaults = 'profile = "fast"\naccuracy = 0.7\nis_stand_in = False\nepochs = None'
    parameters = new.new_code_cell(defaults, metadata={"tags": ["parameters"]})
    content = new.new_notebook(cells=[parameters, new.new_code_cell(REPORTING)])
    content.metadata["kernelspec"] = {"display_name": "P", "language": "python", "name": "python3"}
    path = tmp_path_factory.mktemp("cli") / "05_convolution.ipynb"
    nbformat.write(content, path)
    return path


def course(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def course_alone(*arguments):
    """Run in a process of its own, for commands that set Keras up."""
    command = [sys.executable, "-m", "course_utils.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.process
@pytest.mark.parametrize(
    ("parameters", "code", "verdict"),
    [
        ([], 0, "met"),
        (["-p", "accuracy", "0.6"], 1, "missed"),
        (["-p", "accuracy", "0.6", "--param", "is_stand_in", "True"], 0, "not judged (stand-in)"),
        (["-p", "accuracy", "0.6", "-p", "epochs", "1"], 0, "not judged (quick try)"),
    ],
)
def test_a_missed_threshold_is_a_failure(notebook, parameters, code, verdict):
    result = course("run", notebook, *parameters, "--out", notebook.parent / "out")
    assert verdict in result.output
    assert ">= 62.0%" in result.output
    assert result.exit_code == code


def test_parameters_have_the_types_that_papermill_gives_them():
    pairs = ["a=1", "b=1e-3", "c=True", "d=None", "e=text", "f=x=y"]
    expected = {"a": 1, "b": 0.001, "c": True, "d": None, "e": "text", "f": "x=y"}
    assert typed_parameters(pairs) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.ipynb"], "There is no notebook"),
        (["run", "-p", "alone"], "-p takes two words"),
        (["run", "--data", "nowhere"], "nowhere"),
        (["data", "--path", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_sentence_and_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = course(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_book_wants_the_courses_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = course("book", "--data", "stand-in")
    assert result.exit_code == 2
    assert "No chapters" in result.output


@pytest.mark.process
def test_help_imports_nothing_slow():
    code = "import sys, course_utils.cli; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"keras", "tensorflow", "numpy", "papermill", "nbformat"} & set(modules)


def test_data_shows_places_shapes_and_source():
    result = course("data", "cifar10", "--path", "stand-in")
    assert result.exit_code == 0
    for part in ("stand-in", "32 x 32 x 3", "train", "cache:"):
        assert part in result.output


@pytest.mark.process
def test_doctor_names_what_it_looked_at():
    result = course_alone("doctor")
    assert result.returncode == 0, result.stderr
    for subject in ("python", "keras", "backend", "device", "memory", "disk", "cifar10", "mnist"):
        assert f" {subject}" in result.stdout
    assert all(line.startswith(("ok", "warn")) for line in result.stdout.splitlines())


@pytest.mark.process
def test_zoo_lists_and_shows_networks(monkeypatch):
    # In this process, whose Keras other tests have set up.
    monkeypatch.setattr("course_utils.doctor.quiet_setup", lambda: None)
    assert "tbmi26/fully-connected" in course("zoo", "list").output
    assert "12,523,266" in course("zoo", "show", "tbmi26/fully-connected").output
    unknown = course("zoo", "show", "nothing/like-it")
    assert unknown.exit_code == 2
    assert "There is no network called" in unknown.output
