"""Sentences about a submission that was not as it should be: for its author, and for the lecturer.

They travel in the notebook: the author's as its first cell, the lecturer's in its metadata.
"""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

KEY = "course_notes"


def add_note(nb: NotebookNode, for_student: str, for_lecturer: str) -> None:
    """Add a sentence for each."""
    nb.metadata.setdefault(KEY, []).append(printable(for_lecturer))
    text = f"> **About your submission.** {printable(for_student)}"
    nb.cells.insert(0, new_markdown_cell(text))


def printable(text: str) -> str:
    """Replace what a terminal would not print but obey: names can hold it."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def lecturer_notes(nb: NotebookNode) -> list[str]:
    """Return what the lecturer should know."""
    return list(nb.metadata.get(KEY, []))
