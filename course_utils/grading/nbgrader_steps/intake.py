"""Reading submissions, even damaged or incomplete ones."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.converters.base import NbGraderException

from course_utils.errors import SandboxError
from course_utils.grading.examine.job import Job, plain_files
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.grading.nbgrader_steps.notes import add_note
from course_utils.grading.sandbox.bubblewrap import require_sandbox
from course_utils.grading.sandbox.limits import (
    MAX_DEPTH,
    MAX_NOTEBOOK_BYTES,
    MAX_NOTEBOOK_PARTS,
)


@dataclass(frozen=True)
class Submission:
    """A submission, which is read, repaired and digested once.

    Attributes
    ----------
    path : Path
        The notebook's place in the submission, even if it is missing there.
    notebook : NotebookNode
        The notebook, with every cell of the assignment.
    resources : dict
        What nbgrader's steps know about the notebook.
    job : Job or None
        The input of the examination; None if there is nothing to run.
    """

    path: Path
    notebook: NotebookNode
    resources: Any
    job: Job | None


class SubmissionExporter(NotebookExporter):
    """Reads a student's notebook; one that cannot be read counts as empty.

    nbgrader converts a notebook twice: the first pass repairs it, the second one grades it. The
    second pass takes the notebook from memory, not from the file that the first one has written.

    If no sandbox is available, nbgrader ends before it reads the first submission.

    Attributes
    ----------
    submission : Submission
        The submission that nbgrader converts at the moment.
    """

    submission: Submission

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            require_sandbox(Examine(parent=self).with_my_rights)
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error

    def from_filename(  # type: ignore[override]  # NotebookExporter also returns a text
        self, filename: str, resources: Any = None, **kw: Any
    ) -> tuple[str, Any]:
        assert self.parent is not None  # nbgrader's converter
        path = Path(filename)
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        if not self.parent._sanitizing:
            return self.from_notebook_node(self.submission.notebook, resources, **kw)
        received = getattr(self.parent, "submission", None)
        self.submission = received or self._receive(path, resources)
        return nbformat.writes(self.submission.notebook), self.submission.resources

    def _receive(self, path: Path, resources: Any) -> Submission:
        """Read a submission, and repair it with the steps of nbgrader's first pass."""
        notebook, problem = read_notebook(path)
        _remove_metadata(notebook)
        if problem:
            self.log.warning("%s: %s", path, problem)
            add_note(notebook, problem, f"{path.name}: {problem}")
        repaired, resources = Exporter.from_notebook_node(self, notebook, resources)
        job = Examine(parent=self).job(repaired, resources)
        return Submission(path, repaired, resources, job)


def read_notebook(path: Path) -> tuple[NotebookNode, str]:
    """Return a notebook, and a sentence about the file's problem (empty if there is none)."""
    problem = ""
    if not path.exists():
        others = sorted(path.parent.glob("*.ipynb"))
        if len(others) != 1:
            return new_notebook(), f"The notebook {path.name} was not handed in."
        problem = f"The notebook was handed in as {others[0].name}, not as {path.name}."
        path = others[0]
    if path.stat().st_size > MAX_NOTEBOOK_BYTES:
        return new_notebook(), (
            f"The notebook has {path.stat().st_size / 2**20:.0f} MB, but at most "
            f"{MAX_NOTEBOOK_BYTES // 2**20} MB are allowed: clear its outputs."
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
        problem = f"The notebook {path.name} was not handed in, or it is empty."
    return notebook, problem


def _remove_metadata(notebook: NotebookNode) -> None:
    """Remove all metadata of a student's notebook that no later step reads."""
    notebook.metadata.clear()
    for cell in notebook.cells:
        for name in set(cell.metadata) - {"nbgrader", "tags"}:
            del cell.metadata[name]


def receive(assignment: str, student: str, notebooks: list[str]) -> None:
    """Prepare a submission's folder for conversion: move special files, and expect one notebook.

    nbgrader would follow a link out of the folder, and would wait for a pipe forever. It would also
    skip a notebook with another name, and with it the submission; the exporter reads it instead.
    """
    folder = Path(notebooks[0]).parent
    try:
        set_aside(folder)
    except (OSError, RecursionError) as error:
        # nbgrader would continue after any other exception.
        raise SystemExit(f"{folder} cannot be prepared for grading: {error}") from error
    notebooks[:] = [str(folder / f"{folder.name}.ipynb")]


def set_aside(folder: Path) -> None:
    """Move links, pipes, devices and files with invalid names to ``set-aside`` in the course.

    Folders that are nested too deeply are moved too, because programs that walk through them fail.
    """
    _move_aside(folder, _open_folders(folder))
    plain = {path for path in plain_files(folder) if _is_text(str(path))}
    _move_aside(folder, [
        path
        for path in sorted(folder.rglob("*"), key=lambda each: -len(each.parts))
        if path not in plain and (path.is_symlink() or not path.is_dir())
    ])  # fmt: skip


def _open_folders(folder: Path) -> list[Path]:
    """Make all folders readable and writable; return those that are nested too deeply."""
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
    """Move files into a new folder; files with the same names may have been moved earlier."""
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
