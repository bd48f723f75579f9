"""A course in a temporary folder, and submissions to it: right, untouched, wrong and damaged ones.

All submissions of an assignment are graded by one call of the real nbgrader.
"""

from __future__ import annotations

import copy
import functools
import html
import importlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode
from sqlalchemy.exc import SAWarning

from course_utils import env
from course_utils.errors import AssignmentError, SandboxError
from course_utils.grading.assignment.cells import SECRETS
from course_utils.grading.assignment.check import BEGIN_SOLUTION, END_SOLUTION
from course_utils.grading.assignment.course import (
    assignments,
    nbgrader,
    read_released,
    read_settings,
    reason,
    released_path,
    source_path,
    submissions_by_student,
)
from course_utils.grading.gradebook import (
    Result,
    nbgrader_api,
    open_gradebook,
    read_graded,
    results,
)
from course_utils.grading.sandbox.bubblewrap import Sandbox
from course_utils.paths import CHECKOUT

ASSIGNMENTS = CHECKOUT / "assignments"
RIGHT, OTHER_FORMS, UNTOUCHED = "right", "right-in-other-forms", "untouched"
DAMAGED = ("no-notebook", "cut-notebook", "another-assignment", "mixed-up")


def copy_of(made: str):
    """Return a fixture: a test's own copy of the course that another fixture makes."""

    @pytest.fixture
    def course(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        return shutil.copytree(request.getfixturevalue(made), tmp_path / "course")

    return course


@functools.cache
def sandbox_is_missing() -> bool:
    """Tell whether submissions cannot be run in a sandbox here."""
    try:
        Sandbox().close()
    except SandboxError:
        return True
    return False


if sandbox_is_missing():
    # All but the hostile submissions are our own.
    os.environ[env.WITH_MY_RIGHTS.name] = "1"


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
    """

    name: str
    cells: Mapping[str, str] = field(default_factory=dict)
    artefacts: Callable[[Path], None] | None = None
    earns: Mapping[str, float] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)


def grade(
    course: Path, assignment: str, *, student: str | None = None, again: bool = False
) -> list[Result]:
    """Grade what was handed in, and write the feedback, with nbgrader as formgrader calls it."""
    for folder in submissions_by_student(course, assignment, student).values():
        complete(folder)
    autograde(course, assignment, student=student, again=again)
    write_feedback(course, assignment, student=student)
    return results(course, assignment)


def autograde(
    course: Path, assignment: str, *, student: str | None = None, again: bool = False
) -> str:
    """Do as ``nbgrader autograde`` does, without a process of its own; return nbgrader's log.

    Raises
    ------
    AssignmentError
        If nbgrader fails.
    """
    api = nbgrader_api(read_settings(course))
    return _done(api.autograde, assignment, student or "*", force=again)


def write_feedback(course: Path, assignment: str, *, student: str | None = None) -> str:
    """Do as ``nbgrader generate_feedback --force`` does; see `autograde`."""
    return _done(nbgrader_api(read_settings(course)).generate_feedback, assignment, student)


def _done(command: Callable[..., dict[str, str]], *words: str | None, **options: bool) -> str:
    with warnings.catch_warnings(action="ignore", category=SAWarning):  # nbgrader's own
        done = command(*words, **options)
    if not done["success"]:
        raise AssignmentError(reason(f"{done.get('log', '')}\n{done['error']}"))
    return done.get("log", "")


def grade_by_command(course: Path, assignment: str, *, again: bool = False) -> list[Result]:
    """Do as `grade` with nbgrader's commands: a submission could end their processes only."""
    for folder in submissions_by_student(course, assignment).values():
        complete(folder)
    nbgrader(course, "autograde", assignment, *(["--force"] if again else []))
    nbgrader(course, "generate_feedback", assignment, "--force")
    return results(course, assignment)


def complete(folder: Path) -> None:
    """Write an empty notebook if none was handed in; nbgrader skips a folder without one."""
    if not any(folder.glob("*.ipynb")):
        nbformat.write(nbformat.v4.new_notebook(), folder / f"{folder.name}.ipynb")


def new_cell(
    name: str,
    source: str,
    *,
    answer: bool = False,
    points: float | None = None,
    tags: tuple[str, ...] = (),
) -> NotebookNode:
    """Return a cell of an assignment: an answer, a test if it has points, or a locked one."""
    about = {"grade_id": name, "grade": points is not None, "solution": answer,
             "locked": not answer, "task": False, "schema_version": 3}  # fmt: skip
    about |= {"points": points} if points else {}
    metadata = {"nbgrader": about, "tags": list(tags)}
    return nbformat.v4.new_code_cell(source, metadata=metadata, id=name)


def value_cells(name: str, value: object, points: float) -> list[NotebookNode]:
    """Return a question whose answer is a value, and its hidden test."""
    answer = f"{name} = None\n### BEGIN SOLUTION\n{name} = {value!r}\n### END SOLUTION"
    test = (
        "### BEGIN HIDDEN TESTS\nfrom course_utils.grading import grade\n"
        f"grade.equal({name!r}, {name}, {value!r})\n### END HIDDEN TESTS"
    )
    return [new_cell(name, answer, answer=True), new_cell(f"{name}-test", test, points=points)]


def add_assignment(course: Path, name: str, cells: list[NotebookNode], settings: str = "") -> None:
    """Put an assignment made of cells into a course, with settings of nbgrader; release it."""
    folder = course / "source" / name
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / f"{name}.ipynb")
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text() + settings)
    release(course, name)


def release(course: Path, assignment: str) -> str:
    """Do as ``nbgrader generate_assignment`` does, without a process; return nbgrader's log.

    Raises
    ------
    AssignmentError
        If nbgrader fails.
    """
    return _done(nbgrader_api(read_settings(course)).generate_assignment, assignment)


@functools.cache
def new_gradebook() -> bytes:
    """Return the file of a gradebook in which nothing is; nbgrader takes seconds to make one."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ASSIGNMENTS / "nbgrader_config.py", folder)
        nbgrader(Path(folder), "db", "assignment", "list")
        return (Path(folder) / "gradebook.db").read_bytes()


def make_course(folder: Path, *assignments: str) -> Path:
    """Copy the course's settings and these assignments' sources; build the release."""
    (folder / "source").mkdir(parents=True)
    shutil.copy(ASSIGNMENTS / "nbgrader_config.py", folder)
    shutil.copy(ASSIGNMENTS / "source" / "header.ipynb", folder / "source")
    (folder / "gradebook.db").write_bytes(new_gradebook())
    for assignment in assignments:
        shutil.copytree(ASSIGNMENTS / "source" / assignment, folder / "source" / assignment)
        release(folder, assignment)
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


def hand_in_damaged(course: Path, assignment: str, other: str) -> tuple[str, str, str]:
    """Hand in all that is not as it should be; return what `mix_up` did."""
    (course / "submitted" / "no-notebook" / assignment).mkdir(parents=True)
    folder = hand_in(course, "cut-notebook", assignment)
    cut_in_half(folder / f"{assignment}.ipynb")
    folder = hand_in(course, "another-assignment", assignment)
    nbformat.write(as_handed_out(other), folder / f"{assignment}.ipynb")
    mixed = solved(course, assignment)
    changed = mix_up(mixed)
    folder = hand_in(course, "mixed-up", assignment, mixed)
    # Under another name, too, as a browser's second download has it.
    (folder / f"{assignment}.ipynb").rename(folder / f"{assignment} (1).ipynb")
    networks = sorted(folder.glob("*.keras"))
    cut_in_half(networks[0])
    for network in networks[1:2]:
        network.unlink()
    for network in networks[2:]:
        edit_record(network.stem, design="another")(folder)
    return changed


def as_handed_out(assignment: str) -> NotebookNode:
    """Return another assignment's notebook without solutions and hidden tests."""
    notebook = nbformat.read(source_path(ASSIGNMENTS, assignment), as_version=4)
    for cell in notebook.cells:
        cell.source = SECRETS.sub("", cell.source)
    return notebook


def mix_up(notebook: NotebookNode) -> tuple[str, str, str]:
    """Delete the first test, double the last one, give the first answer another id.

    Returns the ids of the three.
    """
    cells = notebook.cells
    tests = [cell for cell in cells if is_test(cell)]
    answer = next(cell for cell in cells if is_answer(cell))
    ids = grade_id(tests[0]), grade_id(tests[-1]), grade_id(answer)
    cells.append(copy.deepcopy(tests[-1]))
    cells.remove(tests[0])
    answer.metadata.nbgrader.grade_id = "my-own-name"
    return ids


def grade_id(cell: NotebookNode) -> str | None:
    """Return a cell's nbgrader id."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_test(cell: NotebookNode) -> bool:
    """Tell whether a cell is an automatic test."""
    about = cell.metadata.get("nbgrader", {})
    return bool(about.get("grade") and not about.get("solution"))


def is_answer(cell: NotebookNode) -> bool:
    """Tell whether a cell is an answer in code."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution")) and cell.cell_type == "code"


@dataclass
class GradedCourse:
    """A course with one assignment, after everything that was handed in was graded.

    Attributes
    ----------
    folder : Path
    assignment : str
    right : list of str
        Students whose answers are all right.
    wrong : list of Wrong
    mixed_up : tuple of str
        As `mix_up` returns it.
    results : list of Result
    """

    folder: Path
    assignment: str
    right: list[str]
    wrong: list[Wrong]
    mixed_up: tuple[str, str, str]
    results: list[Result] = field(default_factory=list)

    def grade(self) -> GradedCourse:
        """Grade as a lecturer does."""
        self.results = grade(self.folder, self.assignment)
        return self


def hand_in_everything(folder: Path, assignment: str) -> GradedCourse:
    """Make a course and hand in right, untouched, wrong and damaged submissions.

    A module of `wrong_submissions` may also name right answers in other forms: `OTHER_FORMS`.
    """
    names = assignments(ASSIGNMENTS)
    other = names[names.index(assignment) - 1]
    course = make_course(folder / "course", assignment)
    hand_in(course, RIGHT, assignment, solved(course, assignment))
    hand_in(course, UNTOUCHED, assignment, files=False)
    module = importlib.import_module(f"wrong_submissions.{assignment.replace('-', '_')}")
    right = [RIGHT]
    if other_forms := getattr(module, "OTHER_FORMS", {}):
        right.append(OTHER_FORMS)
        hand_in(course, OTHER_FORMS, assignment, solved(course, assignment, other_forms))
    wrong = module.wrong()
    for each in wrong:
        hand_in_wrong(course, assignment, each)
    mixed_up = hand_in_damaged(course, assignment, other)
    return GradedCourse(course, assignment, right, wrong, mixed_up)


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


def weaken(question: str, amount: float) -> Callable[[Path], None]:
    """Return what adds noise to a handed-in network's weights.

    The noise of a layer has the standard deviation of its weights, times `amount`; every call
    draws the same.
    """

    def weaken_it(folder: Path) -> None:
        path = folder / f"{question}.keras"
        model = keras.models.load_model(path, compile=False)
        rng = np.random.default_rng(0)
        # Not the moving averages of BatchNorm: a variance must stay positive.
        for variable in model.trainable_variables:
            weights = np.array(variable)
            noise = rng.normal(size=weights.shape) * weights.std()
            variable.assign(weights + amount * noise)
        model.save(path)

    return weaken_it


def edit_record(question: str, **changes) -> Callable[[Path], None]:
    """Return what changes fields of a handed-in record."""

    def change(folder: Path) -> None:
        path = folder / f"{question}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def cut_in_half(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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
    return html.unescape(output.data.get("text/html", "")) + output.data.get("text/plain", "")
