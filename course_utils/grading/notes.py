"""Sentences about a submission that was not as it should be: for its author, and for the lecturer.

They travel in the notebook: the author's as its first cell, the lecturer's in its metadata.
"""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

KEY = "course_notes"


def add_note(nb: NotebookNode, for_student: str, for_lecturer: str) -> None:
    """Add a sentence for each."""
    nb.metadata.setdefault(KEY, []).append(for_lecturer)
    nb.cells.insert(0, new_markdown_cell(f"> **About your submission.** {for_student}"))


def lecturer_notes(nb: NotebookNode) -> list[str]:
    """Return what the lecturer should know."""
    return list(nb.metadata.get(KEY, []))
