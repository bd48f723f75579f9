"""Repairing a submission, so that it has every cell of the assignment once and in its place."""

from __future__ import annotations

import copy
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors.base import NbGraderPreprocessor

from course_utils.grading.assignment.cells import SECRETS
from course_utils.grading.assignment.course import read_lecturers_notebook, source_folder
from course_utils.grading.nbgrader_steps.notes import add_note, lecturer_notes
from course_utils.notebook_format import grade_id
from course_utils.submission.messages import AssignmentCell

# Key in the metadata of a notebook that has no cell of the assignment.
NOTHING_TO_RUN = "course_nothing_to_run"


class RepairCells(NbGraderPreprocessor):
    """Gives the assignment's cells in a submission their metadata, and puts back missing cells.

    The nbgrader metadata of a cell come from the lecturer's notebook, never from the student's. The
    reader has left an id only on the cells of the assignment (`recognise.mark_cells`).
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        cells = self.parent.cells_as_released(names["assignment"], names["notebook"])
        expected = {name: cell for cell in cells if (name := grade_id(cell)) is not None}
        found = set()
        for cell in nb.cells:
            name = grade_id(cell)
            if name is None:
                continue
            found.add(name)
            original = expected[name]
            cell.metadata["nbgrader"] = copy.deepcopy(original.metadata.nbgrader)
            if original.get("attachments") and not utils.is_solution(original):
                # Pictures of a mark scheme, which students do not receive.
                cell.attachments = copy.deepcopy(original.attachments)
        missing = [name for name in expected if name not in found]
        for name in missing:
            cell = expected[name]
            nb.cells.insert(_place(nb, list(expected), cell), cell)
        _tell_what_was_missing(nb, missing, everything=len(expected))
        return nb, resources


def _tell_what_was_missing(nb: NotebookNode, missing: list[str], everything: int) -> None:
    if missing and len(missing) == everything:
        nb.metadata[NOTHING_TO_RUN] = True
        sentence = "None of the assignment's cells is in the notebook: is it another one?"
        if not lecturer_notes(nb):
            add_note(nb, sentence, sentence)
    elif missing:
        names = ", ".join(missing)
        add_note(
            nb,
            f"These cells were missing and were restored without an answer: {names}.",
            f"Cells missing, or with a changed id: {names}.",
        )


def cells_as_released(coursedir: CourseDirectory, assignment: str, name: str) -> list[NotebookNode]:
    """Return the cells of a lecturer's notebook, those with an id as they were released.

    They still have their hidden tests. A cell that was added after the release has no id.
    """
    cells = read_lecturers_notebook(source_folder(coursedir, assignment) / f"{name}.ipynb").cells
    released = _released(coursedir, assignment, name)
    for cell in cells:
        if grade_id(cell) in released:
            cell.source = released[grade_id(cell)]
        elif "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.pop("grade_id", None)
    return cells


def _released(coursedir: CourseDirectory, assignment: str, name: str) -> dict[str | None, str]:
    """Return the texts of the cells in the gradebook: id -> text."""
    with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
        cells = gradebook.find_notebook(name, assignment).source_cells
        return {cell.name: cell.source for cell in cells}


def without_secrets(cells: list[NotebookNode]) -> list[AssignmentCell]:
    """Return cells of an assignment as students received them."""
    return [
        AssignmentCell(
            name=grade_id(cell) or "",
            kind=cell.cell_type,
            text=SECRETS.sub("", cell.source),
            is_answer=utils.is_solution(cell),
            is_graded=utils.is_grade(cell),
            is_locked=utils.is_locked(cell),
        )
        for cell in cells
    ]


def lecturers_notebook(preprocessor: NbGraderPreprocessor, names: dict[str, str]) -> NotebookNode:
    """Read the lecturer's notebook of the submission that is being converted."""
    coursedir = preprocessor.parent.parent.coursedir
    folder = source_folder(coursedir, names["assignment"])
    return read_lecturers_notebook(folder / f"{names['notebook']}.ipynb")


def _place(nb: NotebookNode, order: list[str], missing: NotebookNode) -> int:
    """Return the index at which to insert a missing cell.

    An answer cell goes right after the preceding cell, any other cell right before the following
    one. An answer with a changed id is then between them, and a restored test uses it.
    """
    places = {grade_id(cell): index for index, cell in enumerate(nb.cells)}
    here = order.index(missing.metadata.nbgrader["grade_id"])
    if utils.is_solution(missing):
        before = [places[name] for name in order[:here] if name in places]
        return max(before, default=-1) + 1
    after = [places[name] for name in order[here + 1 :] if name in places]
    return min(after, default=len(nb.cells))
