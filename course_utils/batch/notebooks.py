"""Notebook files: finding them, reading them, and combining outputs with changed text."""

from __future__ import annotations

import copy
import os
import symtable
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import find_kernel_specs, get_kernel_spec
from nbformat import NotebookNode

from course_utils.errors import NotebookError
from course_utils.notebook_format import Repairs, notebook_stem, read_file

# Tags that change how a cell is executed; all others only change how it looks.
EXECUTION_TAGS = ("parameters", "raises-exception", "skip-execution")
INJECTED_TAG = "injected-parameters"
# The kernel of notebooks that name none, or one that is not installed, and names of its language.
USUAL_KERNEL = "python3"
PYTHON = ("python", "ipython", "Python")
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
    stems = {path: notebook_stem(path) or path.stem for path in paths}
    times = Counter(stems.values())
    base = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return {
        stem if times[stem] == 1 else path.relative_to(base).with_name(stem).as_posix(): path
        for path, stem in stems.items()
    }


def _expand(place: Path) -> list[Path]:
    place = place.expanduser().absolute()
    if place.is_dir():
        # Hidden files are what editors leave behind, such as `.#a.ipynb` and `.~a.ipynb`.
        found = sorted(
            path
            for path in place.iterdir()
            if notebook_stem(path) is not None and path.name[0] != "." and path.is_file()
        )
        if not found:
            raise NotebookError(f"No notebooks (*.ipynb) in the folder {place}.")
        return found
    if notebook_stem(place) is None:
        raise NotebookError(f"{place} is no notebook: give .ipynb files or folders of them.")
    if not place.is_file():
        raise NotebookError(f"There is no notebook {place}: check the path.")
    return [place]


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of any version as version 4, whatever can be repaired in it.

    Raises
    ------
    NotebookError
        If the file cannot be read, or is not a notebook.
    """
    return read_source(path)[0]


def read_source(path: Path, kernel: str | None = None) -> tuple[NotebookNode, Repairs]:
    """Read a notebook, with a kernel that is installed; return it, and what was repaired.

    Parameters
    ----------
    path : Path
    kernel : str, optional
        Name of the kernel to use instead of the notebook's.

    Raises
    ------
    NotebookError
        If the file cannot be read, is not a notebook, or needs a kernel that is not installed.
    """
    notebook, repairs = read_file(path)
    _set_kernel(notebook, kernel, path, repairs)
    return notebook, repairs


def _set_kernel(notebook: NotebookNode, kernel: str | None, path: Path, repairs: Repairs) -> None:
    """Choose the kernel: the one that was asked for, the notebook's, or else the usual Python."""
    wanted = notebook.metadata.get("kernelspec", {})
    name, installed = kernel or wanted.get("name"), find_kernel_specs()
    language = wanted.get("language") or notebook.metadata.get("language_info", {}).get("name")
    if name in installed and not kernel:
        if language is None:
            # Papermill needs the language, and some programs write only the name of the kernel.
            wanted["language"] = get_kernel_spec(name).language
            repairs.slips["no language of the kernel"] += 1
        return
    if kernel not in (None, *installed) or not (kernel or language in (None, *PYTHON)):
        raise NotebookError(
            f"{path} needs the kernel {name}, which is not installed: install it, or choose one of "
            f"{', '.join(sorted(installed))} with --kernel."
        )
    if name is not None and not kernel:
        repairs.losses.append(f"The kernel {name} is not installed, so {USUAL_KERNEL} is used.")
    chosen = kernel or USUAL_KERNEL
    about = get_kernel_spec(chosen)
    notebook.metadata["kernelspec"] = {
        "name": chosen, "display_name": about.display_name, "language": about.language
    }  # fmt: skip
    if name is None:
        repairs.slips["no name of a kernel"] += 1


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
    """Return the names that the cells tagged ``parameters`` set; None if that is not known.

    It is not known if no cell has the tag, or a cell sets no name, or is not plain Python. Such
    parameters are passed on, as papermill does.
    """
    names: set[str] = set()
    for cell in code_cells(notebook):
        if "parameters" in cell.metadata.get("tags", []):
            try:
                table = symtable.symtable(cell.source, "parameters", "exec")
            except (SyntaxError, ValueError):
                return None
            names |= {each.get_name() for each in table.get_symbols() if each.is_assigned()}
    return names or None


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
