"""Reading submissions, even damaged or incomplete ones."""

from __future__ import annotations

import glob
import json
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from nbgrader.converters.base import NbGraderException

from course_utils.errors import SandboxError
from course_utils.grading.assignment.cells import grade_id
from course_utils.grading.assignment.course import notebooks
from course_utils.grading.examine.job import Job, plain_files
from course_utils.grading.nbgrader_steps import points
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.grading.nbgrader_steps.folder import TIMESTAMP, UNFINISHED, admit
from course_utils.grading.nbgrader_steps.notes import add_note, listed, printable
from course_utils.grading.sandbox.bubblewrap import require_sandbox
from course_utils.grading.sandbox.limits import (
    MAX_CELL_CHARACTERS,
    MAX_CELLS,
    MAX_NOTEBOOK_BYTES,
    MAX_NOTEBOOK_PARTS,
)

# What makes a cell of each type.
NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}

# Sentences about single cells that a note contains.
MAX_PROBLEMS = 5


@dataclass(frozen=True)
class Submission:
    """A notebook of a submission, which is read, repaired and digested once.

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

    @cached_property
    def version(self) -> list[str]:
        """What the result depends on: digest of the job, and the time of the submission."""
        time = self.path.with_name(TIMESTAMP)
        return [
            self.job.digest if self.job else "nothing to run",
            time.read_text(encoding="utf-8") if time.exists() else "",
        ]


class SubmissionExporter(NotebookExporter):
    """Reads a student's notebook; one that cannot be read counts as empty.

    nbgrader converts a notebook twice: the first pass repairs it, the second one grades it. The
    second pass takes the notebook from memory, not from the file that the first one has written.

    When nbgrader makes this exporter, it has found the submissions, but has not opened any. If no
    sandbox is available, nbgrader ends here.

    Attributes
    ----------
    submission : Submission
        The notebook that nbgrader converts at the moment.
    """

    submission: Submission

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            require_sandbox(Examine(parent=self).with_my_rights)
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error
        received = getattr(self.parent, "submissions", ())
        self._received = {submission.path: submission for submission in received}
        self._left_out: dict[Path, list[str]] = {}
        if self._converter.assignments:
            self._converter.pre_convert_hook = self._begin
            if not self._received:
                self._admit_all()

    @property
    def _converter(self) -> Any:
        """nbgrader's converter, which made this exporter."""
        return self.parent

    def _admit_all(self) -> None:
        """Prepare the folders of all submissions, and expect every notebook in each.

        nbgrader skips a submission without a notebook, and one that was graded before. It is to
        grade the first kind, and the second if it was interrupted then.
        """
        coursedir, assignments = self._converter.coursedir, {}
        pattern = coursedir.format_path(
            coursedir.submitted_directory, coursedir.student_id, coursedir.assignment_id
        )
        for folder in sorted(map(Path, {*self._converter.assignments, *glob.glob(pattern)})):
            student, assignment = folder.parts[-2:]
            try:
                self.admit(folder)
            except OSError as error:
                self.log.error("%s cannot be graded: %s", printable(str(folder)), error)
                points.forget(coursedir, assignment, student)
                continue
            graded = Path(
                coursedir.format_path(coursedir.autograded_directory, student, assignment)
            )
            expected = self._expected_in(folder)
            if graded.is_dir() and not all((graded / path.name).exists() for path in expected):
                shutil.rmtree(graded)
            assignments[str(folder)] = list(map(str, expected))
        self._converter.assignments = assignments

    def _expected_in(self, folder: Path) -> list[Path]:
        """Return the places of the assignment's notebooks in a submission."""
        names = notebooks(Path(self._converter.coursedir.root), folder.name)
        return [folder / f"{name}.ipynb" for name in names]

    def admit(self, folder: Path) -> None:
        """Move everything out of a submission's folder that is not graded.

        Raises
        ------
        OSError
            If the system does not let the folder be read or changed.
        """
        coursedir = self._converter.coursedir
        source = Path(coursedir.format_path(coursedir.source_directory, ".", folder.name))
        self._left_out[folder] = admit(folder, plain_files(source, coursedir.ignore))

    def _begin(self, assignment: str, student: str, notebooks: list[str]) -> None:
        """Remove the result of an earlier submission before nbgrader looks at the next one."""
        folder = Path(notebooks[0]).parent
        points.forget(self._converter.coursedir, folder.name, folder.parent.name)

    def from_filename(  # type: ignore[override]  # NotebookExporter also returns a text
        self, filename: str, resources: Any = None, **kw: Any
    ) -> tuple[str, Any]:
        path = Path(filename)
        resources["metadata"] = {"name": path.stem, "path": str(path.parent)}
        if not self._converter._sanitizing:
            graded = self.from_notebook_node(self.submission.notebook, resources, **kw)
            path.with_suffix(UNFINISHED).unlink()
            return graded
        self.submission = self._received.get(path) or self._receive(path, resources)
        return "", self.submission.resources | {"output_extension": UNFINISHED}

    def _receive(self, path: Path, resources: Any) -> Submission:
        """Read a submission, and repair it with the steps of nbgrader's first pass."""
        notebook, problem = read_notebook(path, self._expected_in(path.parent))
        # What is said of the folder is said once, with its first notebook.
        left_out = self._left_out.pop(path.parent, ())
        for sentence in filter(None, (*left_out, problem)):
            self.log.warning("%s", printable(f"{path}: {sentence}"))
            add_note(notebook, sentence, f"{path.name}: {sentence}")
        repaired, resources = Exporter.from_notebook_node(self, notebook, resources)
        job = Examine(parent=self).job(repaired, resources)
        return Submission(path, repaired, resources, job)


def read_notebook(path: Path, expected: Collection[Path] = ()) -> tuple[NotebookNode, str]:
    """Return a notebook, and a sentence about each problem of the file (empty if there is none).

    If it is missing, and one other than the `expected` ones was handed in, that one is read.

    Only what later steps read is taken from the file: the type, the text, the attached pictures,
    the tags and nbgrader's id of each cell.
    """
    problems = []
    if not path.exists():
        # Other systems hide files of their own behind a dot.
        others = sorted(
            p
            for p in path.parent.glob("*.ipynb")
            if not p.name.startswith(".") and p not in expected
        )
        if len(others) != 1:
            return new_notebook(), f"The notebook {path.name} was not handed in."
        problems.append(
            f"The notebook was handed in as {listed([others[0].name])}, not as {path.name}."
        )
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
        notebook, more = _read_cells(content)
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return new_notebook(), f"The notebook cannot be read ({reason[0][:120]}): it is damaged."
    if not notebook.cells:
        problems.append(f"The notebook {path.name} was not handed in, or it is empty.")
    return notebook, " ".join([*problems, *more])


def _read_cells(content: bytes) -> tuple[NotebookNode, list[str]]:
    """Return a notebook of the cells in a file, and a sentence about each that is cut."""
    found = json.loads(content)
    cells = found.get("cells") if isinstance(found, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it has no list of cells")
    problems = []
    if len(cells) > MAX_CELLS:
        problems.append(
            f"The notebook has {len(cells):,} cells, and only the first {MAX_CELLS:,} are graded."
        )
    notebook = new_notebook()
    for number, each in enumerate(cells[:MAX_CELLS], 1):
        cell = _cell(each, number)
        if len(cell.source) > MAX_CELL_CHARACTERS:
            problems.append(
                f"Cell {number} has {len(cell.source):,} characters, and at most "
                f"{MAX_CELL_CHARACTERS:,} are allowed, so its text was left out."
            )
            cell.source = ""
        notebook.cells.append(cell)
    return notebook, problems[:MAX_PROBLEMS]


def _cell(found: Any, number: int) -> NotebookNode:
    """Return a cell with all that later steps read, in the form in which they expect it."""
    if not isinstance(found, dict) or found.get("cell_type") not in NEW_CELL:
        raise ValueError(f"cell {number} has no type")
    source = _text(found.get("source", ""))
    cell = NEW_CELL[found["cell_type"]](source, id=_id(found.get("id"), number))
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        if "nbgrader" in metadata:
            name = grade_id(NotebookNode(metadata=metadata))
            cell.metadata |= {"nbgrader": NotebookNode(grade_id=name)} if name else {}
        if isinstance(metadata.get("tags"), list):
            cell.metadata["tags"] = _tags(metadata["tags"])
    if cell.cell_type != "code" and isinstance(found.get("attachments"), dict):
        cell["attachments"] = _attachments(found["attachments"])
    return cell


def _tags(found: list[Any]) -> list[str]:
    """Return the valid tags, each once; nbformat takes a minute to refuse a long list."""
    texts = (_text(tag) for tag in found if isinstance(tag, str))
    return list(dict.fromkeys(tag for tag in texts if re.fullmatch("[^,]+", tag)))


def _attachments(found: dict[str, Any]) -> NotebookNode:
    """Return the pictures that are attached to a cell: name -> type -> content in base64."""
    return NotebookNode(
        {
            _text(name): NotebookNode(
                {_text(kind): _text(data) for kind, data in kinds.items() if _is_text(data)}
            )
            for name, kinds in found.items()
            if isinstance(kinds, dict)
        }
    )


def _id(found: Any, number: int) -> str:
    """Return a cell's id if it has a valid one, and its number otherwise."""
    is_valid = isinstance(found, str) and re.fullmatch("[a-zA-Z0-9_-]{1,64}", found)
    return found if is_valid else f"cell-{number}"


def _text(found: Any) -> str:
    """Return a text, or its lines joined, as UTF-8 can encode it: JSON can hold half characters.

    Line breaks are those of Python, also in a notebook from Windows.

    Raises
    ------
    ValueError
        If it is neither a text nor a list of texts.
    """
    if not _is_text(found):
        raise ValueError("a text in it is none")
    text = "".join(found).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_text(found: Any) -> bool:
    """Tell whether a value is a text or a list of texts."""
    return isinstance(found, str) or (
        isinstance(found, list) and all(isinstance(line, str) for line in found)
    )
