"""Notes about the problems of a submission, for the student and for the lecturer.

Notes are part of the notebook: the student's are its first cells, the lecturer's its metadata.
"""

from __future__ import annotations

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

# Key of the lecturer's notes in a notebook's metadata.
KEY = "course_notes"


def add_note(nb: NotebookNode, for_student: str, for_lecturer: str) -> None:
    """Add one note for the student and one for the lecturer."""
    nb.metadata.setdefault(KEY, []).append(printable(for_lecturer))
    text = f"> **About your submission.** {printable(for_student)}"
    nb.cells.insert(0, new_markdown_cell(text))


def printable(text: str) -> str:
    """Replace control characters, which a terminal would obey and file names can contain."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def lecturer_notes(nb: NotebookNode) -> list[str]:
    """Return the notes for the lecturer."""
    return list(nb.metadata.get(KEY, []))
