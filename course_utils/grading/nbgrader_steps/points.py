"""Turning grades into points, with late penalties and a search for copied networks."""

from __future__ import annotations

import contextlib
import html
import math
import re
import shutil
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.preprocessors.base import NbGraderPreprocessor
from nbgrader.utils import determine_grade
from traitlets import Float

from course_utils.grading.assignment.cells import is_test
from course_utils.grading.assignment.course import notebooks
from course_utils.grading.examine.job import FAILED, LIVE
from course_utils.grading.examine.store import PROVENANCE
from course_utils.grading.nbgrader_steps.copies import note_traces, traces_file
from course_utils.grading.nbgrader_steps.notes import KEY
from course_utils.notebook_format import grade_id
from course_utils.printable import printable
from course_utils.submission.contract import GRADE_MIME, LECTURER, ORDINARY

# Reason for a review. Two students can get the same without copying if seed, recipe, layers and
# machine are the same.
NEARLY_THE_SAME = "{} is nearly the same as that of {}: copied, or made in the same way"

# Messages about a test that ran in the notebook's own process.
RAN_LIVE = (
    "This test needs the notebook's own process, where the notebook can change its result. So the "
    "result is less trustworthy than that of other tests."
)
LESS_TRUSTWORTHY = "Less trustworthy, because they ran in the notebook's own process"
NOBODY = "Your own answers do not pass these tests, so perhaps nobody can"

# Escape sequences with which IPython colours the names of errors.
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def forget(coursedir: CourseDirectory, assignment: str, student: str) -> None:
    """Remove the result of a submission from the gradebook and from the course's folders.

    Otherwise it would pass for the result of the next submission if that one cannot be graded.
    Points, comments and an extension that the lecturer has entered stay; the grades then wait for
    the lecturer.

    Parameters
    ----------
    coursedir : CourseDirectory
        nbgrader's description of the course.
    assignment, student : str
    """
    with (
        Gradebook(coursedir.db_url, coursedir.course_id) as gradebook,
        contextlib.suppress(MissingEntry),
    ):
        submission = gradebook.find_submission(assignment, student)
        if submission.extension or any(map(_has_lecturers_work, submission.notebooks)):
            _keep_lecturers_work(submission)
            gradebook.db.commit()
        else:
            gradebook.remove_submission(assignment, student)
    for step in (coursedir.autograded_directory, coursedir.feedback_directory):
        place = Path(coursedir.format_path(step, student, assignment))
        if place.is_dir():
            shutil.rmtree(place)
    root = Path(coursedir.root)
    for notebook in notebooks(coursedir, assignment):
        traces_file(root, f"{assignment}/{notebook}", student).unlink(missing_ok=True)


def _has_lecturers_work(notebook: SubmittedNotebook) -> bool:
    return any(g.manual_score is not None or g.extra_credit for g in notebook.grades) or any(
        comment.manual_comment for comment in notebook.comments
    )


def _keep_lecturers_work(submission: SubmittedAssignment) -> None:
    """Remove everything else, and have all grades wait for the lecturer."""
    submission.timestamp = None
    for notebook in submission.notebooks:
        notebook.late_submission_penalty = None
        for grade in notebook.grades:
            grade.auto_score, grade.needs_manual_grade = None, True
        for comment in notebook.comments:
            comment.auto_comment = None


class GradeCells(NbGraderPreprocessor):
    """Turns the grade of each test cell into points, and its errors into a sentence.

    A test that uses a `Grade` earns what its one `Grade` says, and nothing if it has no grade.
    Any other test earns points by nbgrader's rule: none after an error or a line on standard error,
    a number if that is the value of its last expression, and else all of them.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        nb, resources = super().preprocess(nb, resources)
        provenance = nb.metadata.get(PROVENANCE, {})
        live = provenance.get(LIVE, [])
        for cell in filter(is_test, nb.cells):
            if grade_id(cell) in live:
                cell.outputs.insert(0, _said(RAN_LIVE))
        for sentence, tests in ((LESS_TRUSTWORTHY, live), (NOBODY, provenance.get(FAILED, []))):
            if tests:
                nb.metadata.setdefault(KEY, []).append(f"{sentence}: {', '.join(tests)}")
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if not is_test(cell):
            return cell, resources
        if cell.metadata.get(ORDINARY):
            cell.outputs = _as_nbgrader_counts(cell)
            return cell, resources
        points = float(cell.metadata.nbgrader["points"])
        printed = [o for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
        grade = _grade_of(cell)
        if grade is None:
            cell.outputs = [*printed, _no_grade(cell)]
            return cell, resources
        result = new_output("execute_result", data=grade, execution_count=cell.execution_count or 1)
        result.data["text/plain"] = f"{points * grade[GRADE_MIME]['fraction']:.4g}"
        cell.outputs = [*printed, result]
        if review := grade[GRADE_MIME]["review"]:
            cell.outputs.append(_for_lecturer(review))
        return cell, resources


class SaveGrades(SaveAutoGrades):
    """Saves the points; a grade with a reason for a review waits for the lecturer.

    If two students hand in nearly the same network or log, both grades wait.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        traces = {
            cell.metadata["nbgrader"]["grade_id"]: grade[GRADE_MIME]["traces"]
            for cell in filter(is_test, nb.cells)
            if (grade := _grade_of(cell))
        }
        course = Path(self.parent.parent.coursedir.root)
        place = f"{names['assignment']}/{names['notebook']}"
        self._same = note_traces(course, place, names["student"], traces)
        return super().preprocess(nb, resources)

    def _add_score(self, cell: NotebookNode, resources: Any) -> None:
        super()._add_score(cell, resources)
        if cell.cell_type != "code":
            return
        grade_id = cell.metadata["nbgrader"]["grade_id"]
        same = self._same.get(grade_id, {})
        others = sorted({student for students in same.values() for student in students})
        for name, students in same.items():
            reason = NEARLY_THE_SAME.format(name, ", ".join(students))
            cell.outputs.append(_for_lecturer(reason))
        if others or (is_test(cell) and _reviews(cell)):
            self._have_it_looked_at(grade_id, self.student_id)
        for other in others:
            self._have_it_looked_at(grade_id, other)

    def _have_it_looked_at(self, grade_id: str, student: str) -> None:
        with contextlib.suppress(MissingEntry):  # the submission may have been removed
            saved = self.gradebook.find_grade(
                grade_id, self.notebook_id, self.assignment_id, student
            )
            saved.needs_manual_grade = True
            self.gradebook.db.commit()


def _grade_of(cell: NotebookNode) -> NotebookNode | None:
    """Return the data of a test cell's only grade; None if it has no valid one, or an error."""
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    if len(results) != 1 or GRADE_MIME not in results[0].data:
        return None
    if any(output.output_type == "error" for output in cell.outputs):
        return None
    fraction = results[0].data[GRADE_MIME].get("fraction")
    whole = isinstance(fraction, int | float) and math.isfinite(fraction) and 0 <= fraction <= 1
    return results[0].data if whole else None


def _as_nbgrader_counts(cell: NotebookNode) -> list[NotebookNode]:
    """Return the outputs of a test without a `Grade`, with one sentence about what it earned.

    nbgrader counts nothing else in them. A traceback could show the hidden part of a test.
    """
    printed = [o for o in cell.outputs if o.output_type == "stream"]
    try:
        earned, most = determine_grade(cell)
    except ValueError:
        return [*printed, _failed("The test returned more points than there are.")]
    for output in cell.outputs:
        if output.output_type == "error":
            what = ANSI.sub("", f"{output.ename}: {output.evalue}").removesuffix(": ")[:300]
            return [*printed, _failed(f"The test was not passed. {what}"), *_reviews(cell)]
    if any(output.name == "stderr" for output in printed):
        return [*printed, _said("The test was not passed: it wrote to standard error.")]
    if earned == most:
        return [*printed, _said("The test was passed.")]
    data = {"text/plain": f"{earned!r}"}
    return [*printed, new_output("execute_result", data=data, execution_count=1)]


def _reviews(cell: NotebookNode) -> list[NotebookNode]:
    """Return what the examination of a test tells the lecturer, as formgrader shows it."""
    notes = [output for output in cell.outputs if output.get("metadata", {}).get(LECTURER)]
    return [_for_lecturer(note.data["text/plain"]) for note in notes]


def _said(sentence: str) -> NotebookNode:
    return new_output("display_data", data={"text/plain": sentence})


def _failed(line: str) -> NotebookNode:
    return new_output("error", ename="NotPassed", evalue=line, traceback=[line])


def _no_grade(cell: NotebookNode) -> NotebookNode:
    """Return an output that says why a test cell earned nothing, without the full traceback."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if errors:
        what = ANSI.sub("", f"{errors[0].ename}: {errors[0].evalue}")[:300]
        line = f"The test could not be carried out. {what}"
    else:
        line = "The test could not be carried out: it returned no valid grade."
    return new_output("error", ename="NotGraded", evalue=line, traceback=[line])


def _for_lecturer(review: str) -> NotebookNode:
    """Return an output that shows a reason for a review beside the test in formgrader."""
    text = printable(review)
    block = f"<p><strong>To look at:</strong> {html.escape(text)}</p>"
    return new_output(
        "display_data", data={"text/plain": text, "text/html": block}, metadata={LECTURER: True}
    )


SECONDS_A_DAY = 86_400


class PerDay(LateSubmissionPlugin):
    """Subtracts a fraction of the score for each day, or part of a day, after the due date."""

    fraction = Float(0.1, min=0, max=1, help="Fraction of the score, 0 to 1, for each day.").tag(
        config=True
    )

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float:
        """Return the points to subtract."""
        days = math.ceil(total_seconds_late / SECONDS_A_DAY)
        return score * min(1.0, self.fraction * days)
