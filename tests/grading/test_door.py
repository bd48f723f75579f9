"""What is handed in is made safe before nbgrader lists, copies or reads it.

Each hostile folder is graded by plain `nbgrader autograde` and by `course grade`, between two
honest ones.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell
from nbgrading import (
    add_assignment,
    autograde,
    grade_by_command,
    hand_in,
    make_course,
    points,
    solved,
    value_cells,
)
from nested_folders import nest

from course_utils.grading.class_grading import GRADED, UNCHANGED, grade_class
from course_utils.grading.gradebook import results
from course_utils.grading.sandbox import limits

pytestmark = pytest.mark.sandbox

NAME = "small"
FULL = {"first-test": 2.0, "second-test": 3.0}
NOTHING = dict.fromkeys(FULL, 0.0)
HONEST = ("aaa-honest", "zzz-honest")
# The assignment's own file.
HELPER = "value = 1\n"
RESERVED = "These names are reserved for files of the grader or of the assignment"
# Names that a file of the grader, of nbgrader or of the assignment can have.
FILES_OF_OURS = ("x.keras", "x.json", f"{NAME}.html", ".predicted/x.npy", "helper.py",
                 "timestamp.txt", f"{NAME} (1).ipynb")  # fmt: skip


def many_files(folder):
    for number in range(2_000):
        (folder / f"0-{number}").touch()


def many_folders(folder):
    for number in range(2_000):
        (folder / f"0-{number}").mkdir()


def long_paths(folder):
    nest(folder, ["x" * 250] * 20, file="file")


def deep_folders(folder):
    nest(folder, ["d"] * 1_100)


def folder_as(name):
    def make(folder):
        (folder / name).mkdir(parents=True)
        (folder / name / "inside").write_text("inside")

    return make


def file_as(name):
    def make(folder):
        (folder / name).write_text("mine")
        (folder / name).chmod(0o444)

    return make


def folder_as_notebook(folder):
    (folder / f"{NAME}.ipynb").unlink()
    folder_as(f"{NAME}.ipynb")(folder)


def pipe_as_time(folder):
    os.mkfifo(folder / "timestamp.txt")


def link_as_time(folder):
    (folder / "timestamp.txt").symlink_to("/dev/zero")


def huge_file(folder):
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(2**42)


def unreadable_file(folder):
    (folder / "mine.txt").touch(mode=0o000)


def changed(change):
    """Return what changes the JSON of a notebook."""

    def make(folder):
        path = folder / f"{NAME}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        change(notebook)
        path.write_text(json.dumps(notebook), encoding="utf-8")

    return make


def add_half_a_character(notebook):
    for cell in notebook["cells"]:
        cell["metadata"].setdefault("tags", []).append("\ud800")
    text = {"cell_type": "markdown", "metadata": {}, "source": "\ud800"}
    notebook["cells"].append(text | {"attachments": {"\ud800": {"image/png": "\ud800"}}})


def add_odd_values(notebook):
    notebook["metadata"] = {"a": float("nan"), "b": 10**4000, "c": None}
    notebook["nbformat_minor"] = 99
    for cell in notebook["cells"]:
        cell["extra"] = float("inf")
        cell["attachments"] = {"x": {"application/json": [[[[1]]]]}}


def add_deep_metadata(notebook):
    deep: list = []
    for _ in range(450):
        deep = [deep]
    for cell in notebook["cells"]:
        cell["metadata"]["deep"] = deep
        cell["metadata"].setdefault("nbgrader", {})["deep"] = deep


def repeat_tags(notebook):
    notebook["cells"][0]["metadata"]["tags"] = ["t", "t", "a,b", *map(str, range(100_000))]


def add_cells(notebook):
    text = {"cell_type": "markdown", "metadata": {}, "source": "x"}
    notebook["cells"] += [copy.deepcopy(text) for _ in range(20_000)]


def add_long_cell(notebook):
    text = {"cell_type": "markdown", "metadata": {}}
    notebook["cells"].append(text | {"source": "x" * 2 * limits.MAX_CELL_CHARACTERS})


def add_long_id(notebook):
    about = {"grade_id": "x" * 2_000_000, "grade": True, "solution": False, "points": 5}
    cell = new_markdown_cell("x", metadata={"nbgrader": about})
    notebook["cells"].append(json.loads(json.dumps(cell)))


# Name -> what is done, the points that it earns all the same, and what is said.
ATTACKS = {
    "files": ([many_files, huge_file, unreadable_file], FULL, ["At most 200 files", "Too large"]),
    "folders": ([many_folders], FULL, ["At most 200 files"]),
    "paths": (
        [long_paths, deep_folders],
        FULL,
        ["Paths of more than 500 bytes", "Folders in more than 20"],
    ),
    "folder-as-notebook": ([folder_as_notebook], NOTHING, [RESERVED, "was not handed in"]),
    "folders-as-files": ([folder_as(name) for name in FILES_OF_OURS], FULL, [RESERVED]),
    "files-as-others": (
        [file_as(name) for name in (f"{NAME}.html", f"{NAME}.unfinished", "data", ".predicted")],
        FULL,
        [RESERVED],
    ),
    "file-as-time": ([file_as("timestamp.txt")], FULL, ["should hold the time"]),
    "pipe-as-time": ([pipe_as_time], FULL, ["Links, pipes"]),
    "link-as-time": ([link_as_time], FULL, ["Links, pipes"]),
    "odd-cells": (
        [changed(c) for c in (add_half_a_character, add_odd_values, add_deep_metadata)],
        FULL,
        [],
    ),
    "large-cells": (
        [changed(change) for change in (repeat_tags, add_long_cell, add_long_id, add_cells)],
        FULL,
        ["only the first 2,000 are graded", "2,000,000 characters", "duplicated or unknown"],
    ),
}


def hand_in_everything(course: Path) -> None:
    cells = [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    add_assignment(course, NAME, cells)
    (course / "source" / NAME / "helper.py").write_text(HELPER)
    (course / "source" / NAME / "data").mkdir()
    (course / "source" / NAME / "data" / "x.csv").write_text("1")
    answered = solved(course, NAME, {"first": "from helper import value\nfirst = value"})
    for student in (*HONEST, *ATTACKS):
        folder = hand_in(course, student, NAME, answered)
        if student in ATTACKS:
            for attack in ATTACKS[student][0]:
                attack(folder)


@pytest.fixture(scope="module", params=["course", "nbgrader"])
def graded(request, tmp_path_factory):
    """The course after it was graded twice, what each time was said, and the seconds it took."""
    course = make_course(tmp_path_factory.mktemp(request.param) / "course")
    try:
        hand_in_everything(course)
        start = time.monotonic()
        if request.param == "course":
            outcomes = grade_class(course, NAME)
            assert {o.student: o.reason for o in outcomes if o.state != GRADED} == {}
            first = results(course, NAME)
            assert {outcome.state for outcome in grade_class(course, NAME)} == {UNCHANGED}
            again = results(course, NAME)
        else:
            first = grade_by_command(course, NAME)
            again = grade_by_command(course, NAME, again=True)
        yield course, first, again, time.monotonic() - start
    finally:
        # Python cannot look through the deep folders in it.
        subprocess.run(["rm", "-rf", course], check=True)


def test_everybody_is_graded_and_nothing_takes_long(graded):
    course, first, again, seconds = graded
    assert {result.student for result in first} == {*HONEST, *ATTACKS}
    # nbgrader has added an empty notebook where there was none.
    assert [(r.student, r.score) for r in first] == [(r.student, r.score) for r in again]
    for student in HONEST:
        assert points(course, student, NAME) == FULL
    assert [r.notes for r in first if r.student in HONEST] == [[], []]
    assert seconds < 60 + 15 * len(ATTACKS)


@pytest.mark.parametrize("student", ATTACKS)
def test_a_hostile_folder_costs_what_is_in_it_and_both_are_told(graded, student):
    course, first, *_ = graded
    _, deserves, sentences = ATTACKS[student]
    assert points(course, student, NAME) == deserves
    notes = next(r for r in first if r.student == student).notes
    page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    for sentence in sentences:
        assert sentence in " ".join(notes)
        assert sentence in page or sentence == "duplicated or unknown"
    assert bool(sentences) == bool(notes)
    assert len(" ".join(notes)) < 5_000


def test_what_is_copied_and_written_is_ours(graded):
    course, *_ = graded
    for student in (*HONEST, *ATTACKS):
        place = course / "autograded" / student / NAME
        assert (place / "helper.py").read_text() == HELPER
        nbformat.validate(nbformat.read(place / f"{NAME}.ipynb", as_version=4))
        assert not (place / f"{NAME}.unfinished").exists()
        assert len(list(place.rglob("*"))) < 2 * limits.MAX_FILES
        assert (course / "feedback" / student / NAME / f"{NAME}.html").read_text() != "mine"


def test_a_folder_without_a_notebook_is_graded_by_plain_nbgrader_too(tmp_path):
    course = make_course(tmp_path / "course")
    add_assignment(course, NAME, value_cells("first", 1, points=2))
    hand_in(course, "ada", NAME, solved(course, NAME))
    hand_in(course, "bob", NAME, solved(course, NAME))
    autograde(course, NAME)
    (course / "submitted" / "bob" / NAME / f"{NAME}.ipynb").unlink()
    autograde(course, NAME, again=True)
    assert points(course, "ada", NAME) == {"first-test": 2}
    assert points(course, "bob", NAME) == {"first-test": 0}
