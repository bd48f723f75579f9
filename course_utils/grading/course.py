"""What a lecturer does with an assignment: check it, build it, look at what was graded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook, MissingEntry

from course_utils.errors import AssignmentError
from course_utils.grading.execution import is_test
from course_utils.grading.notes import lecturer_notes
from course_utils.grading.questions import read_source
from course_utils.grading.scan import leaks, read_released, released_path, secrets
from course_utils.submission.settings import LECTURER

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
END_HIDDEN = "### END HIDDEN TESTS"
GAPS = ("# YOUR CODE HERE", "YOUR ANSWER HERE")
PLACEHOLDER = re.compile(r"^(\w+) = None$")


@dataclass(frozen=True)
class Result:
    """One graded submission.

    Attributes
    ----------
    student : str
    score, points : float
        Reached, late penalty taken off, and reachable.
    late_penalty : float
    waiting : int
        Graded cells that wait for the lecturer.
    notes : list of str
        What the lecturer should know.
    reviews : list of str
        Grades that somebody should look at, and why.
    """

    student: str
    score: float
    points: float
    late_penalty: float
    waiting: int
    notes: list[str]
    reviews: list[str]


def check(course: Path, assignment: str) -> list[str]:
    """Return what is wrong with an assignment, a sentence each; empty where nothing is.

    The released notebook is looked at too, if it has been built.
    """
    source = read_source(course, assignment)
    problems = [p for cell in source.cells for p in _cell_problems(cell)]
    graded = [c for c in source.cells if c.metadata.get("nbgrader", {}).get("grade")]
    if not graded:
        problems.append("no cell is graded")
    problems += _rubric_problems(source)
    if released_path(course, assignment).is_file():
        released = read_released(course, assignment)
        problems += stub_problems(source, released)
        text = nbformat.writes(released)
        problems += [f"released: {p[:60]}..." for p in leaks(secrets(source, released), text)]
    return [f"{assignment}: {problem}" for problem in problems]


def stub_problems(source: NotebookNode, released: NotebookNode) -> list[str]:
    """Return where a released answer is neither the lecturer's line nor a marked gap."""
    answers = {_id(cell): cell for cell in source.cells if _is_answer(cell)}
    problems = []
    for cell in released.cells:
        if not _is_answer(cell) or _id(cell) not in answers:
            continue
        given, solved = _split(answers[_id(cell)].source)
        lines = [line for line in cell.source.splitlines() if line.strip() not in GAPS]
        if cell.cell_type == "code" and lines != given:
            problems.append(f"{_id(cell)}: released lines differ from the lecturer's")
        for line in given:
            name = PLACEHOLDER.match(line)
            if name and not any(re.match(rf"\s*{name[1]} = ", line) for line in solved):
                problems.append(f"{_id(cell)}: {name[1]} is asked for, and the solution has none")
    return problems


def build(course: Path, assignment: str) -> Path:
    """Make the version that students get, with `nbgrader generate_assignment`.

    Raises
    ------
    AssignmentError
        Where the assignment is not in order, before or after.
    """
    _raise_for(check(course, assignment))
    nbgrader(course, "generate_assignment", assignment, "--force")
    _raise_for(check(course, assignment))
    return released_path(course, assignment)


def submissions(course: Path, assignment: str, student: str | None = None) -> list[Path]:
    """Return the folders that were handed in for an assignment, or a student's one.

    Raises
    ------
    AssignmentError
        Where nothing was.
    """
    read_source(course, assignment)
    found = [
        folder
        for folder in sorted(course.glob(f"submitted/*/{assignment}"))
        if student in (None, folder.parent.name)
    ]
    if not found:
        raise AssignmentError(f"Nothing was handed in for {assignment}: {course / 'submitted'}.")
    return found


def results(course: Path, assignment: str) -> list[Result]:
    """Return what the gradebook knows of an assignment's submissions, by student."""
    found = []
    with open_gradebook(course) as gradebook:
        try:
            submissions = gradebook.assignment_submissions(assignment)
        except MissingEntry:
            return []
        for submission in sorted(submissions, key=lambda s: s.student.id):
            penalty = submission.late_submission_penalty or 0.0
            graded = read_graded(course, submission.student.id, assignment)
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
                    notes=lecturer_notes(graded),
                    reviews=_reviews(graded),
                )
            )
    return found


def read_graded(course: Path, student: str, assignment: str) -> NotebookNode:
    """Read a submission as it was graded; an empty notebook where it was not."""
    path = course / "autograded" / student / assignment / f"{assignment}.ipynb"
    return nbformat.read(path, as_version=4) if path.is_file() else new_notebook()


def open_gradebook(course: Path) -> Gradebook:
    """Open the gradebook that ``nbgrader_config.py`` names."""
    url = os.environ.get("COURSE_GRADEBOOK") or f"sqlite:///{(course / 'gradebook.db').resolve()}"
    return Gradebook(url, "image-classification")


def nbgrader(course: Path, *arguments: str, **environment: str) -> str:
    """Run an nbgrader command in the course's folder and return what it said.

    Raises
    ------
    AssignmentError
        Where it fails, with its last lines.
    """
    # nbgrader calls alembic by its name, which stands beside this Python's.
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": programs} | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        last = "\n".join(said.strip().splitlines()[-12:])
        raise AssignmentError(f"nbgrader {' '.join(arguments)} failed:\n{last}")
    return said


def complete(folder: Path) -> None:
    """Put an empty notebook where none was handed in: nbgrader passes such a folder by."""
    if not any(folder.glob("*.ipynb")):
        nbformat.write(new_notebook(), folder / f"{folder.name}.ipynb")


def _reviews(graded: NotebookNode) -> list[str]:
    """Return what a graded notebook's tests tell the lecturer alone.

    Other cells' outputs are the student's, whatever they say that they are.
    """
    return [
        f"{_id(cell)}: {output.data['text/plain']}"
        for cell in filter(is_test, graded.cells)
        for output in cell.get("outputs", ())
        if output.get("metadata", {}).get(LECTURER)
    ]


def _cell_problems(cell: NotebookNode) -> list[str]:
    graded = cell.metadata.get("nbgrader", {})
    problems = []
    if cell.get("outputs") or cell.get("execution_count"):
        problems.append(f"{cell.get('id')}: has outputs; clear them")
    if graded.get("grade"):
        about = cell.metadata.get("course", {})
        if not about.get("question") or not about.get("objective"):
            problems.append(f"{_id(cell)}: names no question or no objective")
        if graded.get("points", 0) <= 0:
            problems.append(f"{_id(cell)}: has no points")
    is_test = graded.get("grade") and not graded.get("solution")
    if is_test and not cell.source.rstrip().endswith(END_HIDDEN):
        problems.append(f"{_id(cell)}: does not end in a hidden test, which makes the grade")
    if _is_answer(cell) and cell.cell_type == "code" and BEGIN_SOLUTION not in cell.source:
        problems.append(f"{_id(cell)}: marks no solution")
    return problems


def _rubric_problems(source: NotebookNode) -> list[str]:
    problems, rubric = [], False
    for cell in source.cells:
        rubric = rubric or "### BEGIN MARK SCHEME" in cell.source
        graded = cell.metadata.get("nbgrader", {})
        if graded.get("grade") and graded.get("solution"):
            if not rubric:
                problems.append(f"{_id(cell)}: is graded by a person, and has no rubric before it")
            rubric = False
    return problems


def _split(source: str) -> tuple[list[str], list[str]]:
    """Return an answer's lines outside and inside its solutions."""
    given, solved, inside = [], [], False
    for line in source.splitlines():
        if BEGIN_SOLUTION in line or END_SOLUTION in line:
            inside = BEGIN_SOLUTION in line
        else:
            (solved if inside else given).append(line)
    return given, solved


def _is_answer(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _id(cell: NotebookNode) -> str:
    return cell.metadata["nbgrader"]["grade_id"]


def _raise_for(problems: list[str]) -> None:
    if problems:
        raise AssignmentError("\n".join(problems))
