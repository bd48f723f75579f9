"""Building the version of an assignment that students receive."""

from __future__ import annotations

from pathlib import Path

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.check import check
from course_utils.grading.assignment.course import (
    course_directory,
    nbgrader,
    notebooks,
    released_path,
)


def build(course: Path, assignment: str) -> list[Path]:
    """Build the version that students receive, with ``nbgrader generate_assignment``.

    Returns
    -------
    list of Path
        The notebooks that students receive.

    Raises
    ------
    AssignmentError
        If the assignment has mistakes, or the version that was built has.
    """
    _raise_for(check(course, assignment))
    nbgrader(course, "generate_assignment", assignment, "--force")
    _raise_for(check(course, assignment))
    names = notebooks(course_directory(course), assignment)
    return [released_path(course, assignment, name) for name in names]


def _raise_for(problems: list[str]) -> None:
    if problems:
        raise AssignmentError("\n".join(problems))
