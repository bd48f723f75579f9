"""Repairing a submission, so that it has every cell of the assignment once and in its place."""

from __future__ import annotations

import copy
import re
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors.base import NbGraderPreprocessor

from course_utils.grading.assignment.cells import SECRETS, grade_id
from course_utils.grading.assignment.course import read_lecturers_notebook, source_folder
from course_utils.grading.nbgrader_steps.notes import add_note, lecturer_notes, listed
from course_utils.grading.nbgrader_steps.recognise import Recognised, recognise

# Tags that change how a cell is executed. They are removed from students' cells.
STUDENTS_TAGS_THAT_STEER = {"skip-execution", "raises-exception"}

# Commands that only choose where figures appear, or serve another system, such as Colab. They fail
# where that is not installed, and the rest of their cell with them. No two repetitions in a pattern
# match the same characters, because a line can be a million of them.
OF_OTHER_SYSTEMS = (
    r"%matplotlib(?![ \t]+inline\b).*|%(?:tensorflow_version|tensorboard|conda)\b.*"
    r"|%load_ext[ \t]+(?:tensorboard|google\.colab)\b.*|(?:matplotlib|mpl)\.use\([^()\n]*\)"
)
# The same in a notebook that imports what only Colab has.
COLAB = "google.colab"
OF_COLAB = (
    r"(?:from|import)[ \t]+google\.colab\b[^()\n]*"
    r"|(?:drive\.(?:mount|flush_and_unmount)|files\.download)\([^()\n]*\)"
)

# Key in the metadata of a notebook that has no cell of the assignment.
NOTHING_TO_RUN = "course_nothing_to_run"


class RepairCells(NbGraderPreprocessor):
    """Repairs a submission, so that it has every cell of the assignment once and in its place.

    The nbgrader metadata of a cell come from the lecturer's notebook, never from the student's. A
    cell that is missing, or whose id was changed, is restored as it was released. A second cell
    with the same id, and a cell with an unknown id, become ordinary cells of the student.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        source = lecturers_notebook(self, resources["nbgrader"]).cells
        expected = self._expected_cells(resources["nbgrader"], source)
        is_another = _is_another(nb, expected)
        found = Recognised() if is_another else recognise(nb.cells, source, expected)
        names = {place: name for name, place in found.places.items()}
        commands = _commands_of_other_systems(nb)
        extra = []
        for index, cell in enumerate(nb.cells):
            _remove_steering_tags(cell)
            if cell.cell_type == "code":
                cell.source = _without(commands, cell.source)
            if index in names:
                original = expected[names[index]]
                cell.metadata["nbgrader"] = copy.deepcopy(original.metadata.nbgrader)
            elif "nbgrader" in cell.metadata:
                extra += [grade_id(cell)] if grade_id(cell) not in found.below else []
                del cell.metadata["nbgrader"]
        missing = [name for name in expected if name not in found.places]
        for name in missing:
            cell = expected[name]
            nb.cells.insert(_place(nb, list(expected), cell), cell)
        _tell_what_was_recognised(nb, found)
        self._tell(nb, missing, [] if is_another else extra, everything=len(expected))
        return nb, resources

    def _expected_cells(
        self, names: dict[str, str], source: list[NotebookNode]
    ) -> dict[str, NotebookNode]:
        """Return the assignment's cells by id, in order, as released but with hidden tests."""
        with Gradebook(names["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(names["notebook"], names["assignment"])
            released = {cell.name: cell.source for cell in notebook.source_cells}
        expected: dict[str, NotebookNode] = {}
        for cell in source:
            name = grade_id(cell)
            if name is not None and name in released:
                cell.source = released[name]
                expected[name] = cell
        return expected

    def _tell(self, nb: NotebookNode, missing: list, extra: list, everything: int) -> None:
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
        if extra:
            names = listed(sorted(map(str, set(extra))))
            add_note(
                nb,
                f"These cells appeared twice or do not belong to the assignment: {names}. "
                "Of cells with the same id, only the first one with an answer was graded.",
                f"Cells duplicated or unknown: {names}.",
            )


def _tell_what_was_recognised(nb: NotebookNode, found: Recognised) -> None:
    if found.by_text:
        names = ", ".join(found.by_text)
        sentence = f"Cells without nbgrader's metadata were recognised by their texts: {names}."
        add_note(nb, sentence, sentence)
    if found.below:
        names = ", ".join(found.below)
        sentence = f"Answers were taken from the cells below those for them: {names}."
        add_note(nb, sentence, sentence)


def lecturers_notebook(preprocessor: NbGraderPreprocessor, names: dict[str, str]) -> NotebookNode:
    """Read the lecturer's notebook of the submission that is being converted."""
    coursedir = preprocessor.parent.parent.coursedir
    folder = source_folder(coursedir, names["assignment"])
    return read_lecturers_notebook(folder / f"{names['notebook']}.ipynb")


def _commands_of_other_systems(nb: NotebookNode) -> re.Pattern[str]:
    uses_colab = any(cell.cell_type == "code" and COLAB in cell.source for cell in nb.cells)
    return re.compile(f"{OF_OTHER_SYSTEMS}|{OF_COLAB}" if uses_colab else OF_OTHER_SYSTEMS)


def _without(commands: re.Pattern[str], source: str) -> str:
    """Return a cell in which each line that is such a command does nothing."""
    lines = source.split("\n")
    for number, line in enumerate(lines):
        indented = line.rstrip(" \t;")
        command = indented.lstrip(" \t")
        if commands.fullmatch(command):
            lines[number] = f"{indented.removesuffix(command)}pass  # {command}"
    return "\n".join(lines)


def _is_another(nb: NotebookNode, expected: dict[str, NotebookNode]) -> bool:
    """Tell whether a notebook belongs to another assignment.

    Two assignments may both have a cell ``q1-test``, so the first lines of the cells that students
    cannot edit are compared. In another assignment's notebook, most of them differ.
    """
    pairs = [(cell, expected.get(grade_id(cell) or "")) for cell in nb.cells]
    same = [
        _first_line(cell.source) == _first_line(SECRETS.sub("", original.source))
        for cell, original in pairs
        if original is not None and utils.is_locked(original)
    ]
    return 2 * sum(same) < len(same)


def _first_line(source: str) -> str:
    return source.strip().partition("\n")[0]


def _remove_steering_tags(cell: NotebookNode) -> None:
    tags = cell.metadata.get("tags")
    if isinstance(tags, list):
        cell.metadata["tags"] = [tag for tag in tags if tag not in STUDENTS_TAGS_THAT_STEER]


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
