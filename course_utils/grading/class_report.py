"""The report on a class: points per question, accuracies, hard questions and open reviews."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from nbformat import NotebookNode

from course_utils.colours import REFERENCE
from course_utils.errors import AssignmentError
from course_utils.files import write_atomically
from course_utils.grading.assignment.course import course_directory, notebooks
from course_utils.grading.assignment.questions import Question, questions, test_name
from course_utils.grading.database import open_gradebook
from course_utils.grading.examine.job import LIVE
from course_utils.grading.examine.store import PROVENANCE
from course_utils.grading.gradebook import Result, graded_notebooks, results, reviews
from course_utils.grading.nbgrader_steps.copies import Copy, find_copies
from course_utils.plotting import PALETTE, Picture, show
from course_utils.submission.contract import GRADE_MIME

TEMPLATE = Path(__file__).with_name("class_report.html.j2")


@dataclass
class ClassRecord:
    """Data on an assignment, from the gradebook and the graded notebooks.

    Attributes
    ----------
    asked : list of Question
    results : list of Result
        Results, sorted by student.
    parts : dict
        Id of a test -> fraction of its points, 0 to 1, for every student whose answer was graded.
    measured : dict
        Name of a submitted network -> the grader's measurements, one dict per student.
    reviews : list of tuple
        Student, id of the test and reason of each answer that the lecturer should review.
    copies : list of Copy
        Networks and logs that are nearly the same, for every two students.
    by_hand : Counter
        Id of a test -> number of answers that wait for a grade by hand.
    live : set of str
        Ids of the tests that ran in the notebooks' own processes, which can change the results.
    """

    asked: list[Question]
    results: list[Result]
    parts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    measured: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    reviews: list[tuple[str, str, str]] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    by_hand: Counter[str] = field(default_factory=Counter)
    live: set[str] = field(default_factory=set)


def write_class_report(course: Path, assignment: str) -> Path:
    """Write ``report/ASSIGNMENT.html`` and return its path.

    Raises
    ------
    AssignmentError
        If no submission has been graded yet.
    """
    record = collect(course, assignment)
    scores = [result.score for result in record.results]
    page = jinja2.Template(TEMPLATE.read_text(encoding="utf-8"), autoescape=True).render(
        assignment=assignment,
        results=record.results,
        reviews=record.reviews,
        copies=record.copies,
        by_hand=record.by_hand,
        questions=_rows(record),
        points=sum(question.points for question in record.asked),
        mean=statistics.mean(scores),
        median=statistics.median(scores),
        figures=[_embedded(picture) for picture in figures(record)],
    )
    return write_atomically(
        Path(course_directory(course).root) / "report" / f"{assignment}.html", page
    )


def collect(course: Path, assignment: str) -> ClassRecord:
    """Collect the grades of an assignment.

    Raises
    ------
    AssignmentError
        If no submission has been graded yet.
    """
    graded = results(course, assignment)
    if not graded:
        raise AssignmentError(f"No submission of {assignment} has been graded yet.")
    record = ClassRecord(questions(course, assignment), graded)
    with open_gradebook(course) as gradebook:
        for result in graded:
            for notebook in gradebook.find_submission(assignment, result.student).notebooks:
                for grade in notebook.grades:
                    name = test_name(assignment, notebook.name, grade.name)
                    if not (grade.auto_score is None and grade.manual_score is None):
                        if grade.max_score:
                            record.parts[name].append(grade.score / grade.max_score)
                    elif grade.needs_manual_grade:
                        record.by_hand[name] += 1
    for result in graded:
        record.reviews += [(result.student, "", note) for note in result.notes]
        for name, notebook in graded_notebooks(course, result.student, assignment).items():
            live = notebook.metadata.get(PROVENANCE, {}).get(LIVE, [])
            record.live |= {test_name(assignment, name, test) for test in live}
            for measured in _measured(notebook):
                record.measured[measured["question"]].append(measured)
            for test, why in reviews(notebook):
                record.reviews.append((result.student, test_name(assignment, name, test), why))
    record.reviews.sort()
    record.copies = _copies(course, assignment)
    return record


def _copies(course: Path, assignment: str) -> list[Copy]:
    coursedir = course_directory(course)
    return [
        replace(copy, test=test_name(assignment, name, copy.test))
        for name in notebooks(coursedir, assignment)
        for copy in find_copies(Path(coursedir.root), f"{assignment}/{name}")
    ]


def figures(record: ClassRecord) -> list[Picture]:
    """Draw the report's figures; figures without data are left out."""
    asked = [question for question in record.asked if record.parts.get(question.test)]
    pictures = []
    if asked:
        pictures += [score_distribution(record, asked), hardest_questions(record, asked)]
    pictures += [
        accuracy_histogram(name, measured) for name, measured in sorted(record.measured.items())
    ]
    return pictures


def score_distribution(record: ClassRecord, asked: Sequence[Question]) -> Picture:
    """Draw the distribution of each question's points over the class."""
    figure = Figure(figsize=(8, 0.5 * len(asked) + 1.3), layout="constrained")
    axis = figure.subplots()
    rng = np.random.default_rng(0)
    for row, question in enumerate(asked):
        parts = np.array(record.parts[question.test])
        heights = row + rng.uniform(-0.18, 0.18, len(parts))
        axis.plot(parts, heights, "o", color=PALETTE[0], alpha=0.55, markersize=6)
        axis.plot([parts.mean()], [row], "|", color=REFERENCE, markersize=22, markeredgewidth=2)
    axis.set_yticks(range(len(asked)), [_label(question) for question in asked])
    axis.invert_yaxis()
    axis.set(xlabel="fraction of the points; a bar marks the mean", xlim=(-0.03, 1.03))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(axis="x", alpha=0.3)
    sns.despine(ax=axis)
    said = "; ".join(f"{_label(q)}: mean {np.mean(record.parts[q.test]):.0%}" for q in asked)
    return show(figure, f"Points of each question, one dot per student. {said}.")


def hardest_questions(record: ClassRecord, asked: Sequence[Question]) -> Picture:
    """Draw the mean fraction of each question's points, with the hardest question first."""
    hardest = sorted(asked, key=lambda question: np.mean(record.parts[question.test]))
    means = [np.mean(record.parts[question.test]) for question in hardest]
    figure = Figure(figsize=(8, 0.38 * len(hardest) + 1.1), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh([_label(question) for question in hardest], means, color=PALETTE[1])
    axis.bar_label(bars, [f"{mean:.0%}" for mean in means], padding=3, fontsize=9)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.12), xlabel="mean fraction of the points")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    sns.despine(ax=axis)
    return show(figure, f"Questions from hard to easy; the hardest is {_label(hardest[0])}.")


def accuracy_histogram(name: str, measured: Sequence[dict[str, Any]]) -> Picture:
    """Draw a histogram of one network's measured accuracies, with the required accuracy."""
    accuracies = [100 * each["accuracy"] for each in measured]
    threshold = 100 * measured[0]["threshold"]
    low = np.floor(min(*accuracies, threshold)) - 1
    high = np.ceil(max(*accuracies, threshold)) + 1
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axis = figure.subplots()
    axis.hist(
        accuracies,
        bins=[float(edge) for edge in np.arange(low, high + 0.5)],
        color=PALETTE[0],
        edgecolor="white",
    )
    axis.axvline(threshold, color=REFERENCE, linestyle="--", label=f"required: {threshold:.0f}%")
    axis.set(title=name, xlabel="test accuracy (%)", ylabel="networks")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(frameon=False)
    sns.despine(ax=axis)
    reached = sum(accuracy >= threshold for accuracy in accuracies)
    return show(
        figure,
        f"Test accuracies of {name}, {min(accuracies):.1f} to {max(accuracies):.1f}%: "
        f"{reached} of {len(accuracies)} reach the {threshold:.0f}% that are required.",
    )


def _measured(graded: NotebookNode) -> list[dict[str, Any]]:
    """Return the measurements of every test cell in a graded notebook."""
    return [
        measured
        for cell in graded.cells
        for output in cell.get("outputs", ())
        if GRADE_MIME in output.get("data", {}) and cell.metadata.get("nbgrader", {}).get("grade")
        for measured in output["data"][GRADE_MIME]["accuracies"]
    ]


def _rows(record: ClassRecord) -> list[dict[str, Any]]:
    rows = []
    for question in record.asked:
        parts = record.parts.get(question.test, [])
        rows.append(
            {
                "question": question,
                "graded": len(parts),
                "how": _how(question, record),
                "mean": f"{np.mean(parts):.0%}" if parts else "–",
                "full": f"{np.mean(np.array(parts) > 0.999):.0%}" if parts else "–",
            }
        )
    return rows


def _how(question: Question, record: ClassRecord) -> str:
    """Return how a question is graded."""
    if not question.automatic:
        return "by a person"
    if question.test in record.live:
        return "automatically, in the notebook's own process (less trustworthy)"
    return "automatically"


def _label(question: Question) -> str:
    return f"{question.name} {question.test}".strip()


def _embedded(picture: Picture) -> dict[str, str]:
    data, _ = picture._repr_mimebundle_()
    return {"png": data["image/png"], "alt": picture.alt}
