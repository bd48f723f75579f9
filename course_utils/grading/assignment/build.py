"""Building the version of an assignment that students receive."""

from __future__ import annotations

from pathlib import Path

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.check import check_release
from course_utils.grading.assignment.course import (
    course_directory,
    nbgrader,
    notebooks,
    released_path,
)


def build(course: Path, assignment: str) -> list[Path]:
    """Build the version that students receive, with ``nbgrader generate_assignment``.

    The assignment has been checked before (`check_source`).

    Returns
    -------
    list of Path
        The notebooks that students receive.

    Raises
    ------
    AssignmentError
        If the version that was built has mistakes.
    """
    nbgrader(course, "generate_assignment", assignment, "--force")
    if problems := check_release(course, assignment):
        raise AssignmentError("\n".join(problems))
    names = notebooks(course_directory(course), assignment)
    return [released_path(course, assignment, name) for name in names]
