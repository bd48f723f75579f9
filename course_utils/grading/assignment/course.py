"""The folder of an nbgrader course: its assignments, its submissions and its commands."""

from __future__ import annotations

import contextlib
import difflib
import glob
import os
import re
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from course_utils.errors import AssignmentError, NotebookError
from course_utils.grading.assignment.cells import give_ids
from course_utils.notebook_format import Repairs, folded, notebook_stem, read_file

CONFIG = "nbgrader_config.py"

# The last line of a traceback, and the error that nbgrader itself raises at the end of its log.
ERROR = re.compile(r"[\w.]+: |\s*[\w.]+(Error|Exception|Entry)(: |$)")
AT_THE_END = "Please see the the above traceback"

# nbgrader's error if an assignment has other cells than the gradebook, and what can be done.
ADDED_OR_REMOVED = "Cannot add or remove cells"
ADVICE = (
    "To leave out a question, put its cells back and give them 0 points. To add one, make a new "
    "assignment of it, or start again with `nbgrader db assignment remove NAME --force`, which "
    "deletes all points and comments of the assignment."
)

# Characters that nbgrader, or the address of a database, reads as a pattern or as a query.
PATTERNS = "*?[]"


def course_directory(course: Path) -> CourseDirectory:
    """Return nbgrader's description of a course: its folders, its gradebook, its other settings.

    Raises
    ------
    AssignmentError
        If the name of the course's folder has characters that nbgrader cannot deal with.
    """
    return CourseDirectory(config=read_settings(course))


def read_settings(course: Path) -> Config:
    """Return the settings of ``nbgrader_config.py``.

    Raises
    ------
    AssignmentError
        See `course_directory`.
    """
    check_name(course)
    has_any = (course / CONFIG).is_file()
    config = PyFileConfigLoader(CONFIG, path=str(course)).load_config() if has_any else Config()
    config.CourseDirectory.setdefault("root", str(course.resolve()))
    return config


def check_name(course: Path) -> None:
    """Refuse a course in a folder with whose name nbgrader would find nothing.

    Raises
    ------
    AssignmentError
        If the name of the folder, or of one above it, has such characters.
    """
    place = str(course.resolve())
    if any(character in place for character in PATTERNS):
        raise AssignmentError(
            f"Rename the folder of the course without any of the characters {' '.join(PATTERNS)}, "
            f"which nbgrader takes for patterns: it is {place}."
        )


def submissions_by_student(
    course: Path, assignment: str, student: str | None = None
) -> dict[str, Path]:
    """Return the folder of each student's submission.

    Students whom nbgrader's setting ``student_id_exclude`` names are left out.

    Raises
    ------
    AssignmentError
        If there are none.
    """
    read_source(course, assignment)
    coursedir = course_directory(course)
    step = coursedir.submitted_directory
    pattern = coursedir.format_path(step, "*", glob.escape(assignment))
    found = {names_of(coursedir, step, place)[0]: Path(place) for place in glob.glob(pattern)}
    left_out = coursedir.student_id_exclude.split(",")
    kept = {
        name: found[name]
        for name in sorted(found)
        if student in (None, name) and name not in left_out
    }
    if not kept:
        place = Path(coursedir.root, step)
        if student in left_out:
            raise AssignmentError(f"The setting student_id_exclude leaves {student} out.")
        by = f" by {student}" if student else ""
        also = difflib.get_close_matches(student or "", found) or sorted(found)[:3]
        others = f" Others did: {', '.join(also)}." if student and found else ""
        raise AssignmentError(f"Nothing was handed in{by} for {assignment} in {place}.{others}")
    return kept


def overlooked(course: Path, assignment: str) -> list[str]:
    """Return where notebooks of an assignment seem to be that are in no folder of a submission.

    Learning platforms and people leave out the folder of the assignment, give it another name, or
    put the folders of the students into it. An archive beside those folders is not opened.

    Returns
    -------
    list of str
        Paths in the folder of the submissions; empty if the course keeps them in another order.
    """
    coursedir = course_directory(course)
    pattern = Path(coursedir.format_path(coursedir.submitted_directory, "*", "*"))
    if pattern.parts[-2:] != ("*", "*"):
        return []
    submitted, known = pattern.parent.parent, set(assignments(course))
    paths = _inside(submitted)
    for student in list(paths):
        for place in _inside(student):
            in_order = place.name in known and student.name not in known
            paths += [place] if in_order else [place, *_inside(place)]
    names = [folded(name) for name in (assignment, *notebooks(coursedir, assignment))]
    archives = [path for path in _inside(submitted) if path.suffix.lower() == ".zip"]
    found = [
        path
        for path in paths
        if (stem := notebook_stem(path)) is not None
        and path.is_file()
        and any(name in folded(f"{path.parent.name}/{stem}") for name in names)
    ]
    return sorted(str(path.relative_to(submitted)) for path in (*found, *archives))


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder, without links; nothing if it is none or may not be read."""
    with contextlib.suppress(OSError):
        return sorted(path for path in folder.iterdir() if not path.is_symlink())
    return []


def names_of(coursedir: CourseDirectory, step: str, folder: str) -> tuple[str, str]:
    """Return student and assignment of a submission's folder, wherever the course keeps it."""
    pattern = coursedir.format_path(step, "(?P<student>.*)", "(?P<assignment>.*)", escape=True)
    found = re.fullmatch(pattern, folder)
    assert found, f"{folder} is no folder of {pattern}"
    return found["student"], found["assignment"]


def nbgrader(course: Path, *arguments: str, **environment: str) -> str:
    """Run an nbgrader command in the course's folder and return its output.

    Raises
    ------
    AssignmentError
        If the command fails; the message contains its error.
    """
    # nbgrader calls alembic by name, and alembic is installed beside this Python.
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        # Without -P, a file of the course such as `random.py` would be imported for Python's own.
        [sys.executable, "-P", "-m", "nbgrader", *arguments],
        cwd=course,
        env=os.environ | {"PATH": programs} | environment,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise AssignmentError(f"nbgrader {' '.join(arguments)} failed: {reason(said)}")
    return said


def errors_in(said: str) -> list[str]:
    """Return the last line of each traceback in what nbgrader printed or logged."""
    lines = [line.strip() for line in said.splitlines() if ERROR.match(line)]
    return [line for line in lines if AT_THE_END not in line]


def reason(said: str) -> str:
    """Return why nbgrader failed: its error with advice, or else the last lines that it printed."""
    errors = errors_in(said)
    if not errors:
        return "\n".join(said.strip().splitlines()[-12:])
    return f"{errors[-1]}. {ADVICE}" if ADDED_OR_REMOVED in errors[-1] else errors[-1]


def course_folder(start: Path | None = None) -> Path:
    """Return the folder of the nbgrader course: the current one, or ``assignments`` in it.

    Raises
    ------
    AssignmentError
        If neither has an ``nbgrader_config.py``.
    """
    start = start or Path.cwd()
    for folder in (start, start / "assignments"):
        if (folder / CONFIG).is_file():
            return folder
    raise AssignmentError(
        f"There is no {CONFIG} here or in ./assignments: change to the folder of the course."
    )


def assignments(course: Path) -> list[str]:
    """Return the names of all assignments, in order.

    Raises
    ------
    AssignmentError
        If there are none.
    """
    coursedir = course_directory(course)
    step = coursedir.source_directory
    pattern = os.path.join(coursedir.format_path(step, ".", "*"), "*.ipynb")
    folders = {os.path.dirname(path) for path in glob.glob(pattern)}
    if not folders:
        raise AssignmentError(f"There is no assignment in {Path(coursedir.root, step)}.")
    return sorted(names_of(coursedir, step, folder)[1] for folder in folders)


def source_folder(coursedir: CourseDirectory, assignment: str) -> Path:
    """Return the folder of the lecturer's notebooks, and other files, of an assignment."""
    return Path(coursedir.format_path(coursedir.source_directory, ".", assignment))


def notebooks(coursedir: CourseDirectory, assignment: str) -> list[str]:
    """Return the names of an assignment's notebooks, without their ending, in order."""
    folder = source_folder(coursedir, assignment)
    return sorted(path.stem for path in folder.glob("*.ipynb") if not path.name.startswith("."))


def read_sources(course: Path, assignment: str) -> dict[str, NotebookNode]:
    """Read the lecturer's notebooks of an assignment.

    Returns
    -------
    dict of NotebookNode
        Name of a notebook -> the notebook, in order.

    Raises
    ------
    AssignmentError
        If there is no such assignment, or one of its notebooks cannot be read.
    """
    coursedir = course_directory(course)
    names = notebooks(coursedir, assignment)
    if not names:
        known = ", ".join(assignments(course))
        raise AssignmentError(f"There is no assignment {assignment!r}: choose one of {known}.")
    folder = source_folder(coursedir, assignment)
    return {name: read_lecturers_notebook(folder / f"{name}.ipynb") for name in names}


def read_source(course: Path, assignment: str) -> NotebookNode:
    """Read the lecturer's only or first notebook of an assignment.

    Raises
    ------
    AssignmentError
        As for `read_sources`.
    """
    return next(iter(read_sources(course, assignment).values()))


def read_lecturers_notebook(path: Path) -> NotebookNode:
    """Read a notebook of the lecturer's; each of its cells has an id.

    Raises
    ------
    AssignmentError
        If it cannot be read.
    """
    return _read(path)[0]


def source_repairs(course: Path, assignment: str) -> dict[str, str]:
    """Return what is wrong with the form of the lecturer's notebooks: name -> sentences.

    Grading reads such a notebook, but ``nbgrader generate_assignment`` may refuse it.

    Raises
    ------
    AssignmentError
        If one of them cannot be read.
    """
    coursedir = course_directory(course)
    folder = source_folder(coursedir, assignment)
    names = notebooks(coursedir, assignment)
    repairs = {name: str(_read(folder / f"{name}.ipynb")[1]) for name in names}
    return {name: sentences for name, sentences in repairs.items() if sentences}


def _read(path: Path) -> tuple[NotebookNode, Repairs]:
    try:
        notebook, repairs = read_file(path)
    except NotebookError as error:
        raise AssignmentError(str(error)) from error
    give_ids(notebook)
    return notebook, repairs


def source_path(course: Path, assignment: str) -> Path:
    """Return the path of the lecturer's notebook that is named like its assignment."""
    return source_folder(course_directory(course), assignment) / f"{assignment}.ipynb"


def released_path(course: Path, assignment: str, notebook: str | None = None) -> Path:
    """Return the path at which nbgrader writes a notebook that students receive.

    Without a name, it is the notebook that is named like its assignment.
    """
    coursedir = course_directory(course)
    folder = coursedir.format_path(coursedir.release_directory, ".", assignment)
    return Path(folder) / f"{notebook or assignment}.ipynb"


def read_released(course: Path, assignment: str, notebook: str | None = None) -> NotebookNode:
    """Read a notebook that students receive; see `released_path`."""
    return read_file(released_path(course, assignment, notebook))[0]
