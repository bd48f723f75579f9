"""A submission is read in a sandbox, within limits."""

from __future__ import annotations

import io
import json
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrading import add_assignment, grade, hand_in, make_course, points, solved, value_cells
from reading_here import answer_cells, read_here
from signalled import signal_next

from course_utils.errors import InterruptedExaminationError
from course_utils.grading.class_grading import FAILED, GRADED, UNCHANGED, grade_class
from course_utils.grading.gradebook import read_graded
from course_utils.grading.inside import handed_in, submitted
from course_utils.grading.inside.handed_in import File
from course_utils.grading.nbgrader_steps import reading
from course_utils.grading.nbgrader_steps.notes import lecturer_notes
from course_utils.grading.nbgrader_steps.reading import as_notebook, read_submission
from course_utils.grading.sandbox import limits
from course_utils.grading.sandbox.limits import READ_LIMITS
from course_utils.submission.messages import ReadCell, ReadFile, ReadNotebook, ReadReply

pytestmark = pytest.mark.sandbox

NOTEBOOKS = {"a1": answer_cells({"q1": "q1 = None"})}
NAMES = {"q1"}


def notebook(source: str) -> bytes:
    cell = new_code_cell(source, metadata={"nbgrader": {"grade_id": "q1"}})
    return json.dumps(new_notebook(cells=[cell])).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def files_of(contents: dict[str, bytes]) -> list[File]:
    return [
        File(Path(name), name, len(content), 0.0, lambda content=content: content)
        for name, content in contents.items()
    ]


HONEST = {
    "a1.ipynb": notebook("q1 = None"),
    "my.zip": zipped({"x/a1.ipynb": notebook("q1 = 1"), "x/q1 (1).keras": b"network"}),
    "q1.json": '{"name": "ä"}'.encode("utf-16"),
}
# Reading this takes some seconds.
TAGS = {"tags": ["ab"] * 3_300_000}
LARGE = json.dumps({"cells": [{"cell_type": "code", "source": "1", "metadata": TAGS}]}).encode()


@pytest.fixture
def asked(tmp_path):
    def ask(contents: dict[str, bytes]) -> reading.Received:
        files = files_of(contents)
        return read_submission(files, NOTEBOOKS, NAMES, kept=tmp_path, with_my_rights=False)

    return ask


def test_what_is_read_in_a_sandbox_is_what_is_read_here(asked):
    received = asked(HONEST)
    assert received == read_here(files_of(HONEST), NOTEBOOKS, NAMES)
    found = received.reply.notebooks["a1"]
    assert [(cell.name, cell.text) for cell in found.cells] == [("q1", "q1 = 1")]
    assert json.loads(received.contents["a1.ipynb"])["cells"][0]["source"] == "q1 = 1"
    assert received.contents["q1.keras"] == b"network"
    assert received.contents["q1.json"] == '{"name": "ä"}'.encode()


def test_what_was_read_once_is_not_read_again(asked, monkeypatch, tmp_path):
    contents = {"a1.ipynb": notebook("q1 = 1"), "q1.keras": b"network", "q1.json": b"{}"}
    first = asked(contents)
    (answer,) = tmp_path.iterdir()
    with mock.patch.object(reading, "Program", side_effect=AssertionError):
        assert asked(contents) == first
        for changed in ({"a1.ipynb": notebook("q1 = 2")}, {"q1.json": b"[]"}, {"data.csv": b""}):
            with pytest.raises(AssertionError):
                asked(contents | changed)
        monkeypatch.setattr(reading, "digest_of_grader", lambda: "another version of the course")
        with pytest.raises(AssertionError):
            asked(contents)
        monkeypatch.undo()
        answer.write_text(answer.read_text()[:-20])
        with pytest.raises(AssertionError):
            asked(contents)
    assert asked(contents) == first


def test_what_takes_too_much_and_what_comes_from_archives_is_read_again(
    asked, monkeypatch, tmp_path
):
    asked(HONEST)
    monkeypatch.setattr(reading, "MAX_PAGE_BYTES", 100)
    asked({"a1.ipynb": notebook("q1 = 1")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"processor": 1}, "more than 1 seconds"), ({"memory": 2**28}, "of memory")],
    ids=["time", "memory"],
)
def test_what_takes_too_much_counts_as_empty(asked, monkeypatch, changed, why):
    monkeypatch.setattr(reading, "READ_LIMITS", replace(READ_LIMITS, **changed))
    received = asked({"a1.ipynb": LARGE})
    assert received.reply.notebooks == {"a1": ReadNotebook()}
    (problem,) = received.reply.problems
    assert problem.startswith("The submission cannot be read, because it took ")
    assert why in problem


def test_a_reader_that_stands_still_is_ended(asked, monkeypatch):
    monkeypatch.setattr(reading, "READ_WAIT_SECONDS", 2)
    signal_next(monkeypatch, 1, signal.SIGSTOP)
    assert "it took more than 2 seconds" in str(asked(HONEST).reply.problems)


def test_an_answer_that_is_too_long_is_not_taken(asked, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PAGE_BYTES", 100)
    assert "because its answer was too long" in str(asked(HONEST).reply.problems)


def test_one_that_was_ended_from_outside_says_nothing_about_the_submission(asked, monkeypatch):
    killed = signal_next(monkeypatch, 1)
    assert asked(HONEST) == read_here(files_of(HONEST), NOTEBOOKS, NAMES)
    assert len(killed) == 1
    signal_next(monkeypatch, 2)
    with pytest.raises(InterruptedExaminationError, match="the reader was ended from outside"):
        asked(HONEST)


def cell(name: str) -> ReadCell:
    return ReadCell(kind="code", id=name or "x", text="1", name=name)


@pytest.mark.parametrize(
    "reply",
    [
        ReadReply(notebooks={}),
        ReadReply(notebooks={"a1": ReadNotebook(), "a2": ReadNotebook()}),
        ReadReply(notebooks={"a1": ReadNotebook(cells=(cell("q1"), cell("q1")))}),
        ReadReply(notebooks={"a1": ReadNotebook(cells=(cell("q2"),))}),
        *(
            ReadReply(
                notebooks={"a1": ReadNotebook()},
                files=(ReadFile(path=path, source="a.zip/x", size=1),),
            )
            for path in ("/etc/x", "../x", "a/../../x")
        ),
        ReadReply(
            notebooks={"a1": ReadNotebook()},
            files=(ReadFile(path="q1.keras", source="a.zip/x", size=-1),),
        ),
        ReadReply(notebooks={"a1": ReadNotebook()}, encoded=("q2.json",)),
        ReadReply(notebooks={"a1": ReadNotebook()}, encoded=("../q1.json",)),
        b"no reply",
    ],
)
def test_a_reader_that_was_taken_over_cannot_reach_anything(asked, monkeypatch, reply):
    """The program here is none, so that no process is started."""
    answers = iter([reply if isinstance(reply, bytes) else reply.to_bytes(), b"x"])
    taken_over = mock.Mock(**{"ask.side_effect": lambda *_, **__: next(answers)})
    monkeypatch.setattr(reading, "Program", lambda *_: taken_over)
    received = asked(HONEST)
    assert received.reply.notebooks == {"a1": ReadNotebook()}
    assert "an answer that makes no sense" in str(received.reply.problems)


def test_the_grader_takes_no_more_from_archives_than_a_submission_may_have(asked, monkeypatch):
    """Networks come first; what the copy has no room for is not even asked for."""
    sizes = {"data.csv": 1, "a.keras": 1, "b.keras": limits.MAX_FILES_BYTES, "q1.json": 1}
    reply = ReadReply(
        notebooks={"a1": ReadNotebook()},
        files=tuple(ReadFile(path=p, source=f"a.zip/{p}", size=n) for p, n in sizes.items()),
    )
    reader = mock.Mock(**{"ask.side_effect": [reply.to_bytes(), b"x"]})
    monkeypatch.setattr(reading, "Program", lambda *_: reader)
    assert asked(HONEST).contents == {"a.keras": b"x"}


def test_a_cell_of_the_students_own_keeps_what_it_has():
    picture = {"a.png": {"image/png": "iVBO"}}
    cells = (
        ReadCell(kind="markdown", id="a", text="t", attachments=picture, tags=("x",)),
        ReadCell(kind="code", id="a", text="1", name="q1"),
    )
    text, code = as_notebook(ReadNotebook(cells=cells)).cells
    assert (text.attachments, text.metadata) == (picture, {"tags": ["x"]})
    assert code.metadata == {"nbgrader": {"grade_id": "q1"}}
    assert code.id != text.id


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with a submission in an archive, and a notebook that takes seconds to read."""
    place = make_course(tmp_path_factory.mktemp("reading") / "course")
    add_assignment(place, "small", value_cells("first", 1, points=2))
    folder = hand_in(place, "ada", "small", solved(place, "small"))
    content = (folder / "small.ipynb").read_bytes()
    (folder / "small.ipynb").unlink()
    (folder / "all.zip").write_bytes(zipped({"small.ipynb": content}))
    (hand_in(place, "eve", "small", solved(place, "small")) / "small.ipynb").write_bytes(LARGE)
    return place


def test_the_grader_itself_reads_nothing(course, monkeypatch):
    """The fork server's programs are not affected by what is replaced here."""
    for module, name in ((submitted, "read_notebook"), (handed_in, "HandedIn")):
        monkeypatch.setattr(module, name, mock.Mock(side_effect=AssertionError))
    (outcome,) = grade_class(course, "small", only="ada", again=True)
    assert (outcome.state, points(course, "ada", "small")) == (GRADED, {"first-test": 2.0})


def test_an_unchanged_submission_is_not_read_again(course):
    folder = hand_in(course, "bob", "small", solved(course, "small"))
    grade_class(course, "small", only="bob")
    with mock.patch.object(reading, "Program", side_effect=AssertionError):
        (outcome,) = grade_class(course, "small", only="bob")
    assert outcome.state == UNCHANGED
    (folder / "small.ipynb").write_bytes(b"")
    (outcome,) = grade_class(course, "small", only="bob")
    assert (outcome.state, points(course, "bob", "small")) == (GRADED, {"first-test": 0.0})


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_one_that_takes_too_long_keeps_nobody_waiting(course, monkeypatch, by):
    monkeypatch.setattr(reading, "READ_LIMITS", replace(READ_LIMITS, processor=1))
    if by == "course":
        states = {outcome.student: outcome.state for outcome in grade_class(course, "small")}
        assert states["eve"] == GRADED
    else:
        grade(course, "small")
    assert points(course, "ada", "small") == {"first-test": 2.0}
    assert points(course, "eve", "small") == {"first-test": 0.0}
    assert "it took more than 1 seconds" in str(lecturer_notes(read_graded(course, "eve", "small")))


def test_where_every_reader_is_killed_nobody_gets_no_points_for_it(course, monkeypatch):
    signal_next(monkeypatch, 2)
    (outcome,) = grade_class(course, "small", only="ada", again=True)
    assert outcome.state == FAILED
    assert outcome.reason.startswith("Not graded: the reader was ended from outside")
    (outcome,) = grade_class(course, "small", only="ada")
    assert (outcome.state, points(course, "ada", "small")) == (GRADED, {"first-test": 2.0})
