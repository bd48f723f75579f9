"""Notes about the problems of a submission, for the student and for the lecturer.

Notes are part of the notebook: the student's are its first cells, the lecturer's its metadata.
"""

from __future__ import annotations

import html

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_utils.printable import printable

# Key of the lecturer's notes in a notebook's metadata.
KEY = "course_notes"


def add_note(nb: NotebookNode, for_student: str, for_lecturer: str) -> None:
    """Add one note for the student and one for the lecturer."""
    note_for_lecturer(nb, for_lecturer)
    # The sentence can quote a submission, so nothing in it may be taken for Markdown.
    sentence = html.escape(" ".join(printable(for_student).split()), quote=False)
    text = f"<blockquote><strong>About your submission.</strong> {sentence}</blockquote>"
    nb.cells.insert(0, new_markdown_cell(text))


def note_for_lecturer(nb: NotebookNode, sentence: str) -> None:
    """Add a note that the student does not need."""
    nb.metadata.setdefault(KEY, []).append(" ".join(printable(sentence).split()))


def lecturer_notes(nb: NotebookNode) -> list[str]:
    """Return the notes for the lecturer."""
    return list(nb.metadata.get(KEY, []))
