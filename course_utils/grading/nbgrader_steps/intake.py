"""Reading submissions, even damaged or incomplete ones."""

from __future__ import annotations

import copy
import functools
import glob
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout
from nbconvert.exporters import Exporter, NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory

from course_utils.errors import SandboxError
from course_utils.grading.assignment.course import names_of, notebooks, source_folder
from course_utils.grading.examine import store
from course_utils.grading.examine.job import Job, plain_files
from course_utils.grading.examine.names import texts_in
from course_utils.grading.nbgrader_steps import points, program
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.grading.nbgrader_steps.folder import TIMESTAMP, UNFINISHED
from course_utils.grading.nbgrader_steps.notes import add_note, note_for_lecturer, printable
from course_utils.grading.nbgrader_steps.reading import as_notebook, read_submission
from course_utils.grading.nbgrader_steps.repair import cells_as_released, without_secrets
from course_utils.grading.nbgrader_steps.staging import Expected, stage, write_time
from course_utils.grading.sandbox.bubblewrap import require_sandbox
from course_utils.notebook_format import reads
from course_utils.submission.messages import ReadNotebook

# Prefix of the folders with copies of submissions, in the folder of the results.
COPIES = "received-"

# Names of networks and records, without their endings.
FILE_NAME = re.compile(r"[\w .()+-]{1,100}")


@dataclass(frozen=True)
class Submission:
    """A notebook of a submission, which is read, repaired and digested once.

    Attributes
    ----------
    path : Path
        The notebook's place in the copy that is graded.
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
    def time(self) -> str:
        """The time of the submission; empty if there is none."""
        path = self.path.with_name(TIMESTAMP)
        return path.read_text(encoding="utf-8") if path.exists() else ""


class SubmissionExporter(NotebookExporter):
    """Converts a student's notebook; one that cannot be read counts as empty.

    nbgrader converts a notebook twice: the first pass repairs it, the second one grades it. The
    second pass takes the notebook from memory, not from the file that the first one has written.
    What nbgrader copies and reads is not the submission, but a copy of it (`staging`).

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
        self._with_my_rights = Examine(parent=self).with_my_rights
        try:
            require_sandbox(self._with_my_rights)
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error
        program.get_ready()
        received = getattr(self.parent, "submissions", ())
        self._received = {submission.path: submission for submission in received}
        self._staged: dict[Path, ReadNotebook] = {}
        self._failed: dict[Path, Exception] = {}
        self._submitted: dict[Path, Path] = {}
        self._released: dict[tuple[str, str], list[NotebookNode]] = {}
        if self._converter.assignments:
            self._own_hook = self._converter.pre_convert_hook
            self._converter.pre_convert_hook = self._begin
            if not self._received:
                self._own_last_hook = self._converter.post_convert_hook
                self._converter.post_convert_hook = self._end
                self._expect_all()

    @property
    def _converter(self) -> Any:
        """nbgrader's converter, which made this exporter."""
        return self.parent

    def _expect_all(self) -> None:
        """Have nbgrader take every submission from a copy, and expect every notebook in each.

        nbgrader skips a submission without a notebook, and one that was graded before. It is to
        grade the first kind, and the second if it was interrupted then.
        """
        coursedir = self._converter.coursedir
        self._release = weakref.finalize(self, take_the_course(coursedir, self.log.warning).release)
        pattern = coursedir.format_path(
            coursedir.submitted_directory, coursedir.student_id, coursedir.assignment_id
        )
        copies, expected = folder_for_copies(coursedir, self), {}
        for folder in sorted({*self._converter.assignments, *glob.glob(pattern)}):
            student, assignment = names_of(coursedir, coursedir.submitted_directory, folder)
            place = Path(coursedir.format_path(copies, student, assignment))
            place.mkdir(parents=True, exist_ok=True)
            self._submitted[place] = Path(folder)
            names = [f"{name}.ipynb" for name in notebooks(coursedir, assignment)]
            expected[str(place)] = [str(place / name) for name in names]
            # nbgrader compares the times before it begins with a submission.
            write_time(Path(folder), place)
            graded = Path(
                coursedir.format_path(coursedir.autograded_directory, student, assignment)
            )
            if graded.is_dir() and not all((graded / name).exists() for name in names):
                shutil.rmtree(graded)
        coursedir.submitted_directory = copies
        self._converter.assignments = expected

    def _begin(self, assignment: str, student: str, notebooks: list[str]) -> None:
        """Remove the result of an earlier submission, and copy the one that comes next."""
        coursedir, place = self._converter.coursedir, Path(notebooks[0]).parent
        student, assignment = names_of(coursedir, coursedir.submitted_directory, str(place))
        points.forget(coursedir, assignment, student)
        if not self._received:
            try:
                self.stage(self._submitted[place], place, assignment)
            except Exception as error:  # nbgrader ignores what a hook raises
                self._failed[place] = error
        if self._own_hook:
            self._own_hook(assignment=assignment, student=student, notebooks=notebooks)

    def _end(self, assignment: str, student: str, notebooks: list[str]) -> None:
        """Release the course after the last submission: formgrader goes on running."""
        if str(Path(notebooks[0]).parent) == max(self._converter.assignments):
            self._release()
        if self._own_last_hook:
            self._own_last_hook(assignment=assignment, student=student, notebooks=notebooks)

    def stage(self, folder: Path, place: Path, assignment: str) -> None:
        """Read a submission, and make the copy of it that is graded.

        Raises
        ------
        OSError
            If the copy cannot be made.
        """
        coursedir = self._converter.coursedir
        source = source_folder(coursedir, assignment)
        names = notebooks(coursedir, assignment)
        paths = [source / f"{name}.ipynb" for name in names]
        expected = Expected(
            notebooks={
                name: without_secrets(self.cells_as_released(assignment, name)) for name in names
            },
            given=plain_files(source, coursedir.ignore),
            names=set().union(*(names_in_tests(p, p.stat().st_mtime_ns) for p in paths)),
        )
        read = functools.partial(
            read_submission,
            kept=Path(coursedir.root, store.FOLDER, "read"),
            with_my_rights=self._with_my_rights,
        )
        self._staged |= stage(folder, place, expected, read)

    def cells_as_released(self, assignment: str, name: str) -> list[NotebookNode]:
        """Return the cells of a lecturer's notebook (see `repair`), which is read only once."""
        if (assignment, name) not in self._released:
            cells = cells_as_released(self._converter.coursedir, assignment, name)
            self._released[assignment, name] = cells
        return copy.deepcopy(self._released[assignment, name])

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
        """Repair a notebook of a submission with the steps of nbgrader's first pass."""
        if path.parent in self._failed:
            raise self._failed[path.parent]
        read = self._staged.pop(path)
        notebook = as_notebook(read)
        for sentence in read.losses:
            self.log.warning("%s", printable(f"{path.name}: {sentence}"))
            add_note(notebook, sentence, f"{path.name}: {sentence}")
        for for_student, for_lecturer in read.notes:
            add_note(notebook, for_student, for_lecturer)
        repaired, resources = Exporter.from_notebook_node(self, notebook, resources)
        if read.of_form:
            note_for_lecturer(repaired, f"{path.name}: {read.of_form}")
        job = Examine(parent=self).job(repaired, resources)
        return Submission(path, repaired, resources, job)


# The message of a call that has to wait.
WAITS = "Another call grades in this course. This one waits until it has ended."


def take_the_course(coursedir: CourseDirectory, say: Callable[[str], None]) -> BaseFileLock:
    """Keep other calls from grading in the same course, until the lock is released.

    What a call that was killed has left behind is removed.

    Parameters
    ----------
    coursedir : CourseDirectory
    say : callable
        Receives a sentence if this call has to wait.
    """
    place = Path(coursedir.root, store.FOLDER)
    place.mkdir(exist_ok=True)
    # Other lecturers may lock the file too; it is always empty. In one program, such as formgrader,
    # several exporters share the lock, and the last one may be collected by any thread.
    lock = FileLock(place / "grading.lock", mode=0o666, thread_local=False, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(WAITS)
        lock.acquire()
    if lock.lock_counter == 1:
        for left_behind in place.glob(f"{COPIES}*"):
            shutil.rmtree(left_behind, ignore_errors=True)
    return lock


def folder_for_copies(coursedir: CourseDirectory, owner: Any) -> str:
    """Make a folder for copies of submissions; return its path in the folder of the course.

    It is removed together with its owner, or when this program ends.
    """
    place = Path(coursedir.root, store.FOLDER)
    place.mkdir(exist_ok=True)
    made = tempfile.mkdtemp(prefix=COPIES, dir=place)
    weakref.finalize(owner, shutil.rmtree, made, ignore_errors=True)
    return os.path.join(store.FOLDER, os.path.basename(made))


@functools.lru_cache
def names_in_tests(path: Path, modified: int) -> set[str]:
    """Return the texts in a lecturer's notebook that can be names of networks and records.

    Parameters
    ----------
    path : Path
    modified : int
        Time of its last change, in nanoseconds, so that a changed notebook is read again.
    """
    notebook, _ = reads(path.read_bytes())
    texts = texts_in(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return set(filter(FILE_NAME.fullmatch, texts))
