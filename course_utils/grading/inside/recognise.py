"""Recognising the assignment's cells in a submission.

Editors drop nbgrader's metadata, students copy cells into a new notebook, copy the cell of an
answer, or write an answer below the cell for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from nbformat import NotebookNode

from course_utils.notebook_format import grade_id
from course_utils.printable import listed
from course_utils.submission.messages import AssignmentCell


def mark_cells(
    cells: list[NotebookNode], assignment: Sequence[AssignmentCell]
) -> list[tuple[str, str]]:
    """Leave an id of nbgrader on the assignment's cells, each once, and on no other cell.

    A second cell with the same id, and a cell with an unknown id, become cells of the student's.

    Parameters
    ----------
    cells : list of NotebookNode
        The submission's; their metadata are changed.
    assignment : sequence of AssignmentCell
        All cells of the assignment's notebook, in order.

    Returns
    -------
    list of tuple of str
        What student and lecturer should know about it.
    """
    expected = {cell.name: cell for cell in assignment if cell.name}
    found = Recognised()
    if not _is_another(cells, expected):
        found = recognise(cells, assignment)
    names = {place: name for name, place in found.places.items()}
    extra = set()
    for index, cell in enumerate(cells):
        had = grade_id(cell)
        cell.metadata.pop("nbgrader", None)
        if index in names:
            cell.metadata["nbgrader"] = NotebookNode(grade_id=names[index])
        elif had is not None and had not in found.below:
            extra.add(had)
    return _notes(found, sorted(extra))


def _notes(found: Recognised, extra: list[str]) -> list[tuple[str, str]]:
    notes = []
    if found.by_text:
        names = ", ".join(found.by_text)
        sentence = f"Cells without nbgrader's metadata were recognised by their texts: {names}."
        notes.append((sentence, sentence))
    if found.below:
        names = ", ".join(found.below)
        sentence = f"Answers were taken from the cells below those for them: {names}."
        notes.append((sentence, sentence))
    if found.places and extra:
        notes.append(
            (
                f"These cells appeared twice or do not belong to the assignment: {listed(extra)}. "
                "Of cells with the same id, only the first one with an answer was graded.",
                f"Cells duplicated or unknown: {listed(extra)}.",
            )
        )
    return notes


def _is_another(cells: list[NotebookNode], expected: Mapping[str, AssignmentCell]) -> bool:
    """Tell whether a notebook belongs to another assignment.

    Two assignments may both have a cell ``q1-test``, so the first lines of the cells that students
    cannot edit are compared. In another assignment's notebook, most of them differ.
    """
    pairs = [(cell, expected.get(grade_id(cell) or "")) for cell in cells]
    same = [
        _first_line(cell.source) == _first_line(original.text)
        for cell, original in pairs
        if original is not None and original.is_locked
    ]
    return 2 * sum(same) < len(same)


def _first_line(source: str) -> str:
    return source.strip().partition("\n")[0]


@dataclass
class Recognised:
    """Where the assignment's cells are in a submission.

    Attributes
    ----------
    places : dict of int
        Id of a cell of the assignment -> its index in the submission.
    by_text : list of str
        Ids of cells without nbgrader's metadata, which were found by their texts and places.
    below : list of str
        Ids of answers that were found below the cells for them.
    """

    places: dict[str, int] = field(default_factory=dict)
    by_text: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


def recognise(cells: list[NotebookNode], assignment: Sequence[AssignmentCell]) -> Recognised:
    """Find the assignment's cells in a submission.

    Parameters
    ----------
    cells : list of NotebookNode
        The submission's.
    assignment : sequence of AssignmentCell
        The assignment's, those without an id too, in order.
    """
    expected = {cell.name: cell for cell in assignment if cell.name}
    found = Recognised(_with_ids(cells, expected))
    if len(found.places) < len(expected) and any("nbgrader" not in c.metadata for c in cells):
        _find_by_text(found, cells, assignment)
    given = {cell.text.strip() for cell in assignment}
    for name, place in found.places.items():
        below = cells[place + 1 : place + 2]
        if (
            below
            and expected[name].is_graded
            and is_untouched(cells[place], expected[name])
            and "nbgrader" not in below[0].metadata
            and below[0].cell_type == cells[place].cell_type
            and below[0].source.strip() not in given | {""}
            and place + 1 not in found.places.values()
        ):
            found.below.append(name)
    for name in found.below:
        found.places[name] += 1
    return found


def is_untouched(cell: NotebookNode, given: AssignmentCell) -> bool:
    """Tell whether a cell is an answer that is as students received it."""
    return given.is_answer and cell.source.strip() == given.text.strip()


def _with_ids(cells: list[NotebookNode], expected: Mapping[str, AssignmentCell]) -> dict[str, int]:
    """Return the first cell with each id; of copies of an answer, the first one with an answer."""
    places: dict[str, int] = {}
    for index, cell in enumerate(cells):
        name = grade_id(cell)
        if name is None or name not in expected:
            continue
        if name not in places or (
            is_untouched(cells[places[name]], expected[name])
            and not is_untouched(cell, expected[name])
        ):
            places[name] = index
    return places


def _find_by_text(
    found: Recognised, cells: list[NotebookNode], assignment: Sequence[AssignmentCell]
) -> None:
    """Find cells without nbgrader's metadata, if the notebook is plainly one of this assignment.

    That is so if at least half of the texts that are no answers are in it, in their order.
    """
    names = {place: name for name, place in found.places.items()}
    # Cells are compared by their ids where both sides have one, and by their texts otherwise.
    ours = [
        (cell.name in found.places, cell.name if cell.name in found.places else cell.text.strip())
        for cell in assignment
    ]
    theirs = [
        (index in names, names.get(index, cell.source.strip())) for index, cell in enumerate(cells)
    ]
    given = [bool(key[1]) and not c.is_answer for key, c in zip(ours, assignment, strict=True)]
    parts = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    same = sum(sum(given[a:b]) for kind, a, b, _, _ in parts if kind == "equal")
    if not same or 2 * same < sum(given):
        return
    for kind, first, last, start, end in parts:
        free = [n for n in range(start, end) if "nbgrader" not in cells[n].metadata]
        for place, wanted in enumerate(assignment[first:last], start):
            if not wanted.name or wanted.name in found.places:
                continue
            if kind == "equal":
                likely = [place] if place in free else []
            else:
                likely = _likely_answers(cells, free, wanted)
            if likely:
                free = [n for n in free if n > likely[0]]
                found.places[wanted.name] = likely[0]
                found.by_text.append(wanted.name)


def _likely_answers(
    cells: list[NotebookNode], free: list[int], wanted: AssignmentCell
) -> list[int]:
    """Return where an answer may be: first the cells that still have its first line."""
    if not wanted.is_answer:
        return []
    line = wanted.text.partition("\n")[0]
    likely = [n for n in free if cells[n].cell_type == wanted.kind]
    return sorted(likely, key=lambda n: line not in cells[n].source)
