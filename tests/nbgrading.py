"""A course in a temporary folder, and submissions to it: right ones, wrong ones, broken ones."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import nbformat
import numpy as np
from nbformat import NotebookNode

from course_utils.data import Dataset
from course_utils.evaluation import evaluate
from course_utils.grading.course import (
    BEGIN_SOLUTION,
    END_SOLUTION,
    nbgrader,
    open_gradebook,
    read_graded,
)
from course_utils.grading.scan import read_released, released_path

ASSIGNMENTS = Path(__file__).resolve().parent.parent / "assignments"
RIGHT = "right"


@dataclass(frozen=True)
class Wrong:
    """A submission with one plausible mistake; everything else in it is right.

    Attributes
    ----------
    name : str
        The mistake, in a few words with hyphens; also the student's id.
    cells : dict of str
        Answer cell's id -> what the student wrote there instead.
    artefacts : callable, optional
        Changes the handed-in files, in the folder that it is given.
    earns : dict of float
        Test's id -> the points it gets. Every other automatic test gets all of its points.
    says : dict of str
        Test's id -> a piece of the sentence that the student gets.
    needs_cifar10 : bool
        Whether the mistake is one of accuracy.
    """

    name: str
    cells: Mapping[str, str] = field(default_factory=dict)
    artefacts: Callable[[Path], None] | None = None
    earns: Mapping[str, float] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)


def make_course(folder: Path, *assignments: str) -> Path:
    """Copy the course's settings and these assignments' sources; build the release."""
    (folder / "source").mkdir(parents=True)
    shutil.copy(ASSIGNMENTS / "nbgrader_config.py", folder)
    shutil.copy(ASSIGNMENTS / "source" / "header.ipynb", folder / "source")
    for assignment in assignments:
        shutil.copytree(ASSIGNMENTS / "source" / assignment, folder / "source" / assignment)
        nbgrader(folder, "generate_assignment", assignment)
    return folder


def solved(course: Path, assignment: str, cells: Mapping[str, str] | None = None) -> NotebookNode:
    """Return the released notebook with the lecturer's answers, or others, filled in."""
    source = nbformat.read(course / "source" / assignment / f"{assignment}.ipynb", as_version=4)
    answers = {
        cell.metadata.nbgrader.grade_id: _without_markers(cell.source)
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    unknown = set(cells or {}) - set(answers)
    assert not unknown, f"{assignment} has no answer cells {unknown}"
    answers |= cells or {}
    notebook = read_released(course, assignment)
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in answers:
            cell.source = answers[grade_id]
    return notebook


def hand_in(
    course: Path,
    student: str,
    assignment: str,
    notebook: NotebookNode | None = None,
    files: bool = True,
) -> Path:
    """Put a notebook (as released, if none is given) into ``submitted``, with the files."""
    folder = course / "submitted" / student / assignment
    folder.mkdir(parents=True)
    if notebook is None:
        shutil.copy(released_path(course, assignment), folder)
    else:
        nbformat.write(notebook, folder / f"{assignment}.ipynb")
    if files:
        for path in (ASSIGNMENTS / "solutions" / assignment).glob("*"):
            shutil.copy(path, folder)
    return folder


def hand_in_wrong(course: Path, assignment: str, wrong: Wrong) -> None:
    """Hand in a submission with a mistake."""
    folder = hand_in(course, wrong.name, assignment, solved(course, assignment, wrong.cells))
    if wrong.artefacts:
        wrong.artefacts(folder)


def points(course: Path, student: str, assignment: str) -> dict[str, float | None]:
    """Return the automatic points of every graded cell."""
    with open_gradebook(course) as gradebook:
        notebook = gradebook.find_submission_notebook(assignment, assignment, student)
        return {grade.name: grade.auto_score for grade in notebook.grades}


def full_points(course: Path, assignment: str) -> dict[str, float]:
    """Return the points of every automatic test."""
    with open_gradebook(course) as gradebook:
        notebook = gradebook.find_notebook(assignment, assignment)
        answers = {cell.name for cell in notebook.solution_cells}
        return {c.name: c.max_score for c in notebook.grade_cells if c.name not in answers}


def said(course: Path, student: str, assignment: str, test: str) -> str:
    """Return all that a test cell printed, as a student reads it."""
    for cell in read_graded(course, student, assignment).cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == test:
            return "\n".join(_text(output) for output in cell.outputs)
    raise AssertionError(f"no cell {test}")


def errors(course: Path, student: str, assignment: str) -> dict[str, str]:
    """Return the errors of a graded notebook: cell's id -> the error."""
    return {
        cell.get("id", "?"): f"{output.ename}: {output.evalue}"
        for cell in read_graded(course, student, assignment).cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    }


def weaken(question: str, data: Dataset, accuracy: float) -> Callable[[Path], None]:
    """Return what lowers a handed-in network's test accuracy to a value, by noise on its weights.

    The result is within half a point of it.
    """

    def change(folder: Path) -> None:
        path = folder / f"{question}.keras"
        model = keras.models.load_model(path, compile=False)
        weights, rng = model.get_weights(), np.random.default_rng(0)
        noise = [rng.normal(size=w.shape) * w.std() for w in weights]
        low, high = 0.0, 4.0
        for _ in range(14):
            middle = (low + high) / 2
            model.set_weights([w + middle * n for w, n in zip(weights, noise)])
            reached = evaluate(model, data.x_test, data.y_test, data.class_names).accuracy
            if abs(reached - accuracy) < 0.005:
                break
            low, high = (middle, high) if reached > accuracy else (low, middle)
        assert abs(reached - accuracy) < 0.005, f"reached {reached}, wanted {accuracy}"
        model.save(path)

    return change


def edit_record(question: str, **changes) -> Callable[[Path], None]:
    """Return what changes fields of a handed-in record."""

    def change(folder: Path) -> None:
        path = folder / f"{question}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def cut_in_half(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def layer_names(path: Path) -> list[str]:
    """Return the class names of a handed-in network's layers."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return [layer["class_name"] for layer in config["config"]["layers"]]


def _without_markers(source: str) -> str:
    markers = (BEGIN_SOLUTION, END_SOLUTION)
    return "\n".join(
        line for line in source.splitlines() if not any(marker in line for marker in markers)
    )


def _text(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return output.evalue
    return output.data.get("text/html", "") + output.data.get("text/plain", "")
