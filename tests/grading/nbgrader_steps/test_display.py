"""What a notebook shows is cleaned and rendered in a sandbox, within limits."""

from __future__ import annotations

import copy
import logging
import signal
import time
from dataclasses import replace
from unittest import mock

import pytest
from graded_cells import answer_cell, clean_cells, graded_cell, result
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell
from signalled import signal_next
from traitlets.config import Config

from course_utils.grading.inside.renderer import FEEDBACK
from course_utils.grading.nbgrader_steps import display
from course_utils.grading.nbgrader_steps.display import CANNOT_BE_SHOWN, FOR_STUDENT, make_harmless
from course_utils.grading.nbgrader_steps.feedback import FeedbackExporter
from course_utils.grading.nbgrader_steps.notes import lecturer_notes
from course_utils.grading.sandbox.limits import SHOW_LIMITS
from course_utils.submission.contract import GRADE_MIME

pytestmark = pytest.mark.sandbox

REPEATS = 40_000
TABLE = "<table><thead><tr><th>x</th></tr></thead>" + "<tr><td><b>1</b></td></tr>" * 50 + "</table>"
ALIGNED = "\\begin{align} a &= b \\end{align}"
LANGUAGE = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}


def showing(**data: str) -> NotebookNode:
    """Return a code cell that displays this; the kinds have _ for /."""
    data = {kind.replace("_", "/"): text for kind, text in data.items()}
    return new_code_cell("x = 1", outputs=[new_output("display_data", data=data)])


def honest() -> list[NotebookNode]:
    return [
        new_markdown_cell("# Loss\n$$\\frac{a}{b}$$, $x_i$, \\[ y \\] <b>B</b>\n\n|a|\n|-|\n|1|"),
        *(new_markdown_cell(f"$\\sum_{{i={n}}} x_i$ {ALIGNED}") for n in range(50)),
        new_code_cell("%pylab inline", outputs=[new_output("stream", text="\x1b[31ma\x1b[0m")]),
        showing(text_html=TABLE, text_plain="1"),
        showing(text_latex="$a$", text_plain="a"),
        showing(text_markdown="**a** $b$"),
        showing(image_png="iVBORw0KGgo="),
        answer_cell("y = 2"),
        new_raw_cell("<i>raw</i>"),
        graded_cell("### test", outputs=[result(1.0)]),
    ]  # fmt: skip


def notebook(*cells: NotebookNode) -> NotebookNode:
    return NotebookNode(cells=list(cells), metadata=NotebookNode(LANGUAGE))


def page(shown: NotebookNode) -> str:
    """Render a notebook in this process, as formgrader does."""
    whole = NotebookNode(shown | {"nbformat": 4, "nbformat_minor": 5})
    exporter = HTMLExporter(template_name="classic")
    return exporter.from_notebook_node(whole)[0]


def test_an_honest_notebook_is_cleaned_as_in_this_process():
    here = notebook(*honest())
    there = copy.deepcopy(here)
    here.cells = clean_cells(here.cells)
    make_harmless(there, with_my_rights=False)
    assert there == here
    assert "<b>1</b>" in str(there)


def test_an_honest_page_is_the_one_of_nbconvert():
    shown = notebook(*honest())
    settings = {"HTMLExporter": {"template_name": "classic"}}
    with display.Display(with_my_rights=False) as asked:
        there = asked.render(shown.cells, shown.metadata, settings, {})
    assert there == page(shown)
    assert "\\frac{a}{b}" in there


def heading(text: str) -> str:
    """Return a heading as it is kept."""
    return f"<div><h1>{text}</h1></div>"


HOPELESS = {
    "formula": new_markdown_cell("\\\\[" * REPEATS),
    "environment": new_markdown_cell("\\begin{a}" * REPEATS),
    "brackets": new_markdown_cell("[" * REPEATS),
    "raw": new_raw_cell("<b>" * REPEATS),
    "program": new_code_cell("%a\n" * REPEATS),
    "unclosed": new_markdown_cell("<b>\n```\n</b>\n```\n" * REPEATS),
    "html": showing(text_html="<b>" * REPEATS),
    "div": showing(text_html="<div>" * REPEATS),
    "markdown": showing(text_markdown="\\\\[" * REPEATS),
}


@pytest.fixture
def one_second(monkeypatch):
    monkeypatch.setattr(display, "SHOW_LIMITS", replace(SHOW_LIMITS, processor=1))


@pytest.mark.parametrize("kind", HOPELESS)
def test_a_cell_that_takes_too_long_is_not_shown_and_both_are_told(one_second, kind):
    cell = copy.deepcopy(HOPELESS[kind])
    cell.metadata["nbgrader"] = {"grade_id": "q1", "grade": False, "solution": True}
    before, after = new_markdown_cell("# Before"), new_code_cell("after = 1")
    shown = notebook(before, cell, after)
    make_harmless(shown, with_my_rights=False)
    note, first, hidden, last = shown.cells
    assert FOR_STUDENT in note.source
    (told,) = lecturer_notes(shown)
    assert told.startswith("Cannot be shown: q1, because ")
    assert "seconds" in told
    assert (first.source, last.source) == (heading("Before"), "after = 1")
    assert CANNOT_BE_SHOWN in str(hidden)
    assert hidden.metadata.nbgrader.grade_id == "q1"
    assert (hidden.source == "x = 1") == (kind in ("html", "div", "markdown"))
    started = time.process_time()
    page(shown)
    assert time.process_time() - started < 2


def test_many_such_cells_take_no_longer_than_a_few(one_second):
    shown = notebook(*(copy.deepcopy(HOPELESS["formula"]) for _ in range(30)))
    started = time.monotonic()
    make_harmless(shown, with_my_rights=False)
    assert time.monotonic() - started < 40
    assert all(cell.source == CANNOT_BE_SHOWN for cell in shown.cells[1:])
    (told,) = lecturer_notes(shown)
    assert "cell 5 and 25 more" in told


def test_cells_that_take_too_long_only_together_are_not_shown(one_second):
    many = [showing(text_html="<b>1</b>" * 800) for _ in range(60)]
    shown = notebook(*many, graded_cell("### test", outputs=[result(1.0)]))
    make_harmless(shown, with_my_rights=False)
    assert all(CANNOT_BE_SHOWN in cell.source for cell in shown.cells[1:-1])
    assert shown.cells[-1].source == "### test"


@pytest.mark.parametrize(
    "limits", [{"address_space": 2**27}, {"memory": 2**27}], ids=["reserves", "takes"]
)
def test_a_renderer_without_memory_costs_one_cell(monkeypatch, limits):
    monkeypatch.setattr(display, "SHOW_LIMITS", replace(SHOW_LIMITS, processor=60, **limits))
    shown = notebook(new_markdown_cell("# Before"), showing(text_html="<i>a</i>" * 100_000))
    make_harmless(shown, with_my_rights=False)
    assert [cell.source for cell in shown.cells[1:]] == [heading("Before"), "x = 1"]
    assert CANNOT_BE_SHOWN in str(shown.cells[2].outputs)
    (told,) = lecturer_notes(shown)
    assert told.startswith("Cannot be shown: cell 2, because ")
    assert ("of memory" in told) == ("memory" in limits)


def test_after_a_renderer_was_killed_the_next_one_shows_everything(monkeypatch):
    killed = signal_next(monkeypatch, 1)
    shown = notebook(new_markdown_cell("# Good"))
    make_harmless(shown, with_my_rights=False)
    assert len(killed) == 1
    assert [cell.source for cell in shown.cells] == [heading("Good")]


def test_where_every_renderer_is_killed_nothing_is_shown_and_nothing_else_happens(monkeypatch):
    signal_next(monkeypatch, 100)
    shown = notebook(new_markdown_cell("# Good"), graded_cell("### test", outputs=[result(1.0)]))
    test = copy.deepcopy(shown.cells[-1])
    make_harmless(shown, with_my_rights=False)
    assert [cell.source for cell in shown.cells[1:]] == [CANNOT_BE_SHOWN, "### test"]
    (kept,), (had,) = shown.cells[-1].outputs, test.outputs
    assert kept.data == {kind: had.data[kind] for kind in ("text/plain", GRADE_MIME)}
    assert "ended from outside" in lecturer_notes(shown)[0]


def test_a_renderer_that_was_taken_over_shows_nothing(monkeypatch):
    """Its answers are no replies; the programs here are none, so that no process is started."""
    taken_over = mock.Mock(**{"ask.return_value": b"x", "why_ended.return_value": ""})
    monkeypatch.setattr(display, "Program", lambda *_: taken_over)
    shown = notebook(new_markdown_cell("# Good"))
    make_harmless(shown, with_my_rights=False)
    assert "# Good" not in str(shown.cells)
    assert CANNOT_BE_SHOWN in str(shown.cells)


@pytest.mark.parametrize("how_many", [1, 2])
def test_a_renderer_that_stands_still_is_ended(monkeypatch, how_many):
    monkeypatch.setattr(display, "SHOW_WAIT_SECONDS", 2)
    stopped = signal_next(monkeypatch, how_many, signal.SIGSTOP)
    shown = notebook(new_markdown_cell("# Good"), new_markdown_cell("# Better"))
    make_harmless(shown, with_my_rights=False)
    assert len(stopped) == how_many
    if how_many == 1:  # all cells together; the next renderer cleans each alone
        assert [cell.source for cell in shown.cells] == [heading("Good"), heading("Better")]
        return
    assert [cell.source for cell in shown.cells[1:]] == [CANNOT_BE_SHOWN, heading("Better")]
    assert "more than 2 seconds" in lecturer_notes(shown)[0]


def test_a_page_that_cannot_be_rendered_has_the_points_and_a_sentence(one_second, caplog):
    exporter = FeedbackExporter(config=Config({"HTMLExporter": FEEDBACK}))
    exporter.log = logging.getLogger("feedback")
    points = {"notebook": "a1", "score": 3, "max_score": 4, "late_penalty": 0, "db_url": "secret"}
    shown = notebook(copy.deepcopy(HOPELESS["formula"])) | {"nbformat": 4, "nbformat_minor": 5}
    style = {"inlining": {"css": []}}
    text, _ = exporter.from_notebook_node(NotebookNode(shown), {"nbgrader": points} | style)
    assert "(Score: 3.0 / 4.0)" in text
    assert CANNOT_BE_SHOWN in text
    assert len(text) < 10**6
    assert "more than" in caplog.text
