"""The folder of a course."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_notebook

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.course import course_folder, read_source


def test_unknown_assignment_names_those_that_exist(tmp_path):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(), folder / "a9.ipynb")
    with pytest.raises(AssignmentError, match="choose one of a9"):
        read_source(tmp_path, "a8")


def test_outside_a_course_one_sentence(tmp_path):
    with pytest.raises(AssignmentError, match=r"no nbgrader_config.py"):
        course_folder(tmp_path)
