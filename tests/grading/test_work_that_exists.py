"""Work that exists counts: whatever people and systems make of a file, its points are the same.

Each student hands in the same right answers in another form, and `course grade` grades the class.
"""

from __future__ import annotations

import copy
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrading import (
    ASSIGNMENTS,
    add_assignment,
    hand_in,
    make_course,
    new_cell,
    points,
    solved,
    value_cells,
)

from course_utils.grading.assignment.course import read_released
from course_utils.grading.class_grading import GRADED, grade_class
from course_utils.grading.gradebook import results

pytestmark = pytest.mark.sandbox

NAME = "small"
FULL = {"first-test": 2.0, "second-test": 3.0, "network-test": 4.0, "written": None}
NETWORK_TEST = """### BEGIN HIDDEN TESTS
from course_utils.grading import grade
from course_utils.submission import load_trained
grade.equal("epochs", load_trained("a0-q3").history.epochs > 0, True)
### END HIDDEN TESTS"""
ANSWER = "Written in my own words."


def in_json(change, encoding="utf-8"):
    """Return what changes the JSON of the notebook."""

    def make(folder):
        path = folder / f"{NAME}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        changed = change(notebook) or notebook
        path.write_bytes(json.dumps(changed, ensure_ascii=False).encode(encoding))

    return make


def in_cells(change, kind="code"):
    """Return what changes each cell of a kind."""

    def change_all(notebook):
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == kind:
                change(cell, number)

    return in_json(change_all)


def outputs(*found):
    return in_cells(lambda cell, number: cell.update(outputs=list(found)))


def update(**settings):
    return in_cells(lambda cell, number: cell.update(settings))


def without(*keys):
    return in_cells(lambda cell, number: [cell.pop(key, None) for key in keys])


def drop(*keys):
    def change(notebook):
        for key in keys:
            del notebook[key]

    return change


def encoded(encoding):
    def change(notebook):
        notebook["cells"][0]["source"] = "# Grüße, naïve Café"

    return in_json(change, encoding)


def as_version_3(notebook):
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = {"input": cell["source"], "language": "python", "collapsed": False}
            cells.append(
                {"cell_type": "code", "metadata": cell["metadata"], "outputs": []} | source
            )
        else:
            cells.append(cell)
    cells.append({"cell_type": "heading", "level": 2, "metadata": {}, "source": "The end"})
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""},
            "worksheets": [{"cells": cells, "metadata": {}}]}  # fmt: skip


def add_heading(notebook):
    notebook["cells"].append({"cell_type": "heading", "metadata": {}, "source": "x", "level": 1})


def add_unknown_cell(notebook):
    notebook["cells"].append({"cell_type": "sql", "metadata": {}, "source": "select"})


def number_ids(cell, number):
    cell["id"] = number


FORMATS = {
    "minor-4-with-ids": in_json(lambda nb: nb.update(nbformat_minor=4)),
    "minor-99": in_json(lambda nb: nb.update(nbformat_minor=99)),
    "no-version": in_json(drop("nbformat", "nbformat_minor")),
    "version-is-a-text": in_json(lambda nb: nb.update(nbformat="4", nbformat_minor="5")),
    "version-3": in_json(as_version_3),
    "no-execution-count": without("execution_count"),
    "no-outputs": without("outputs"),
    "no-ids": without("id"),
    "no-cell-metadata": in_json(
        lambda nb: nb["cells"].append({"cell_type": "code", "source": "1"})
    ),
    "source-is-null": in_json(
        lambda nb: nb["cells"].append({"cell_type": "code", "source": None, "metadata": {}})
    ),
    "no-source": in_json(lambda nb: nb["cells"].append({"cell_type": "raw", "metadata": {}})),
    "transient": outputs(
        {"output_type": "display_data", "data": {}, "metadata": {}, "transient": {}}
    ),
    "stream-metadata": outputs(
        {"output_type": "stream", "name": "stdout", "text": "x", "metadata": {}}
    ),
    "no-output-metadata": outputs({"output_type": "display_data", "data": {"text/plain": "x"}}),
    "pyout": outputs({"output_type": "pyout", "text": ["x"], "prompt_number": 1, "metadata": {}}),
    "outputs-null": update(outputs=None),
    "count-is-a-text": update(execution_count="*"),
    "text-with-outputs": in_cells(lambda c, n: c.update(outputs=[], execution_count=1), "markdown"),
    "kernelspec-without-name": in_json(lambda nb: nb.update(metadata={"kernelspec": {}})),
    "tag-twice": in_cells(lambda cell, number: cell["metadata"].update(tags=["a", "a"])),
    "vs-code-id": in_cells(lambda cell, number: cell.update(id=f"#VSC-1a2b3c{number}")),
    "number-as-id": in_cells(number_ids),
    "same-id": update(id="same"),
    "collapsed-text": in_cells(lambda cell, number: cell["metadata"].update(collapsed="false")),
    "heading": in_json(add_heading),
    "unknown-cell": in_json(add_unknown_cell),
    "no-metadata": in_json(drop("metadata")),
    "metadata-null": in_json(lambda nb: nb.update(metadata=None)),
    "attachments-null": in_cells(lambda c, n: c.update(attachments=None), "markdown"),
    "extra-keys": in_json(lambda nb: nb.update(extra=[1])),
    "byte-order-mark": encoded("utf-8-sig"),
    "utf-16": encoded("utf-16"),
    "utf-16-be": encoded("utf-16-be"),
    "utf-32": encoded("utf-32"),
    "cp1252": encoded("cp1252"),
}


def lose_marks(notebook):
    """What editors leave that do not know nbgrader."""
    for cell in notebook["cells"]:
        cell["metadata"].pop("nbgrader", None)


def as_in_a_new_notebook(notebook):
    """What is left if texts are copied, one after the other, into cells of a new notebook."""
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = {}
        cell["id"] = f"new-{number}"


def written_cell(notebook):
    """Return the index of the cell for the written answer."""
    names = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in notebook["cells"]]
    return names.index("written")


def lose_one_mark(notebook):
    notebook["cells"][written_cell(notebook)]["metadata"] = {}


def copy_the_answer(notebook):
    """The cell was copied, and the answer is in the copy."""
    cells, index = notebook["cells"], written_cell(notebook)
    cells.insert(index + 1, copy.deepcopy(cells[index]) | {"id": "copy"})
    cells[index]["source"] = "YOUR ANSWER HERE"


def answer_below(notebook):
    """The answer is in a new cell below the one for it."""
    cells, index = notebook["cells"], written_cell(notebook)
    new = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": ANSWER}
    cells.insert(index + 1, new)
    cells[index]["source"] = "YOUR ANSWER HERE"


def end_twice(folder):
    with (folder / f"{NAME}.ipynb").open("a") as file:
        file.write('\n]\n, "nbformat": 4}\n')


CELLS = {
    "no-nbgrader-metadata": in_json(lose_marks),
    "copied-into-a-new-notebook": in_json(as_in_a_new_notebook),
    "one-answer-without-metadata": in_json(lose_one_mark),
    "answer-in-a-copy": in_json(copy_the_answer),
    "answer-below": in_json(answer_below),
    "end-twice": end_twice,
}


def renamed(*pairs):
    def make(folder):
        for old, new in pairs:
            (folder / new).parent.mkdir(parents=True, exist_ok=True)
            (folder / old).rename(folder / new)

    return make


def zipped(archive, *names, inside="", keep=False):
    def make(folder):
        with zipfile.ZipFile(folder / archive, "w", zipfile.ZIP_DEFLATED) as file:
            for name in names:
                file.write(folder / name, f"{inside}{name}")
        for name in names if not keep else ():
            (folder / name).unlink()

    return make


def tarred(archive, *names, compression=""):
    def make(folder):
        with tarfile.open(folder / archive, f"w:{compression}") as file:
            for name in names:
                file.add(folder / name, f"{NAME}/{name}")
                (folder / name).unlink()

    return make


def untouched_beside(*worked):
    """Return what leaves the notebook as released, and the worked one under other names."""

    def make(folder):
        for name in worked:
            shutil.copy(folder / f"{NAME}.ipynb", folder / name)
        course = folder.parents[2]
        nbformat.write(read_released(course, NAME), folder / f"{NAME}.ipynb")

    return make


def two_copies(folder):
    """One copy is untouched, and the worked one is the other."""
    untouched_beside(f"{NAME} (2).ipynb")(folder)
    (folder / f"{NAME}.ipynb").rename(folder / f"{NAME} (1).ipynb")


def shadow(name):
    def make(folder):
        (folder / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")

    return make


def both(*changes):
    def make(folder):
        for change in changes:
            change(folder)

    return make


def answer(source):
    """Return what puts another text into the first answer."""

    def change(cell, number):
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "first":
            cell["source"] = source

    return in_cells(change)


PROGRESS = """import sys
for number in range(60_000):
    print(f"\\r{number:>40}", end="", file=sys.stderr)
first = 1"""
ANSWERS = {
    "matplotlib-widget": answer("%matplotlib widget\nfirst = 1"),
    "matplotlib-qt": answer("%matplotlib qt\nimport matplotlib.pyplot as plt\nfirst = 1"),
    "tensorflow-version": answer("if True:\n    %tensorflow_version 2.x\nfirst = 1"),
    "tensor": answer("import tensorflow as tf\nfirst = tf.constant(1)"),
    "fraction": answer("from fractions import Fraction\nfirst = Fraction(2, 2)"),
    "decimal": answer("from decimal import Decimal\nfirst = Decimal(1)"),
    "progress-bar": answer(PROGRESS),
    "matplotlib-use": answer("import matplotlib\nmatplotlib.use('TkAgg')\nfirst = 1"),
    "tensorboard": answer("%load_ext tensorboard\n%tensorboard --logdir logs\nfirst = 1"),
    "shell-command": answer("!echo 1 > one.txt\nfirst = int(open('one.txt').read())"),
    "pip-and-nvidia": answer("!pip install nothing\n%pip install nothing\n!nvidia-smi\nfirst = 1"),
    "conda": answer("%conda install numpy\nfirst = 1"),
    "extension": answer("%load_ext nb_black\nfirst = 1"),
    "input-after-it": answer("first = 1\nnumber = input('A number: ')"),
    "colab-drive": answer(
        "from google.colab import drive\ndrive.mount('/content/drive')\nfirst = 1"
    ),
    "colab-with-spaces": answer(
        "from google.colab import drive \t ;\nif True:\n  drive.mount('/x') ; \nfirst = 1"
    ),
    "colab-files": answer(
        "from google.colab import files\nfiles.download('a0-q3.keras');\nfirst = 1"
    ),
}
NOTEBOOK, NETWORK, RECORD = f"{NAME}.ipynb", "a0-q3.keras", "a0-q3.json"
PLACES = {
    "copy-1": renamed((NOTEBOOK, f"{NAME} (1).ipynb")),
    "copy-of": untouched_beside(f"Copy of {NAME}.ipynb"),
    "two-copies": two_copies,
    "another-name": renamed((NOTEBOOK, "Abgabe Ada.ipynb")),
    "deeper": renamed((NOTEBOOK, f"{NAME}/{NOTEBOOK}")),
    "all-deeper": renamed(*((name, f"a/b/{name}") for name in (NOTEBOOK, NETWORK, RECORD))),
    "zip": zipped(f"{NAME}.zip", NOTEBOOK, NETWORK, RECORD),
    "zip-with-folder": zipped("Abgabe.ZIP", NOTEBOOK, NETWORK, RECORD, inside=f"{NAME}/"),
    "tar": tarred(f"{NAME}.tar", NOTEBOOK, NETWORK, RECORD),
    "tar-gz": tarred("Abgabe.tar.gz", NOTEBOOK, NETWORK, RECORD, compression="gz"),
    "capital-ending": renamed((NOTEBOOK, f"{NAME}.IPYNB")),
    "capital-name": renamed((NOTEBOOK, f"{NAME.upper()}.ipynb")),
    "ipynb-txt": renamed((NOTEBOOK, f"{NOTEBOOK}.txt")),
    "ipynb-json": renamed((NOTEBOOK, f"{NOTEBOOK}.json")),
    "ipynb-zip": zipped(f"{NOTEBOOK}.zip", NOTEBOOK),
    "checkpoint-only": renamed((NOTEBOOK, f".ipynb_checkpoints/{NAME}-checkpoint.ipynb")),
    "shadow": both(shadow(f"._{NAME} (1).ipynb"), renamed((NOTEBOOK, f"{NAME} (1).ipynb"))),
    "shadow-in-zip": both(
        shadow(f"._{NOTEBOOK}"),
        zipped("x.zip", f"._{NOTEBOOK}", inside="__MACOSX/"),
        zipped(f"{NAME}.zip", NOTEBOOK),
    ),
    "network-copy": renamed((NETWORK, "a0-q3 (1).keras"), (RECORD, "a0-q3 (1).json")),
    "network-copy-of": renamed((NETWORK, "Copy of a0-q3.keras"), (RECORD, "Kopie von a0-q3.json")),
    "network-zip": zipped(f"{NETWORK}.zip", NETWORK),
    "network-named-zip": renamed((NETWORK, "a0-q3.zip")),
    "network-keras-zip": renamed((NETWORK, "a0-q3.keras.zip")),
    "network-capital": renamed((NETWORK, "A0-Q3.KERAS"), (RECORD, "A0-Q3.JSON")),
    "network-deeper": renamed((NETWORK, f"models/{NETWORK}"), (RECORD, f"models/{RECORD}")),
    "record-txt": renamed((RECORD, f"{RECORD}.txt")),
    "network-underscore": renamed((NETWORK, "a0_q3.keras"), (RECORD, "A0 q3.json")),
    "backup-only": renamed((NOTEBOOK, f"{NOTEBOOK}~")),
}


def record_in(encoding):
    def make(folder):
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        record["device"] = "Prozessor für Grüße"
        content = json.dumps(record, ensure_ascii=False).encode(encoding)
        (folder / RECORD).write_bytes(content)

    return make


RECORDS = {f"record-{name}": record_in(name) for name in ("utf-8-sig", "utf-16", "cp1252")}
FORMS = FORMATS | CELLS | PLACES | RECORDS | ANSWERS
# Student and lecturer are told if a file has another name, or if several could be meant.
TOLD = {
    "copy-1": f"{NAME} (1).ipynb",
    "copy-of": f"Copy of {NAME}.ipynb",
    "two-copies": f"{NAME} (2).ipynb",
    "another-name": "Abgabe Ada.ipynb",
    "deeper": f"{NAME}/{NAME}.ipynb",
    "zip": f"{NAME}.zip/{NAME}.ipynb",
    "tar-gz": f"Abgabe.tar.gz/{NAME}/{NAME}.ipynb",
    "capital-ending": f"{NAME}.IPYNB",
    "ipynb-txt": f"{NAME}.ipynb.txt",
    "checkpoint-only": ".ipynb_checkpoints",
    "network-copy": "a0-q3 (1).keras",
    "network-keras-zip": "a0-q3.keras.zip",
    "network-underscore": "a0_q3.keras",
    "backup-only": "small.ipynb~",
    "cp1252": "encoding",
    "no-nbgrader-metadata": "recognised by their texts",
    "copied-into-a-new-notebook": "recognised by their texts",
    "one-answer-without-metadata": "recognised by their texts: written",
    "answer-in-a-copy": "written",
    "answer-below": "taken from the cells below those for them: written",
    "end-twice": "What follows the end of the notebook",
}


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """The course before it is graded, and what each folder holds."""
    course = make_course(tmp_path_factory.mktemp("exists") / "course")
    cells = [nbformat.v4.new_markdown_cell("Two values, a network, and a text.", id="task")]
    cells += [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    cells.append(new_cell("network-test", NETWORK_TEST, points=4))
    written = nbformat.v4.new_markdown_cell("YOUR ANSWER HERE", id="written")
    written.metadata["nbgrader"] = {"grade_id": "written", "grade": True, "solution": True,
        "locked": False, "task": False, "points": 1, "schema_version": 3}  # fmt: skip
    add_assignment(course, NAME, [*cells, written])
    answered = solved(course, NAME, {"written": ANSWER})
    for student, change in {"plain": lambda folder: None, **FORMS}.items():
        folder = hand_in(course, student, NAME, answered)
        for path in (ASSIGNMENTS / "solutions" / "a0-mnist").iterdir():
            shutil.copy(path, folder)
        change(folder)
    return course, contents(course)


@pytest.fixture(scope="module")
def graded(handed_in):
    course, before = handed_in
    outcomes = grade_class(course, NAME)
    assert {o.student: o.reason for o in outcomes if o.state != GRADED} == {}
    return course, before, {result.student: result for result in results(course, NAME)}


def contents(course: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode)
        for path in (course / "submitted").rglob("*")
        if path.is_file()
    }


def page(course, student):
    return (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("student", ["plain", *FORMS])
def test_the_same_answers_earn_the_same(graded, student):
    course, _, found = graded
    assert points(course, student, NAME) == FULL, found[student].notes
    assert ANSWER in page(course, student)


@pytest.mark.parametrize("student", TOLD)
def test_student_and_lecturer_are_told_what_was_taken(graded, student):
    course, _, found = graded
    assert TOLD[student] in " ".join(found[student].notes)
    assert TOLD[student] in page(course, student)


def test_what_needs_no_word_gets_none(graded):
    _, _, found = graded
    for student in ("plain", "no-ids", "transient", "matplotlib-widget", "tensor", "colab-drive"):
        assert found[student].notes == [], student


def test_nothing_is_written_into_a_submission_or_moved_out_of_it(graded):
    course, before, _ = graded
    assert contents(course) == before
