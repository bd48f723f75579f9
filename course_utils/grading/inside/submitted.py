"""Reading a notebook that was handed in, even a damaged one, within limits."""

from __future__ import annotations

import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from course_utils.grading.sandbox.limits import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_NOTEBOOK_BYTES,
    MAX_NOTEBOOK_PARTS,
    MAX_NOTEBOOK_VALUES,
)
from course_utils.notebook_format import (
    Repairs,
    attachments,
    cells_of,
    grade_id,
    parse,
    read_cell,
    tags,
    why_not_read,
    with_unique_ids,
)

# Sentences about single cells that a note contains.
MAX_PROBLEMS = 5

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


def read_notebook(content: bytes, name: str) -> tuple[NotebookNode, Repairs]:
    """Return a submitted notebook, and what is wrong with the file.

    Only what later steps read is taken from the file: the type, the text, the attached pictures,
    the tags and nbgrader's id of each cell. A notebook that cannot be read counts as empty.

    Parameters
    ----------
    content : bytes
    name : str
        Its path, for the sentences about it.
    """
    repairs = Repairs()
    if len(content) > MAX_NOTEBOOK_BYTES:
        repairs.losses.append(
            f"The notebook has {len(content) / 2**20:.0f} MB, but at most "
            f"{MAX_NOTEBOOK_BYTES // 2**20} MB are allowed: clear its outputs."
        )
        return new_notebook(), repairs
    parts = content.count(b"{") + content.count(b"[")
    if parts > MAX_NOTEBOOK_PARTS or content.count(b",") > MAX_NOTEBOOK_VALUES:
        repairs.losses.append("The notebook has too many parts: clear its outputs.")
        return new_notebook(), repairs
    try:
        notebook = _read_cells(content, repairs)
    except Exception as error:
        sentence = f"The notebook cannot be read: {why_not_read(content, error)}."
        return new_notebook(), Repairs([sentence])
    del repairs.losses[MAX_PROBLEMS:]
    if not notebook.cells:
        repairs.losses.insert(0, f"The notebook {name} was not handed in, or it is empty.")
    return notebook, repairs


def _read_cells(content: bytes, repairs: Repairs) -> NotebookNode:
    """Return a notebook of the cells in a file."""
    cells = cells_of(parse(content, repairs))
    if len(cells) > MAX_CELLS:
        repairs.losses.append(
            f"The notebook has {len(cells):,} cells, and only the first {MAX_CELLS:,} are graded."
        )
    notebook = new_notebook()
    for number, each in enumerate(cells[:MAX_CELLS], 1):
        cell = read_cell(each, number, repairs)
        if cell is None:
            continue
        if len(cell.source) > MAX_CELL_CHARACTERS:
            repairs.losses.append(
                f"Cell {number} has {len(cell.source):,} characters, and at most "
                f"{MAX_CELL_CHARACTERS:,} are allowed, so its text was left out."
            )
            cell.source = ""
        _add_metadata(cell, each)
        notebook.cells.append(cell)
    return with_unique_ids(notebook)


def _add_metadata(cell: NotebookNode, found: dict[str, Any]) -> None:
    """Take from a cell's metadata, and from its attachments, what later steps read."""
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        if "nbgrader" in metadata:
            name = grade_id(NotebookNode(metadata=metadata))
            cell.metadata |= {"nbgrader": NotebookNode(grade_id=name)} if name else {}
        if isinstance(metadata.get("tags"), list):
            cell.metadata["tags"] = tags(metadata["tags"])
    if cell.cell_type != "code" and isinstance(found.get("attachments"), dict):
        cell["attachments"] = attachments(found["attachments"])


def make_runnable(notebook: NotebookNode) -> None:
    """Remove what steers how cells are run, and have commands of other systems do nothing."""
    commands = _commands_of_other_systems(notebook)
    for cell in notebook.cells:
        if "tags" in cell.metadata:
            kept = [tag for tag in cell.metadata["tags"] if tag not in STUDENTS_TAGS_THAT_STEER]
            cell.metadata["tags"] = kept
        if cell.cell_type == "code":
            cell.source = _without(commands, cell.source)


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
