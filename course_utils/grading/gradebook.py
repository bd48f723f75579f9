"""The gradebook, which nbgrader writes in this process with one transaction per submission."""

from __future__ import annotations

import contextlib
import inspect
import logging
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.api import Assignment, MissingEntry, SubmittedAssignment
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from sqlalchemy import Engine, Transaction, create_engine, event
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Session, SessionTransaction
from traitlets import Instance, List
from traitlets.config import Config, LazyConfigValue

from course_utils.errors import AssignmentError
from course_utils.fingerprint import digest_of_json
from course_utils.grading.assignment.cells import is_test
from course_utils.grading.assignment.check import _id
from course_utils.grading.assignment.course import (
    CONFIG,
    course_directory,
    errors_in,
    notebooks,
    read_settings,
    reason,
)
from course_utils.grading.database import advice_on, open_gradebook, said_in_a_sentence
from course_utils.grading.examine.job import digest_of_cells
from course_utils.grading.nbgrader_steps import points, program
from course_utils.grading.nbgrader_steps.copies import traces_file
from course_utils.grading.nbgrader_steps.intake import Submission, folder_for_copies
from course_utils.grading.nbgrader_steps.notes import lecturer_notes
from course_utils.grading.nbgrader_steps.waiting import waiting, waiting_points
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
    waiting_points : float
        Largest possible score of those of them that have no points yet, such as written answers.
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
    waiting_points: float
    notes: list[str]
    reviews: list[str]

    @property
    def standing(self) -> str:
        """The score as the lecturer reads it, with the points that wait."""
        said = waiting(self.waiting_points)
        return f"{self.score:.2f} of {self.points:g}" + (f", {said}" if said else "")


def results(course: Path, assignment: str) -> list[Result]:
    """Return the results of an assignment from the gradebook, sorted by student.

    A submission whose grading failed or was interrupted has none.
    """
    found = []
    coursedir = course_directory(course)
    with open_gradebook(course) as gradebook:
        try:
            submissions = gradebook.assignment_submissions(assignment)
        except MissingEntry:
            return []
        for submission in sorted(submissions, key=lambda s: s.student.id):
            if not _is_graded(coursedir, submission):
                continue
            penalty = submission.late_submission_penalty or 0.0
            graded = _read(graded_paths(coursedir, submission.student.id, assignment))
            grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
            found.append(
                Result(
                    student=submission.student.id,
                    score=submission.score - penalty,
                    points=submission.max_score,
                    late_penalty=penalty,
                    waiting=sum(grade.needs_manual_grade for grade in grades),
                    waiting_points=waiting_points(grades),
                    notes=[note for each in graded.values() for note in lecturer_notes(each)],
                    reviews=[
                        f"{test}: {why}" for each in graded.values() for test, why in reviews(each)
                    ],
                )
            )
    return found


def _is_graded(coursedir: CourseDirectory, submission: SubmittedAssignment) -> bool:
    """Tell whether a submission was graded to the end, or the lecturer has entered points.

    nbgrader creates a submission first, and removes the graded notebook if it cannot go on.
    """
    paths = graded_paths(coursedir, submission.student.id, submission.name)
    if all(path.is_file() for path in paths):
        return True
    grades = (grade for notebook in submission.notebooks for grade in notebook.grades)
    return any(grade.manual_score is not None for grade in grades)


def graded_notebooks(course: Path, student: str, assignment: str) -> dict[str, NotebookNode]:
    """Read the graded notebooks of a submission: name -> notebook; those that are there."""
    return _read(graded_paths(course_directory(course), student, assignment))


def read_graded(course: Path, student: str, assignment: str) -> NotebookNode:
    """Read the graded notebook of a submission; return an empty one if it has not been graded.

    Of several, the first one is read.
    """
    return next(iter(graded_notebooks(course, student, assignment).values()), new_notebook())


def graded_paths(coursedir: CourseDirectory, student: str, assignment: str) -> list[Path]:
    """Return the paths of the graded notebooks of a submission."""
    folder = Path(coursedir.format_path(coursedir.autograded_directory, student, assignment))
    return [folder / f"{name}.ipynb" for name in notebooks(coursedir, assignment)]


def _read(paths: Iterable[Path]) -> dict[str, NotebookNode]:
    return {path.stem: nbformat.read(path, as_version=4) for path in paths if path.is_file()}


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


def nbgrader_api(config: Config) -> NbGraderAPI:
    """Return nbgrader's commands as functions, for a course with these settings."""
    return NbGraderAPI(CourseDirectory(config=config), config=config)


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
        config = read_settings(course)
        config.Examine.update(settings or {})
        self._assignment = assignment
        # The place of the course has no influence, and ignored files are missing in the digests.
        policies = {name: value for name, value in config.items() if name != "CourseDirectory"}
        # Classes of the settings' own are in their text only.
        text = (course / CONFIG).read_text(encoding="utf-8")
        self._settings = digest_of_json([text, _described(policies)])
        self._api = nbgrader_api(config)
        # nbgrader takes submissions from the copies of them that are graded.
        self._copies = CourseDirectory(config=config)
        self._copies.submitted_directory = folder_for_copies(self._copies, self)
        self._notebooks = notebooks(self._copies, assignment)
        # The messages of nbgrader go only into the log of each submission.
        log = self._api.log
        log.handlers, log.propagate = [logging.NullHandler()], False
        log.setLevel(logging.INFO)
        program.get_ready()
        self._converter = Autograde(coursedir=self._copies, parent=self._api)
        self._exporter = self._converter.exporter_class(
            parent=self._converter, config=self._converter.config
        )
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
        place = self._copy(student)
        exporter = self._exporter
        submitted = coursedir.format_path(coursedir.submitted_directory, student, self._assignment)
        with said_in_a_sentence(coursedir):
            exporter.stage(Path(submitted), place, self._assignment)
        exporter._preprocessors = []  # nbgrader makes its steps anew, too
        for step in self._converter.sanitize_preprocessors:
            exporter.register_preprocessor(step)
        received = []
        for name in self._notebooks:
            path = str(place / f"{name}.ipynb")
            resources = self._converter.init_single_notebook_resources(path)
            with self._transaction():
                exporter.from_filename(path, resources)
            received.append(exporter.submission)
        return received

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        with said_in_a_sentence(self._api.coursedir), one_transaction(self._engine) as transaction:
            yield transaction

    def discard(self, student: str) -> None:
        """Remove the copy of a submission that was graded."""
        shutil.rmtree(self._copy(student), ignore_errors=True)

    def _copy(self, student: str) -> Path:
        step = self._copies.submitted_directory
        return Path(self._copies.format_path(step, student, self._assignment))

    def inputs(self, student: str, submissions: list[Submission]) -> list[Any]:
        """Return everything that the result of a submission depends on."""
        with Session(self._engine) as session:
            found = _find(session, self._assignment, student)
            assignment = session.query(Assignment).filter_by(name=self._assignment).one_or_none()
            due = [
                assignment.duedate if assignment else None, found.extension if found else None
            ]  # fmt: skip
        contents = {each.path.name: _digest(each) for each in submissions}
        return [contents, submissions[0].time, self._settings, *map(str, due)]

    def saved(self, student: str) -> dict[str, Any] | None:
        """Return what the gradebook holds of a submission; None if it does not have it.

        Returns
        -------
        dict or None
            ``"automatic"``: points, the penalty and the time of the submission; ``"by hand"``: what
            the lecturer has entered.
        """
        with Session(self._engine) as session:
            found = _find(session, self._assignment, student)
            if found is None:
                return None
            automatic, by_hand = {}, {}
            for notebook in found.notebooks:
                grades = sorted(notebook.grades, key=lambda grade: grade.name)
                points = [[grade.name, grade.auto_score] for grade in grades]
                entered = [[grade.name, grade.manual_score, grade.extra_credit] for grade in grades]
                comments = sorted([each.name, each.manual_comment] for each in notebook.comments)
                automatic[notebook.name] = [points, notebook.late_submission_penalty]
                by_hand[notebook.name] = [entered, comments]
            return {"automatic": [automatic, str(found.timestamp)], "by hand": by_hand}

    def has_results(self, student: str) -> bool:
        """Tell whether the graded notebooks and what is compared with others are there."""
        coursedir = self._api.coursedir
        root = Path(coursedir.root)
        traces = [traces_file(root, f"{self._assignment}/{n}", student) for n in self._notebooks]
        graded = graded_paths(coursedir, student, self._assignment)
        return all(path.is_file() for path in (*graded, *traces))

    def has_feedback(self, student: str) -> bool:
        """Tell whether the pages of the feedback are there."""
        coursedir = self._api.coursedir
        place = coursedir.format_path(coursedir.feedback_directory, student, self._assignment)
        return all((Path(place) / f"{name}.html").is_file() for name in self._notebooks)

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
            coursedir=self._copies, parent=self._api, submissions=submissions, force=True
        )
        with self._transaction() as transaction:
            said = capture_log(converter)
            if not said["success"]:
                transaction.rollback()
                raise AssignmentError(_reason(said, self._api.coursedir))
        return printable(said.get("log", ""))

    def write_feedback(self, student: str) -> str:
        """Write the feedback page of a student; return nbgrader's log.

        Raises
        ------
        AssignmentError
            If nbgrader fails; the message contains its last lines.
        """
        coursedir = self._api.coursedir
        paths = graded_paths(coursedir, student, self._assignment)
        converter = _FeedbackOnOne(coursedir=coursedir, parent=self._api, paths=paths, force=True)
        with self._transaction():
            said = capture_log(converter)
        if not said["success"]:
            raise AssignmentError(_reason(said, self._api.coursedir))
        return printable(said.get("log", ""))


@contextlib.contextmanager
def one_transaction(engine: Engine) -> Iterator[Transaction]:
    """Commit everything that nbgrader writes in the block at its end, or nothing.

    nbgrader opens the gradebook and commits many times for one submission. In the block, all
    sessions join one transaction, which their commits do not end.
    """
    with engine.connect() as connection, connection.begin() as transaction:

        def join(session: Session, _: SessionTransaction) -> None:
            session.bind = connection

        event.listen(Session, "after_transaction_create", join)
        try:
            with warnings.catch_warnings(action="ignore", category=SAWarning):
                yield transaction
        finally:
            event.remove(Session, "after_transaction_create", join)


def _digest(submission: Submission) -> str:
    """Return the digest of a notebook, and of all that its examination depends on."""
    if submission.job:
        return submission.job.digest
    return digest_of_cells(submission.notebook.cells)


def _find(session: Session, assignment: str, student: str) -> SubmittedAssignment | None:
    """Return a submission in the gradebook; None if there is none."""
    return (
        session.query(SubmittedAssignment)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(Assignment.name == assignment, SubmittedAssignment.student_id == student)
        .one_or_none()
    )


def _described(value: Any) -> Any:
    """Return a setting as JSON, classes and functions with the text of their program."""
    if isinstance(value, Mapping):
        return {str(name): _described(each) for name, each in sorted(value.items())}
    if isinstance(value, list | tuple | set):
        return [_described(each) for each in value]
    if isinstance(value, LazyConfigValue):
        return _described(value.to_dict())
    if callable(value):
        with contextlib.suppress(OSError, TypeError):
            return [value.__module__, value.__qualname__, inspect.getsource(value)]
        return getattr(value, "__qualname__", type(value).__name__)
    return value if isinstance(value, str | int | float | None) else str(value)


def _reason(result: dict[str, Any], coursedir: CourseDirectory) -> str:
    """Return why a converter of nbgrader failed; what its database says becomes advice."""
    said = result.get("error", "") + result.get("log", "")
    of_database = [line for line in errors_in(said) if line.startswith("sqlalchemy.exc.")]
    if of_database:
        return advice_on(of_database[-1].partition(": ")[2], coursedir)
    return reason(said)
