"""Notebook files: finding them, reading them, and combining outputs with changed text."""

from __future__ import annotations

import ast
import copy
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from course_utils.errors import NotebookError

# Tags that change how a cell is executed; all others only change how it looks.
EXECUTION_TAGS = ("parameters", "raises-exception", "skip-execution")
INJECTED_TAG = "injected-parameters"
# Key of the metadata entry in which an executed notebook keeps the key of its outputs.
STAMP = "course_run"


def chapters(root: Path) -> list[Path]:
    """Return the chapters of the course in `root`: ``book/NN_*.ipynb``, in order.

    Raises
    ------
    NotebookError
        If there are none.
    """
    found = sorted((root / "book").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise NotebookError(
            f"No chapters (book/NN_*.ipynb) in {root}: "
            "change to the course's folder, or name the notebooks to run."
        )
    return found


def find_notebooks(places: Iterable[str | Path]) -> dict[str, Path]:
    """Return the notebooks in files and folders, each under its name in the run.

    The name is the file's name without ``.ipynb``. If several files share a name, they are named
    by their paths relative to the folder that contains all notebooks.

    Raises
    ------
    NotebookError
        If a place does not exist, is not a notebook, or is a folder without notebooks.
    """
    paths = list(dict.fromkeys(path for place in places for path in _expand(Path(place))))
    times = Counter(path.stem for path in paths)
    base = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return {
        path.stem
        if times[path.stem] == 1
        else path.relative_to(base).with_suffix("").as_posix(): path
        for path in paths
    }


def _expand(place: Path) -> list[Path]:
    place = place.expanduser().absolute()
    if place.is_dir():
        found = sorted(place.glob("*.ipynb"))
        if not found:
            raise NotebookError(f"No notebooks (*.ipynb) in the folder {place}.")
        return found
    if place.suffix != ".ipynb":
        raise NotebookError(f"{place} is no notebook: give .ipynb files or folders of them.")
    if not place.is_file():
        raise NotebookError(f"There is no notebook {place}: check the path.")
    return [place]


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of any version as version 4.

    Raises
    ------
    NotebookError
        If the file cannot be read, or is not a notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # Malformed files make nbformat raise many types of exceptions.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise NotebookError(
            f"{path} is not a valid notebook ({reason}): restore it, or save it again from Jupyter."
        ) from error
    return notebook


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the code cells, except the one that papermill injected."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and not is_injected(cell):
            yield cell


def is_injected(cell: NotebookNode) -> bool:
    """Return whether papermill inserted this cell to set the parameters."""
    return INJECTED_TAG in cell.metadata.get("tags", [])


def executed_content(notebook: NotebookNode) -> list[Any]:
    """Return everything in a notebook that its outputs depend on: the kernel and the code."""
    cells = [
        [cell.source, [tag for tag in EXECUTION_TAGS if tag in cell.metadata.get("tags", [])]]
        for cell in code_cells(notebook)
    ]
    return [notebook.metadata.get("kernelspec", {}).get("name"), cells]


def parameter_names(notebook: NotebookNode) -> set[str] | None:
    """Return the names that the cell tagged ``parameters`` sets; None if no cell has this tag."""
    for cell in code_cells(notebook):
        if "parameters" in cell.metadata.get("tags", []):
            return _assigned_names(cell.source)
    return None


def _assigned_names(source: str) -> set[str] | None:
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return None
    targets = [target for node in statements for target in getattr(node, "targets", ())]
    targets += [node.target for node in statements if isinstance(node, ast.AnnAssign)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def graft(source: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return `source` with the outputs of `executed`, as if `source` itself had been executed.

    Both must contain the same code in the same order. Everything else (text, tags, cell ids) comes
    from `source`; papermill's injected cell is dropped.
    """
    result = copy.deepcopy(source)
    for cell, ran in zip(code_cells(result), code_cells(executed), strict=True):
        cell.outputs = copy.deepcopy(ran.outputs)
        cell.execution_count = ran.execution_count
    for key in ("language_info", "widgets"):
        if key in executed.metadata:
            result.metadata[key] = copy.deepcopy(executed.metadata[key])
    return result


def refresh_text(source: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return `executed` with everything but the code and its outputs replaced from `source`.

    Unlike `graft`, this keeps the cell and the metadata that papermill added.
    """
    result = graft(source, executed)
    for cell, ran in zip(code_cells(result), code_cells(executed), strict=True):
        if "papermill" in ran.metadata:
            cell.metadata["papermill"] = ran.metadata["papermill"]
    result.metadata = copy.deepcopy(executed.metadata)
    result.metadata.update(source.metadata, language_info=executed.metadata.language_info)
    _insert_injected(result, executed)
    return result


def _insert_injected(result: NotebookNode, executed: NotebookNode) -> None:
    """Insert the injected cell of `executed` after the same code cell in `result`."""
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    for index, cell in enumerate(code):
        if is_injected(cell):
            before = list(code_cells(result))[index - 1] if index else None
            place = next((n + 1 for n, c in enumerate(result.cells) if c is before), 0)
            result.cells.insert(place, cell)


def same_text(source: NotebookNode, executed: NotebookNode) -> bool:
    """Return whether `executed` has the same text and tags as `source`."""
    return _text(source) == _text(executed)


def _text(notebook: NotebookNode) -> list[Any]:
    return [
        [
            cell.cell_type,
            cell.source,
            {key: value for key, value in cell.metadata.items() if key != "papermill"},
        ]
        for cell in notebook.cells
        if not is_injected(cell)
    ]
