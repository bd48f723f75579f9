"""Reading notebooks, and other texts, as tolerantly as Jupyter does, and saying what was repaired.

Grading, batch runs and checks of assignments read every notebook here. Nothing that is wrong with
the form of a cell costs the other cells, and nothing in a file is ever run.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import nbformat
from charset_normalizer import from_bytes
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from course_utils.errors import NotebookError

# Functions that make a cell, by its type.
NEW_CELL: dict[str, Callable[..., NotebookNode]] = {
    "code": new_code_cell,
    "markdown": new_markdown_cell,
    "raw": new_raw_cell,
}

# Types of cells that formats before 4 had for texts.
FORMER_TEXTS = ("heading", "html")

# Encodings that are tried where a text is not Unicode: the usual ones of Windows.
OTHER_ENCODINGS = ("cp1252", "gb18030", "cp932", "cp949", "cp1251", "cp1250", "cp1253", "cp1254")
# Bytes of lines with other characters than ASCII from which the encoding is guessed.
GUESSED_FROM = 20_000

# Second endings, which browsers and editors add to the name of a file.
SECOND_ENDINGS = r"(\.(txt|json|download))*$"
# The ending of a notebook's name.
NOTEBOOK_ENDING = re.compile(r"\.ipynb" + SECOND_ENDINGS, re.IGNORECASE)

# The message about a text whose encoding was guessed.
GUESSED = (
    "The file has another encoding than UTF-8. It was read as {}, so letters other than a to z may "
    "be wrong."
)

# Byte-order marks and their encodings; those of UTF-32 begin with those of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass
class Repairs:
    """What was repaired in a notebook.

    Attributes
    ----------
    losses : list of str
        Sentences about what could not be read, or may have been read wrongly.
    slips : Counter
        Phrase about a slip of form that changes nothing -> number of its cases.
    """

    losses: list[str] = field(default_factory=list)
    slips: Counter[str] = field(default_factory=Counter)

    @property
    def of_form(self) -> str:
        """A sentence about the slips; empty if there were none."""
        slips = ", ".join(f"{slip} ({count:,})" for slip, count in sorted(self.slips.items()))
        return f"Repaired in its format: {slips}." if slips else ""

    def __str__(self) -> str:
        return " ".join(filter(None, [*self.losses, self.of_form]))


def decode(content: bytes) -> tuple[str, str]:
    """Return a text, and the encoding if it had to be guessed (empty if it did not).

    Unicode in all its forms is read, with and without a byte-order mark.

    Examples
    --------
    >>> from course_utils.notebook_format import decode
    >>> decode("{}".encode("utf-16"))
    ('{}', '')
    >>> decode('{"a": "naïve"}'.encode("cp1252"))
    ('{"a": "naïve"}', 'cp1252')
    """
    mark = next((name for start, name in MARKS.items() if content.startswith(start)), None)
    try:
        return content.decode(mark or json.detect_encoding(content), "surrogatepass"), ""
    except UnicodeDecodeError:
        lines = (line for line in content.splitlines() if not line.isascii())
        encoding = _guess(b"\n".join(line[:GUESSED_FROM] for line in lines)[:GUESSED_FROM])
        return content.decode(encoding, "replace"), encoding


def _guess(sample: bytes) -> str:
    """Return the likeliest of the other encodings; of equally likely ones, the most usual."""
    found = from_bytes(sample, cp_isolation=list(OTHER_ENCODINGS)) if sample else ()
    if not found:
        return OTHER_ENCODINGS[0]
    usual = {each.encoding: OTHER_ENCODINGS.index(each.encoding) for each in found}
    best = min(found, key=lambda each: (each.chaos, -each.coherence, usual[each.encoding]))
    return next(name for name in OTHER_ENCODINGS if name in best.could_be_from_charset)


def parse(content: bytes, repairs: Repairs) -> Any:
    """Return what the JSON in a file says.

    Raises
    ------
    ValueError
        If it is no JSON.
    RecursionError
        If it is nested too deeply.
    """
    text, guessed = decode(content)
    if guessed:
        repairs.losses.append(GUESSED.format(guessed))
    elif content.startswith(tuple(MARKS)) or b"\0" in content[:4]:
        repairs.slips["a byte-order mark, or UTF-16"] += 1
    text = text.strip("\0\ufeff \t\r\n")
    # Some programs write line breaks and tabs into texts as they are.
    found, end = json.JSONDecoder(strict=False).raw_decode(text)
    if end < len(text):
        repairs.losses.append("What follows the end of the notebook in its file was left out.")
    return found


# Patterns of files that are no notebooks -> what such a file is, and what to do.
OTHER_FILES = {
    rb"\A[\0\s]*\Z": "it is empty",
    rb"(?i)\A\s*<(!doctype|html|\?xml|!--)": (
        "it is a web page, as a browser saves it instead of the file: download the file itself"
    ),
    rb"\A(PK\x03\x04|\x1f\x8b)": "it is an archive: unpack it",
    rb"\A%PDF-": "it is a PDF: hand in the notebook that it was made from",
    rb"(?m)^(<{7} .*|>{7} .*)$": "it has marks of a conflict of git: resolve the conflict",
}


def why_not_read(content: bytes, error: Exception) -> str:
    """Return why a file cannot be read as a notebook, for a sentence about it.

    Parameters
    ----------
    content : bytes
    error : Exception
        What reading it has raised.

    Examples
    --------
    >>> from course_utils.notebook_format import why_not_read
    >>> why_not_read(b"<!DOCTYPE html><html>", ValueError("Expecting value"))
    'it is a web page, as a browser saves it instead of the file: download the file itself'
    >>> why_not_read(b"{", ValueError("Expecting value"))
    'it is damaged (Expecting value)'
    """
    for pattern, reason in OTHER_FILES.items():
        if re.search(pattern, content):
            return reason
    said = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return f"it is damaged ({said[0][:120]})"


def read_file(path: Path) -> tuple[NotebookNode, Repairs]:
    """Read a notebook's file as `reads` does.

    Raises
    ------
    NotebookError
        If the file cannot be read, or is no notebook.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return reads(content)
    except Exception as error:  # Malformed files make nbformat raise many types of exceptions.
        raise NotebookError(
            f"{path} is not a valid notebook: {why_not_read(content, error)}. "
            "Restore it, or save it again from Jupyter."
        ) from error


def is_shadow(path: Path) -> bool:
    """Tell whether macOS wrote a file beside another one, for what other systems do not keep."""
    return path.name.startswith("._") or "__MACOSX" in path.parts


def notebook_stem(path: Path) -> str | None:
    """Return the name of a notebook's file without its ending; None for other files.

    What macOS writes beside a file, such as ``._a.ipynb``, is no notebook.

    Examples
    --------
    >>> from pathlib import Path
    >>> from course_utils.notebook_format import notebook_stem
    >>> [notebook_stem(Path(name)) for name in ("a.IPYNB", "a (1).ipynb.txt", "._a.ipynb")]
    ['a', 'a (1)', None]
    """
    is_notebook = NOTEBOOK_ENDING.search(path.name) and not is_shadow(path)
    return NOTEBOOK_ENDING.sub("", path.name) if is_notebook else None


def folded(name: str) -> str:
    """Return a name without what systems and people write in different ways."""
    return unicodedata.normalize("NFC", name).casefold()


def grade_id(cell: NotebookNode) -> str | None:
    """Return a cell's nbgrader id; None if it has no valid one."""
    metadata = cell.metadata.get("nbgrader")
    name = metadata.get("grade_id") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def reads(content: bytes) -> tuple[NotebookNode, Repairs]:
    """Read a notebook of any version as version 4, and repair what can be repaired.

    Raises
    ------
    ValueError
        If it is no notebook.
    RecursionError
        If it is nested too deeply.

    Examples
    --------
    >>> from course_utils.notebook_format import reads
    >>> text = b'{"cells": [{"cell_type": "raw", "source": ["x = 1"]}], "metadata": {}}'
    >>> notebook, repairs = reads(text)
    >>> notebook.cells[0].source
    'x = 1'
    >>> print(repairs)
    Repaired in its format: cells without metadata (1), the version of the format (1).
    """
    repairs = Repairs()
    found = parse(content, repairs)
    if _has_version(found) and found["nbformat"] < 4:
        repairs.slips["an old version of the format"] += 1
    try:
        return _valid(found), repairs
    except Exception:  # Malformed files make nbformat raise many types of exceptions.
        pass
    if not _has_version(found):
        repairs.slips["the version of the format"] += 1
    notebook = new_notebook(metadata=_notebook_metadata(found, repairs))
    for number, each in enumerate(cells_of(found), 1):
        cell = read_cell(each, number, repairs)
        if cell is None:
            continue
        cell.metadata = _cell_metadata(each.get("metadata"), cell, repairs)
        if cell.cell_type == "code":
            cell.outputs = _outputs(each.get("outputs"), repairs)
        elif isinstance(each.get("attachments"), dict):
            cell["attachments"] = attachments(each["attachments"])
        notebook.cells.append(cell)
    return with_unique_ids(notebook), repairs


def _valid(found: Any) -> NotebookNode:
    """Return a notebook that has no slips, and raise an exception for all others."""
    if not _has_version(found):
        raise ValueError("it has no version")
    with warnings.catch_warnings(action="error"):
        reader = nbformat.versions[found["nbformat"]]
        read = reader.to_notebook_json(found, minor=found.get("nbformat_minor", 0))
        notebook = nbformat.convert(read, to_version=4)
        nbformat.validate(notebook)
    return notebook


def _has_version(found: Any) -> bool:
    return isinstance(found, dict) and type(found.get("nbformat")) is int


def cells_of(found: Any) -> list[Any]:
    """Return the cells of a notebook of any version, as they are in its file.

    Raises
    ------
    ValueError
        If it has no list of cells.
    """
    cells = found.get("cells") if isinstance(found, dict) else None
    if cells is None and isinstance(found, dict) and isinstance(found.get("worksheets"), list):
        sheets = [sheet for sheet in found["worksheets"] if isinstance(sheet, dict)]
        cells = [cell for sheet in sheets for cell in cells_of(sheet)]
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells")
    return cells


def read_cell(found: Any, number: int, repairs: Repairs) -> NotebookNode | None:
    """Return type, text and id of a cell in a valid form; None if it has no text.

    Parameters
    ----------
    found : object
        What the file says.
    number : int
        Number of the cell in the notebook, from 1.
    repairs : Repairs
        What is repaired is added to it.
    """
    source = (found.get("source", found.get("input")) or "") if isinstance(found, dict) else None
    if source is None or not is_text(source):
        repairs.losses.append(f"Cell {number} has no text and was left out.")
        return None
    kind, text = found.get("cell_type"), joined(source)
    if kind == "heading":
        level = found.get("level")
        text = f"{'#' * (level if level in range(1, 7) else 1)} {text}"
    if not isinstance(kind, str) or kind not in NEW_CELL:
        known = "markdown" if kind in FORMER_TEXTS else "raw"
        if known == "raw":
            repairs.losses.append(f"Cell {number} is of no known type and was read as plain text.")
        else:
            repairs.slips[f"cells of the type {kind}"] += 1
        kind = known
    for slip in _slips(found, kind):
        repairs.slips[slip] += 1
    return NEW_CELL[kind](text, id=_id(found.get("id"), number))


def _slips(found: dict[str, Any], kind: str) -> list[str]:
    """Return a phrase for each slip of a cell that costs nothing."""
    slips = []
    if "id" in found and not _is_id(found["id"]):
        slips.append("invalid cell ids")
    if not isinstance(found.get("metadata"), dict):
        slips.append("cells without metadata")
    if kind == "code" and "input" not in found:
        slips += [f"cells without {key}" for key in ("source", "outputs") if key not in found]
        slips += ["cells without execution_count"] if "execution_count" not in found else []
    if kind != "code" and ("outputs" in found or "execution_count" in found):
        slips.append("texts with outputs")
    return slips


def _id(found: Any, number: int) -> str:
    """Return a cell's id if it has a valid one, and its number otherwise."""
    return found if _is_id(found) else f"cell-{number}"


def _is_id(found: Any) -> bool:
    return isinstance(found, str) and re.fullmatch("[a-zA-Z0-9_-]{1,64}", found) is not None


def with_unique_ids(notebook: NotebookNode) -> NotebookNode:
    """Give the second cell with an id another one."""
    seen: set[str] = set()
    for number, cell in enumerate(notebook.cells, 1):
        if cell.id in seen:
            cell.id = f"cell-{number}-again"
        seen.add(cell.id)
    return notebook


def tags(found: Any) -> list[str]:
    """Return the valid tags, each once; nbformat takes a minute to refuse a long list."""
    texts = (
        [joined(tag) for tag in found if isinstance(tag, str)] if isinstance(found, list) else []
    )
    return list(dict.fromkeys(tag for tag in texts if re.fullmatch("[^,]+", tag)))


def attachments(found: dict[str, Any]) -> NotebookNode:
    """Return the pictures that are attached to a cell: name -> type -> content in base64."""
    return NotebookNode(
        {
            joined(name): NotebookNode(
                {joined(kind): joined(data) for kind, data in kinds.items() if is_text(data)}
            )
            for name, kinds in found.items()
            if isinstance(kinds, dict)
        }
    )


def joined(found: str | list[str]) -> str:
    """Return a text, or its lines joined, as UTF-8 can encode it: JSON can hold half characters.

    Line breaks are those of Python, also in a notebook from Windows.
    """
    text = "".join(found).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_text(found: Any) -> TypeGuard[str | list[str]]:
    """Tell whether a value is a text or a list of texts."""
    return isinstance(found, str) or (
        isinstance(found, list) and all(isinstance(line, str) for line in found)
    )


def _cell_metadata(found: Any, cell: NotebookNode, repairs: Repairs) -> NotebookNode:
    """Return the metadata of a cell, without those that its type cannot have."""
    kept = nbformat.from_dict(found if isinstance(found, dict) else {})
    if "tags" in kept:
        kept["tags"] = tags(kept["tags"])
    for key in list(kept):
        cell.metadata = NotebookNode({key: kept[key]})
        if not is_valid(cell, f"{cell.cell_type}_cell"):
            repairs.slips[f"invalid metadata {key}"] += 1
            del kept[key]
    return kept


def _outputs(found: Any, repairs: Repairs) -> list[NotebookNode]:
    """Return the valid outputs of a cell; the others are displays that running makes anew."""
    outputs = nbformat.from_dict(found) if isinstance(found, list) else []
    kept = [output for output in outputs if is_valid(output, "output")]
    if len(kept) < len(outputs):
        repairs.slips["invalid outputs"] += len(outputs) - len(kept)
    return kept


def _notebook_metadata(found: Any, repairs: Repairs) -> NotebookNode:
    """Return the metadata of a notebook, without those that no notebook can have."""
    metadata = found.get("metadata") if isinstance(found, dict) else None
    if not isinstance(metadata, dict):
        repairs.slips["no metadata"] += 1
        metadata = {}
    kept = NotebookNode()
    for key, value in nbformat.from_dict(metadata).items():
        empty = new_notebook()
        empty.metadata[key] = value
        if is_valid(empty):
            kept[key] = value
        else:
            repairs.slips[f"invalid metadata {key}"] += 1
    return kept


def is_valid(part: Any, name: str | None = None) -> bool:
    """Tell whether a notebook, or a part such as ``"output"``, is valid in the newest version."""
    try:
        nbformat.validate(part, ref=name, version=4, version_minor=nbformat.v4.nbformat_minor)
    except (nbformat.ValidationError, RecursionError):
        return False
    return True
