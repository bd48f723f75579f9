"""Recognising the assignment's cells in a submission in which they have lost or shared their ids.

Editors drop nbgrader's metadata, students copy cells into a new notebook, copy the cell of an
answer, or write an answer below the cell for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from nbformat import NotebookNode
from nbgrader import utils

from course_utils.grading.assignment.cells import SECRETS, grade_id


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


def recognise(
    cells: list[NotebookNode], source: list[NotebookNode], expected: Mapping[str, NotebookNode]
) -> Recognised:
    """Find the assignment's cells in a submission.

    Parameters
    ----------
    cells : list of NotebookNode
        The submission's.
    source : list of NotebookNode
        The lecturer's, those without an id too, in order.
    expected : mapping of NotebookNode
        Id -> cell as it was released.
    """
    found = Recognised(_with_ids(cells, expected))
    if len(found.places) < len(expected) and any("nbgrader" not in c.metadata for c in cells):
        _find_by_text(found, cells, source, expected)
    given = {_shown(cell) for cell in source}
    for name, place in found.places.items():
        below = cells[place + 1 : place + 2]
        if (
            below
            and utils.is_grade(expected[name])
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


def is_untouched(cell: NotebookNode, released: NotebookNode) -> bool:
    """Tell whether a cell is an answer that is as it was released."""
    return utils.is_solution(released) and cell.source.strip() == released.source.strip()


def _with_ids(cells: list[NotebookNode], expected: Mapping[str, NotebookNode]) -> dict[str, int]:
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
    found: Recognised,
    cells: list[NotebookNode],
    source: list[NotebookNode],
    expected: Mapping[str, NotebookNode],
) -> None:
    """Find cells without nbgrader's metadata, if the notebook is plainly one of this assignment.

    That is so if at least half of the texts that are no answers are in it, in their order.
    """
    ids = [name if (name := grade_id(cell)) in expected else None for cell in source]
    names = {place: name for name, place in found.places.items()}
    # Cells are compared by their ids where both sides have one, and by their texts otherwise.
    ours = [
        (name in found.places, name if name in found.places else _shown(cell))
        for name, cell in zip(ids, source, strict=True)
    ]
    theirs = [
        (index in names, names.get(index, cell.source.strip())) for index, cell in enumerate(cells)
    ]
    given = [bool(key[1]) and not utils.is_solution(c) for key, c in zip(ours, source, strict=True)]
    parts = SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes()
    same = sum(sum(given[a:b]) for kind, a, b, _, _ in parts if kind == "equal")
    if not same or 2 * same < sum(given):
        return
    for kind, first, last, start, end in parts:
        free = [n for n in range(start, end) if "nbgrader" not in cells[n].metadata]
        for place, name in enumerate(ids[first:last], start):
            if name is None or name in found.places:
                continue
            if kind == "equal":
                likely = [place] if place in free else []
            else:
                likely = _likely_answers(cells, free, expected[name])
            if likely:
                free = [n for n in free if n > likely[0]]
                found.places[name] = likely[0]
                found.by_text.append(name)


def _likely_answers(
    cells: list[NotebookNode], free: list[int], released: NotebookNode
) -> list[int]:
    """Return where an answer may be: first the cells that still have its first line."""
    if not utils.is_solution(released):
        return []
    line = released.source.partition("\n")[0]
    likely = [n for n in free if cells[n].cell_type == released.cell_type]
    return sorted(likely, key=lambda n: line not in cells[n].source)


def _shown(cell: NotebookNode) -> str:
    """Return the text of a lecturer's cell without what students do not receive."""
    return SECRETS.sub("", cell.source).strip()
