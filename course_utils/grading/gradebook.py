"""The gradebook, which nbgrader writes in this process with one transaction per submission."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import nbgrader.api
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from sqlalchemy import Engine, Transaction, create_engine
from sqlalchemy.exc import SAWarning
from traitlets import Instance, List
from traitlets.config import PyFileConfigLoader

from course_utils import env
from course_utils.errors import AssignmentError
from course_utils.grading.assignment.cells import is_test
from course_utils.grading.assignment.check import _id
from course_utils.grading.assignment.course import CONFIG, notebooks
from course_utils.grading.nbgrader_steps import display, points
from course_utils.grading.nbgrader_steps.intake import Submission
from course_utils.grading.nbgrader_steps.notes import lecturer_notes
from course_utils.printable import printable
from course_utils.submission.contract import LECTURER


@dataclass(frozen=True)
class Result:
    """One graded submission.

    Attributes
    ----------
    student : str
    score, points : float
        Score after the late penalty, and the largest possible score.
    late_penalty : float
        Points that were subtracted.
    waiting : int
        Number of graded cells that wait for the lecturer.
    notes : list of str
        Notes for the lecturer.
    reviews : list of str
        Grades that the lecturer should review, with the reasons.
    """

    student: str
    score: float
    points: float
    late_penalty: float
    waiting: int
    notes: list[str]
    reviews: list[str]


def results(course: Path, assignment: str) -> list[Result]:
    """Return the results of an assignment from the gradebook, sorted by student.

    A submission whose grading failed or was interrupted has none.
    """
    found = []
    with open_gradebook(course) as gradebook:
        try:
            submissions = gradebook.assignment_submissions(assignment)
        except MissingEntry:
            return []
        for submission in sorted(submissions, key=lambda s: s.student.id):
            if not _is_graded(course, submission):
                continue
            penalty = submission.late_submission_penalty or 0.0
            graded = graded_notebooks(course, submission.student.id, assignment)
            found.append(
                Result(
                    student=submission.student.id,
                    score=submission.score - penalty,
                    points=submission.max_score,
                    late_penalty=penalty,
                    waiting=sum(
                        grade.needs_manual_grade
                        for notebook in submission.notebooks
                        for grade in notebook.grades
                    ),
                    notes=[note for each in graded.values() for note in lecturer_notes(each)],
                    reviews=[
                        f"{test}: {why}" for each in graded.values() for test, why in reviews(each)
                    ],
                )
            )
    return found


def _is_graded(course: Path, submission: SubmittedAssignment) -> bool:
    """Tell whether a submission was graded to the end, or the lecturer has entered points.

    nbgrader creates a submission first, and removes the graded notebook if it cannot go on.
    """
    if all(
        path.is_file() for path in _graded_paths(course, submission.student.id, submission.name)
    ):
        return True
    grades = (grade for notebook in submission.notebooks for grade in notebook.grades)
    return any(grade.manual_score is not None for grade in grades)


def graded_notebooks(course: Path, student: str, assignment: str) -> dict[str, NotebookNode]:
    """Read the graded notebooks of a submission: name -> notebook; those that are there."""
    paths = _graded_paths(course, student, assignment)
    return {path.stem: nbformat.read(path, as_version=4) for path in paths if path.is_file()}


def read_graded(course: Path, student: str, assignment: str) -> NotebookNode:
    """Read the graded notebook of a submission; return an empty one if it has not been graded.

    Of several, the first one is read.
    """
    return next(iter(graded_notebooks(course, student, assignment).values()), new_notebook())


def _graded_paths(course: Path, student: str, assignment: str) -> list[Path]:
    folder = course / "autograded" / student / assignment
    return [folder / f"{name}.ipynb" for name in notebooks(course, assignment)]


def open_gradebook(course: Path) -> Gradebook:
    """Open the gradebook that ``nbgrader_config.py`` names."""
    url = env.GRADEBOOK.value or f"sqlite:///{(course / 'gradebook.db').resolve()}"
    return Gradebook(url, "image-classification")


def reviews(graded: NotebookNode) -> list[tuple[str, str]]:
    """Return the reasons for a review from a graded notebook, each with the id of its test.

    Outputs of other cells come from the student, whatever their metadata say.
    """
    return [
        (_id(cell), output.data["text/plain"])
        for cell in filter(is_test, graded.cells)
        for output in cell.get("outputs", ())
        if output.get("metadata", {}).get(LECTURER)
    ]


class _AutogradeReceived(Autograde):
    """Autogrades a submission that has been received before.

    The base class would search for it, with the student's name as a pattern.
    """

    submissions = List(Instance(Submission))

    def init_notebooks(self) -> None:
        paths = [str(submission.path) for submission in self.submissions]
        self.assignments = {str(self.submissions[0].path.parent): paths}


class _FeedbackOnOne(GenerateFeedback):
    """Writes the feedback on one graded submission."""

    paths = List(Instance(Path))

    def init_notebooks(self) -> None:
        self.assignments = {str(self.paths[0].parent): list(map(str, self.paths))}


class Writer:
    """Runs nbgrader for one assignment, configured by ``nbgrader_config.py``.

    Parameters
    ----------
    course : Path
    assignment : str
    settings : mapping
        Settings of the step `Examine` that replace those of ``nbgrader_config.py``.
    """

    def __init__(
        self, course: Path, assignment: str, settings: Mapping[str, Any] | None = None
    ) -> None:
        config = PyFileConfigLoader(CONFIG, path=str(course)).load_config()
        config.CourseDirectory.root = str(course.resolve())
        config.Examine.update(settings or {})
        self._course, self._assignment = course, assignment
        self._api = NbGraderAPI(CourseDirectory(config=config), config=config)
        # The messages of nbgrader go only into the log of each submission.
        log = self._api.log
        log.handlers, log.propagate = [logging.NullHandler()], False
        log.setLevel(logging.INFO)
        display.get_ready()
        # One engine serves all submissions, because it caches the statements that it has compiled.
        self._engine = create_engine(self._api.coursedir.db_url)

    def receive(self, student: str) -> list[Submission]:
        """Read and repair the notebooks of a submission.

        Raises
        ------
        OSError
            If the system does not let its folder be read or changed.
        """
        coursedir = self._api.coursedir
        folder = Path(
            coursedir.format_path(coursedir.submitted_directory, student, self._assignment)
        )
        converter = Autograde(coursedir=coursedir, parent=self._api)
        exporter = converter.exporter_class(parent=converter, config=converter.config)
        exporter.admit(folder)
        for step in converter.sanitize_preprocessors:
            exporter.register_preprocessor(step)
        received = []
        for name in notebooks(self._course, self._assignment):
            path = str(folder / f"{name}.ipynb")
            resources = converter.init_single_notebook_resources(path)
            with one_transaction(self._engine):
                exporter.from_filename(path, resources)
            received.append(exporter.submission)
        return received

    def forget(self, student: str) -> None:
        """Remove the result of a student's submission, except what the lecturer has entered."""
        points.forget(self._api.coursedir, self._assignment, student)

    def write(self, submissions: list[Submission]) -> str:
        """Grade a submission from the results of its examination; return nbgrader's log.

        Parameters
        ----------
        submissions : list of Submission
            The notebooks of one submission.

        The gradebook then contains the submission completely, or not at all after an error.

        Raises
        ------
        AssignmentError
            If nbgrader fails; the message contains its last lines.
        """
        converter = _AutogradeReceived(
            coursedir=self._api.coursedir, parent=self._api, submissions=submissions, force=True
        )
        with one_transaction(self._engine) as transaction:
            said = capture_log(converter)
            if not said["success"]:
                transaction.rollback()
                raise AssignmentError(_reason(said))
        return printable(said.get("log", ""))

    def write_feedback(self, student: str) -> str:
        """Write the feedback page of a student; return nbgrader's log.

        Raises
        ------
        AssignmentError
            If nbgrader fails; the message contains its last lines.
        """
        coursedir = self._api.coursedir
        graded = coursedir.format_path(coursedir.autograded_directory, student, self._assignment)
        paths = [Path(graded) / f"{n}.ipynb" for n in notebooks(self._course, self._assignment)]
        converter = _FeedbackOnOne(coursedir=coursedir, parent=self._api, paths=paths, force=True)
        with one_transaction(self._engine):
            said = capture_log(converter)
        if not said["success"]:
            raise AssignmentError(_reason(said))
        return printable(said.get("log", ""))


@contextlib.contextmanager
def one_transaction(engine: Engine) -> Iterator[Transaction]:
    """Commit everything that nbgrader writes in the block at its end, or nothing.

    nbgrader opens the gradebook and commits many times for one submission. In the block, all of its
    sessions join one transaction, which their commits do not end. For that, nbgrader must open this
    connection instead of its own, and neither nbgrader nor SQLAlchemy has a setting for it.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        # nbgrader treats the connection as its own engine and disposes of it.
        connection.dispose = lambda: None  # type: ignore[attr-defined]
        nbgrader.api.create_engine = lambda *_, **__: connection
        try:
            with warnings.catch_warnings(action="ignore", category=SAWarning):
                yield transaction
        finally:
            nbgrader.api.create_engine = create_engine


def _reason(said: dict) -> str:
    text = said.get("error", "") + said.get("log", "")
    return "\n".join(text.strip().splitlines()[-6:])
