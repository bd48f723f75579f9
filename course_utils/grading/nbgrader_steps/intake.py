"""Reading a submission, whatever its state."""

from __future__ import annotations

import os
import stat
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.converters.base import NbGraderException

from course_utils.errors import SandboxError
from course_utils.grading.examine.job import plain_files
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.grading.nbgrader_steps.notes import add_note
from course_utils.grading.sandbox.bubblewrap import require_sandbox
from course_utils.grading.sandbox.limits import (
    MAX_DEPTH,
    MAX_NOTEBOOK_BYTES,
    MAX_NOTEBOOK_PARTS,
)


class SubmissionExporter(NotebookExporter):
    """Reads a student's notebook, whatever its state: what cannot be read counts as empty.

    Where submissions cannot be run in a sandbox, nbgrader ends before it has read the first.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            require_sandbox(Examine(parent=self).with_my_rights)
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error

    def from_filename(  # type: ignore[override]  # NotebookExporter returns a text, too
        self, filename: str, resources: Any = None, **kw: Any
    ) -> tuple[str, Any]:
        path = Path(filename)
        notebook, problem = read_notebook(path)
        # Read a second time, it holds the grader's own notes.
        if self.parent is not None and self.parent._sanitizing:
            _remove_metadata(notebook)
        if problem:
            self.log.warning("%s: %s", path, problem)
            add_note(notebook, problem, f"{path.name}: {problem}")
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        return self.from_notebook_node(notebook, resources, **kw)


def read_notebook(path: Path) -> tuple[NotebookNode, str]:
    """Return a notebook and, where something was wrong with the file, a sentence about it."""
    problem = ""
    if not path.exists():
        others = sorted(path.parent.glob("*.ipynb"))
        if len(others) != 1:
            return new_notebook(), f"The notebook {path.name} was not handed in."
        problem = f"The notebook was handed in as {others[0].name}, not as {path.name}."
        path = others[0]
    if path.stat().st_size > MAX_NOTEBOOK_BYTES:
        return new_notebook(), (
            f"The notebook has {path.stat().st_size / 2**20:.0f} MB, more than the "
            f"{MAX_NOTEBOOK_BYTES // 2**20} MB that are read: clear its outputs."
        )
    try:
        content = path.read_bytes()
        if sum(map(content.count, (b"{", b"[", b","))) > MAX_NOTEBOOK_PARTS:
            return new_notebook(), "The notebook has too many parts: clear its outputs."
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return new_notebook(), f"The notebook cannot be read ({reason[0][:120]}): it is damaged."
    if not notebook.cells:
        problem = f"The notebook {path.name} was not handed in, or there is nothing in it."
    return notebook, problem


def _remove_metadata(notebook: NotebookNode) -> None:
    """Keep of a student's metadata only what is looked at later."""
    notebook.metadata.clear()
    for cell in notebook.cells:
        for name in set(cell.metadata) - {"nbgrader", "tags"}:
            del cell.metadata[name]


def receive(assignment: str, student: str, notebooks: list[str]) -> None:
    """Before a submission is converted: set aside what is no file, and expect one notebook.

    nbgrader would follow a link out of the folder, and wait for a pipe for ever. A notebook under
    another name would be skipped, and the submission with it: the exporter reads what there is.
    """
    folder = Path(notebooks[0]).parent
    try:
        set_aside(folder)
    except (OSError, RecursionError) as error:
        # nbgrader would go on after any other exception.
        raise SystemExit(f"{folder} cannot be made ready for grading: {error}") from error
    notebooks[:] = [str(folder / f"{folder.name}.ipynb")]


def set_aside(folder: Path) -> None:
    """Move links, pipes, devices and what no text can name to ``set-aside`` in the course.

    Folders in too many others as well: programs that look through them fail.
    """
    _move_aside(folder, _open_folders(folder))
    plain = {path for path in plain_files(folder) if _is_text(str(path))}
    _move_aside(folder, [
        path
        for path in sorted(folder.rglob("*"), key=lambda each: -len(each.parts))
        if path not in plain and (path.is_symlink() or not path.is_dir())
    ])  # fmt: skip


def _open_folders(folder: Path) -> list[Path]:
    """Take nobody's word for it that a folder may not be read or changed; return too deep ones."""
    too_deep = []
    for place, names, _ in os.walk(folder):
        for path in (Path(place) / name for name in names):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | stat.S_IRWXU)
        if len(Path(place).relative_to(folder).parts) == MAX_DEPTH:
            too_deep += [Path(place) / name for name in names]
            names.clear()
    return too_deep


def _move_aside(folder: Path, strange: list[Path]) -> None:
    """Each time into a folder of its own: what was set aside before may have the same names."""
    if not strange:
        return
    places = folder.parents[2].joinpath("set-aside", *folder.parts[-2:])
    places.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f"{date.today()}-", dir=places))
    for path in strange:
        place = own / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
