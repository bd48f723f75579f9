"""The same submissions graded by nbgrader alone, and its own example assignments."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import nbformat
import nbgrader
from nbformat import NotebookNode
from nbgrading import make_course, new_gradebook, release

from course_utils.grading.assignment.course import nbgrader as run_nbgrader
from course_utils.grading.database import open_gradebook

# The folder of the assignments in nbgrader's documentation.
EXAMPLES = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide"
# Nothing of the course's but the texts of gaps, so that the same notebooks are submitted to both.
SETTINGS = """
c = get_config()
c.CourseDirectory.course_id = "image-classification"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}
c.ClearMarkScheme.enforce_metadata = False
"""

# Notebook -> graded cell or task -> automatic points, and whether the lecturer has to grade it.
Scores = dict[str, dict[str, tuple[float | None, bool]]]


def make_both(folder: Path, source: Path, name: str) -> tuple[Path, Path]:
    """Make a course and one of nbgrader alone, with the same assignment; release it in both."""
    course, stock = make_course(folder / "course"), folder / "stock"
    (stock / "source").mkdir(parents=True)
    (stock / "nbgrader_config.py").write_text(SETTINGS)
    (stock / "gradebook.db").write_bytes(new_gradebook())
    for each in (course, stock):
        shutil.copytree(source, each / "source" / name)
        shutil.copy(EXAMPLES / "autotests.yml", each)
        release(each, name)
    return course, stock


def hand_in_to(courses: tuple[Path, ...], student: str, name: str, answers: Mapping | None) -> None:
    """Submit an assignment: released notebooks with the lecturer's answers, or with others.

    Parameters
    ----------
    courses : tuple of Path
    student, name : str
    answers : mapping, optional
        Id of an answer cell -> what the student wrote instead of the lecturer's; None to submit
        what was released.
    """
    for course in courses:
        folder = shutil.copytree(course / "release" / name, course / "submitted" / student / name)
        if answers is None:
            continue
        for path in folder.glob("*.ipynb"):
            source = nbformat.read(course / "source" / name / path.name, as_version=4)
            solved = {_id(cell): _text(cell) for cell in source.cells if _is_answer(cell)}
            notebook = nbformat.read(path, as_version=4)
            for cell in notebook.cells:
                if _is_answer(cell):
                    cell.source = (solved | answers)[_id(cell)]
            nbformat.write(notebook, path)


def stock_scores(stock: Path, name: str, *students: str) -> dict[str, Scores]:
    """Grade with nbgrader alone, and return the scores by student."""
    run_nbgrader(stock, "autograde", name)
    return {student: scores(stock, name, student) for student in students}


def scores(course: Path, name: str, student: str) -> Scores:
    """Return the automatic points of a submission."""
    with open_gradebook(course) as gradebook:
        return {
            notebook.name: {
                grade.name: (grade.auto_score, grade.needs_manual_grade)
                for grade in notebook.grades
            }
            for notebook in gradebook.find_submission(name, student).notebooks
        }


def _is_answer(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def _id(cell: NotebookNode) -> str:
    return cell.metadata.nbgrader.grade_id


def _text(cell: NotebookNode) -> str:
    lines = cell.source.split("\n")
    return "\n".join(line for line in lines if "SOLUTION" not in line)
