"""Finding leaks: pieces of solutions, hidden tests and rubrics that students must not see.

A piece is one long line or two consecutive lines. White space is ignored in the search. Lines that
the lecturer's notebook has outside its secret regions, too, are not secret.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

from course_utils.grading.assignment.cells import SECRETS

# Characters of the shortest line that can belong to a piece, without white space.
SHORTEST_LINE = 12

# Characters of the shortest line that is a piece by itself, without white space.
LONG_LINE = 50

TAG = re.compile(r"<[^>]*>")


def secrets(source: NotebookNode) -> list[str]:
    """Return the pieces of a lecturer's notebook that students must not see, packed."""
    shown = pack(map(_shown_text, source.cells))
    pieces: dict[str, None] = {}
    for cell in source.cells:
        for text in _secret_texts(cell):
            lines = [_packed(line) for line in text.splitlines()]
            lines = [line for line in lines if len(line) >= SHORTEST_LINE and line not in shown]
            pieces |= dict.fromkeys(line for line in lines if len(line) >= LONG_LINE)
            pieces |= dict.fromkeys(one + two for one, two in itertools.pairwise(lines))
    return list(pieces)


def leaks(pieces: Iterable[str], text: str) -> list[str]:
    """Return the pieces that occur in a text (of a notebook, a script or a built page)."""
    packed = _packed(text) + _packed(html.unescape(TAG.sub("", text)))
    # Notebooks are JSON, in which quotes and line ends are escaped.
    packed += _packed(re.sub(r'\\n|",$|^\s*"', "", text, flags=re.MULTILINE).replace('\\"', '"'))
    return [piece for piece in pieces if piece in packed]


def leaks_in_folder(pieces: list[str], folder: Path, endings: tuple[str, ...]) -> dict[str, list]:
    """Return the pieces that occur in each file of a folder; files without any are left out."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in endings and p.is_file()):
        if seen := leaks(pieces, path.read_text(encoding="utf-8", errors="replace")):
            found[str(path)] = seen
    return found


def pack(texts: Iterable[str]) -> str:
    """Join texts and remove all white space."""
    return "".join(_packed(text) for text in texts)


def _secret_texts(cell: NotebookNode) -> list[str]:
    texts = [match["text"] for match in SECRETS.finditer(cell.source)]
    graded = cell.metadata.get("nbgrader", {})
    if graded.get("solution") and not texts:
        texts = [cell.source]
    return texts


def _shown_text(cell: NotebookNode) -> str:
    """Return the text of a cell without what is secret."""
    text = SECRETS.sub("", cell.source)
    return "" if text in _secret_texts(cell) else text


def _packed(text: str) -> str:
    return re.sub(r"\s+", "", text)
