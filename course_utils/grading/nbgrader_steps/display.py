"""Having what a student's notebook shows cleaned and rendered by a program in a sandbox.

A few kilobytes can keep the libraries that clean and render busy for hours. So the grader itself
gives them no text of a student: it asks the renderer, and goes on without what is not answered.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader import utils

from course_utils.errors import InterruptedExaminationError
from course_utils.grading.assignment.cells import is_test
from course_utils.grading.nbgrader_steps.notes import add_note
from course_utils.grading.nbgrader_steps.program import Program
from course_utils.grading.sandbox.limits import (
    MAX_PAGE_BYTES,
    SHOW_LIMITS,
    SHOW_RENDERERS,
    SHOW_WAIT_SECONDS,
)
from course_utils.notebook_format import grade_id
from course_utils.submission.contract import GRADE_MIME
from course_utils.submission.messages import ShowReply, ShowRequest

RENDERER = "course_utils.grading.inside.renderer:serve"

# Settings of the exporter with which a notebook is rendered only to see whether that is possible.
PLAIN = {"HTMLExporter": {"template_name": "basic"}}

CANNOT_BE_SHOWN = "This cannot be shown: it takes too much time or memory to display."
FOR_STUDENT = (
    "Parts of your notebook take too much time or memory to be displayed, so they are not shown "
    "here. This costs no points."
)


class Display:
    """Asks the renderer, in a sandbox, to clean cells and to render pages.

    A renderer that ends, or that takes too much time or memory, gives no answer; the next request
    goes to a new one. After `SHOW_RENDERERS` of them, there are no more answers.

    Attributes
    ----------
    problem : str
        Why there was no answer the last time: a clause.
    """

    def __init__(self, with_my_rights: bool) -> None:
        self.problem = ""
        self._with_my_rights = with_my_rights
        self._left = SHOW_RENDERERS
        self._renderer: Program | None = None

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        if self._renderer:
            self._renderer.close()

    def clean(self, cells: list[NotebookNode]) -> list[NotebookNode] | None:
        """Return cleaned copies of cells; None without an answer."""
        with self._not_too_deep():
            tests, locked = (
                tuple(index for index, cell in enumerate(cells) if is_so(cell))
                for is_so in (is_test, utils.is_locked)
            )
            content = self._ask(
                ShowRequest(command="clean", notebook=_as_json(cells), tests=tests, locked=locked)
            )
            if content is not None:
                return [
                    nbformat.from_dict(made | {"metadata": _kept(cell)})
                    for made, cell in zip(json.loads(content), cells, strict=True)
                ]
        return None

    def render(
        self,
        cells: list[NotebookNode],
        metadata: dict[str, Any],
        settings: dict[str, Any],
        resources: dict[str, Any],
    ) -> str | None:
        """Return a notebook as an HTML page; None without an answer.

        Parameters
        ----------
        cells : list of NotebookNode
        metadata : dict
            The notebook's.
        settings : dict
            Settings of the exporter, as in ``nbgrader_config.py``.
        resources : dict
            What the exporter is told about the notebook; JSON values.
        """
        with self._not_too_deep():
            notebook = _as_json(cells, metadata)
            return self._ask(
                ShowRequest(
                    command="render", notebook=notebook, settings=settings, resources=resources
                )
            )
        return None

    @contextlib.contextmanager
    def _not_too_deep(self) -> Iterator[None]:
        try:
            yield
        except RecursionError:
            self.problem = "it is nested too deeply"

    def _ask(self, request: ShowRequest) -> str | None:
        while self._left:
            if self._renderer is None:
                self._renderer = Program(
                    RENDERER, SHOW_LIMITS, SHOW_WAIT_SECONDS, self._with_my_rights
                )
            answer = self._renderer.ask(request.to_bytes(), most_bytes=MAX_PAGE_BYTES)
            # A renderer that was taken over may answer with anything.
            with contextlib.suppress(ValueError):
                reply = ShowReply.from_bytes(answer or b"")
                self.problem = f"it cannot be displayed ({reply.problem})" if reply.problem else ""
                return None if reply.problem else reply.content
            self.problem = ""
            with contextlib.suppress(InterruptedExaminationError):
                self.problem = self._renderer.why_ended()
            self._renderer.close()
            self._renderer = None
            self._left -= 1
            # A renderer that was ended from outside, as when the machine has no memory left, says
            # nothing about the notebook, so the next one is asked the same.
            if self.problem:
                return None
        self.problem = self.problem or "the program that displays it was ended from outside"
        return None


def make_harmless(notebook: NotebookNode, with_my_rights: bool) -> None:
    """Clean all cells, and replace what cannot be cleaned or rendered.

    Afterwards, formgrader and the feedback can render the notebook in a short time.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place; notes for student and lecturer are added if something is replaced.
    with_my_rights : bool
        Whether the renderer has the lecturer's rights, without a sandbox.
    """
    with Display(with_my_rights) as display:
        cleaning = _Cleaning(notebook, display)
        cleaning.clean()
        if not cleaning.is_shown():
            cleaning.hide_slow_cells()
            if not cleaning.is_shown():
                cleaning.hide_everything()
    if cleaning.hidden:
        add_note(notebook, FOR_STUDENT, _for_lecturer(cleaning.hidden))


class _Cleaning:
    """Cleans a notebook's cells in place, and remembers which of them cannot be shown, and why."""

    def __init__(self, notebook: NotebookNode, display: Display) -> None:
        self.hidden: dict[str, str] = {}
        self._notebook, self._display = notebook, display
        # The outputs of tests are short, and harmless once they are clean.
        self._theirs = [n for n, cell in enumerate(notebook.cells) if not is_test(cell)]

    def clean(self) -> None:
        """Clean all cells together or, if there is no answer, each alone."""
        cells = self._notebook.cells
        if together := self._display.clean(cells):
            self._notebook.cells = together
            return
        for index, cell in enumerate(cells):
            if alone := self._display.clean([cell]):
                cells[index] = alone[0]
            elif is_test(cell):
                self.hidden[grade_id(cell) or ""] = self._display.problem
                cell.outputs = [_points(output) for output in cell.outputs if "data" in output]
            else:
                # Only the outputs of a code cell are cleaned.
                self._hide(index, only_outputs=cell.cell_type == "code")

    def is_shown(self, *indices: int) -> bool:
        """Tell whether these cells, or all, can be rendered. The lecturer's texts are left out."""
        cells = [self._notebook.cells[n] for n in indices] or self._notebook.cells
        tried = [
            NotebookNode(cell | {"source": ""}) if utils.is_locked(cell) else cell for cell in cells
        ]
        return self._display.render(tried, self._notebook.metadata, PLAIN, {}) is not None

    def hide_slow_cells(self) -> None:
        """Render each cell alone, and hide what cannot be rendered: first its outputs."""
        for index in self._theirs:
            cell = self._notebook.cells[index]
            if self.is_shown(index):
                continue
            if cell.get("outputs"):
                self._hide(index, only_outputs=True)
                if self.is_shown(index):
                    continue
            self._hide(index)

    def hide_everything(self) -> None:
        for index in self._theirs:
            self._hide(index)

    def _hide(self, index: int, only_outputs: bool = False) -> None:
        cell = self._notebook.cells[index]
        self.hidden[grade_id(cell) or f"cell {index + 1}"] = self._display.problem
        if cell.cell_type == "code":
            cell.outputs = [new_output("stream", name="stdout", text=CANNOT_BE_SHOWN)]
        if not only_outputs:
            cell.source = f"# {CANNOT_BE_SHOWN}" if cell.cell_type == "code" else CANNOT_BE_SHOWN
            cell.pop("attachments", None)


def _points(output: NotebookNode) -> NotebookNode:
    """Return an output of a test without its texts, which can quote an answer."""
    kept = {kind: output.data[kind] for kind in ("text/plain", GRADE_MIME) if kind in output.data}
    return NotebookNode(output | {"data": kept})


def _kept(cell: NotebookNode) -> dict[str, Any]:
    """Return the metadata of a cell that stay: the lecturer's."""
    return {name: cell.metadata[name] for name in ("nbgrader",) if name in cell.metadata}


def _as_json(cells: list[NotebookNode], metadata: dict[str, Any] | None = None) -> str:
    return json.dumps(
        {"cells": cells, "metadata": metadata or {}, "nbformat": 4, "nbformat_minor": 5}
    )


def _for_lecturer(hidden: dict[str, str]) -> str:
    """Return a sentence that names some of the hidden cells, and the first reason."""
    names, (reason, *_) = list(hidden), hidden.values()
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"Cannot be shown: {some}, because {reason}. The submitted notebook has everything."
