"""The database of nbgrader's gradebook: opened, checked, and its errors said in a sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import Base, Gradebook, MissingEntry
from nbgrader.api import Notebook as SourceNotebook
from nbgrader.coursedir import CourseDirectory
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import DatabaseError

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.cells import has_autotest
from course_utils.grading.assignment.course import course_directory, read_sources
from course_utils.grading.assignment.questions import test_name
from course_utils.notebook_format import grade_id

# Advice about errors of the database: part of the error -> advice.
ADVICE = {
    "locked": "Close the program that is writing to the gradebook, such as formgrader or another "
    "call of nbgrader, and call this command again: it waited, and the gradebook is still in use. "
    "If no other program uses it, move the gradebook to a local disk: some network drives have no "
    "locks.",
    "locking protocol": "Move the gradebook to a local disk: this network drive has no locks.",
    "readonly": "Ask the owner of the gradebook for the right to write it, or grade as its owner: "
    "you may only read it.",
    "unable to open": "Check the address of the gradebook and your rights to its folder: it cannot "
    "be opened.",
    "not a database": "Restore the gradebook from a backup, or move it away and release the "
    "assignments again: it is damaged, or no database.",
    "malformed": "Restore the gradebook from a backup: it is damaged.",
    "no such": "Copy the gradebook, and then call `nbgrader db upgrade`: it was made by another "
    "version of nbgrader.",
    "does not exist": "Create the database, or call `nbgrader db upgrade` if another version of "
    "nbgrader made it: something in it is missing.",
    "disk is full": "Free some space on the disk of the gradebook: it is full.",
    "disk i/o": "Free some space, and check the disk of the gradebook: it cannot be written.",
}
OTHER_ADVICE = (
    "Check that the gradebook's database is running and may be used: it reports an error."
)


@contextlib.contextmanager
def open_gradebook(course: Path) -> Iterator[Gradebook]:
    """Open the gradebook that ``nbgrader_config.py`` names.

    Raises
    ------
    AssignmentError
        If there is none, or the database cannot be used.
    """
    coursedir = course_directory(course)
    with said_in_a_sentence(coursedir):
        _require(coursedir)
        with Gradebook(coursedir.db_url, coursedir.course_id) as gradebook:
            yield gradebook


def _require(coursedir: CourseDirectory) -> None:
    """Refuse a database that is a missing file: nbgrader would make an empty one."""
    if path := _missing_file(coursedir):
        raise AssignmentError(
            "Release an assignment first, for example with `course assignment build NAME`, or "
            f"correct the address of the gradebook: there is no {path}."
        )


def has_gradebook(course: Path) -> bool:
    """Tell whether the gradebook's database exists, or is on a server."""
    return not _missing_file(course_directory(course))


def _missing_file(coursedir: CourseDirectory) -> str:
    """Return the path of a database that is a file and does not exist; empty otherwise."""
    url = make_url(coursedir.db_url)
    path = url.database if url.get_backend_name() == "sqlite" else None
    return path if path and not Path(path).is_file() else ""


@contextlib.contextmanager
def said_in_a_sentence(coursedir: CourseDirectory) -> Iterator[None]:
    """Turn the errors of the gradebook's database into one sentence, the advice first.

    Raises
    ------
    AssignmentError
        For every error of the database in the block.
    """
    try:
        yield
    except DatabaseError as error:
        raise AssignmentError(advice_on(str(error.orig or error), coursedir)) from error


def advice_on(said: str, coursedir: CourseDirectory) -> str:
    """Return a sentence about an error of the gradebook's database, the advice first.

    Parameters
    ----------
    said : str
        What the database says.
    coursedir : CourseDirectory
    """
    where = make_url(coursedir.db_url).render_as_string()
    advice = next((text for part, text in ADVICE.items() if part in said.lower()), OTHER_ADVICE)
    return f"{advice} (Gradebook: {where}. It says: {said.strip().splitlines()[0]}.)"


def check_gradebook(course: Path) -> None:
    """Try to write to the gradebook and to read every table, before anything is graded.

    Raises
    ------
    AssignmentError
        If that is not possible.
    """
    with open_gradebook(course) as gradebook:
        if gradebook.engine.name == "sqlite":
            gradebook.db.execute(text("BEGIN IMMEDIATE"))
        for table in Base.metadata.sorted_tables:
            gradebook.db.execute(select(table).limit(1))
        gradebook.db.rollback()


def differences_from_release(course: Path, assignment: str) -> list[str]:
    """Return ids of cells whose tests, texts or points were changed after the release.

    Submissions are graded by what the gradebook knows: the version that was released. Answers do
    not count, because their solutions are in the source only, and neither do automatic tests of
    nbgrader, which are written at the release.
    """
    differences = []
    with open_gradebook(course) as gradebook:
        for name, source in read_sources(course, assignment).items():
            with contextlib.suppress(MissingEntry):
                released = gradebook.find_notebook(name, assignment)
                found = _differences(source, released)
                differences += [test_name(assignment, name, cell) for cell in found]
    return differences


def _differences(source: NotebookNode, notebook: SourceNotebook) -> list[str]:
    """Return ids of cells that are not in a notebook as they were released."""
    with_points = [*notebook.grade_cells, *notebook.task_cells]
    points = {cell.name: cell.max_score for cell in with_points}
    released = {
        cell.name: (cell.source.strip() if cell.locked else None, points.get(cell.name))
        for cell in notebook.source_cells
    }
    cells = {name: cell for cell in source.cells if (name := grade_id(cell))}
    written = {
        name: (
            cell.source.strip() if utils.is_locked(cell) else None,
            float(cell.metadata.nbgrader["points"]) if _has_points(cell) else None,
        )
        for name, cell in cells.items()
    }
    generated = {name for name, cell in cells.items() if has_autotest(cell)}
    return [
        name
        for name in dict.fromkeys([*written, *released])
        if name not in generated and written.get(name) != released.get(name)
    ]


def _has_points(cell: NotebookNode) -> bool:
    return utils.is_grade(cell) or utils.is_task(cell)
