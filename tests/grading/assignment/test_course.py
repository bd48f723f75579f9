"""The folder of a course."""

from __future__ import annotations

import json

import nbformat
import pytest
from nbformat.v4 import new_notebook

from course_utils.errors import AssignmentError
from course_utils.grading.assignment.course import (
    course_folder,
    overlooked,
    read_source,
    reason,
    source_repairs,
    submissions_by_student,
)


def test_unknown_assignment_names_those_that_exist(tmp_path):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(), folder / "a9.ipynb")
    with pytest.raises(AssignmentError, match="choose one of a9"):
        read_source(tmp_path, "a8")


def test_outside_a_course_one_sentence(tmp_path):
    with pytest.raises(AssignmentError, match=r"no nbgrader_config.py"):
        course_folder(tmp_path)


def test_a_source_with_slips_is_read_and_they_are_named(tmp_path):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    cell = {"cell_type": "code", "source": "x = 1", "id": "#VSC-1", "metadata": {}}
    content = json.dumps({"cells": [cell], "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
    (folder / "a9.ipynb").write_bytes(content.encode("utf-8-sig"))
    assert read_source(tmp_path, "a9").cells[0].source == "x = 1"
    assert source_repairs(tmp_path, "a9") == {
        "a9": "Repaired in its format: a byte-order mark, or UTF-16 (1), cells without "
        "execution_count (1), cells without outputs (1), invalid cell ids (1)."
    }
    nbformat.write(new_notebook(), folder / "a9.ipynb")
    assert source_repairs(tmp_path, "a9") == {}


def test_a_notebook_in_no_folder_of_a_submission_is_overlooked(tmp_path):
    for name in ("a9", "b"):
        (tmp_path / "source" / name).mkdir(parents=True)
        nbformat.write(new_notebook(), tmp_path / "source" / name / f"{name}.ipynb")
    assert overlooked(tmp_path, "a9") == []
    wrong = ["a9.ipynb", "ada/a9.ipynb", "a9/bob/a9 (1).ipynb", "cleo/A9/work.ipynb",
             "dora/a9 (1)/a9.ipynb.txt", "gil.zip"]  # fmt: skip
    right = [
        "eve/a9/a9.ipynb",
        "eve/b.zip",
        "eve/b/b.ipynb",
        "eve/other/notes.ipynb",
        "eve/._a9.ipynb",
    ]
    for path in (*wrong, *right):
        (tmp_path / "submitted" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "submitted" / path).touch()
    (tmp_path / "submitted" / "fay").symlink_to(tmp_path / "submitted" / "dora")
    assert overlooked(tmp_path, "a9") == sorted(wrong)
    (tmp_path / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        'c.CourseDirectory.directory_structure = "{assignment_id}/{nbgrader_step}/{student_id}"\n'
    )
    assert overlooked(tmp_path, "a9") == []


def test_an_error_of_nbgraders_is_one_sentence(tmp_path):
    """Removing a question after something was graded is what nbgrader refuses with a traceback."""
    said = (
        "[GenerateAssignmentApp | ERROR] Traceback (most recent call last):\n"
        '      File "savecells.py", line 36, in _create_notebook\n        raise RuntimeError(\n'
        "    RuntimeError: Cannot add or remove cells for notebook 'rm' because there are "
        "submissions associated with it\n\n[GenerateAssignmentApp | ERROR] There was an error\n"
    )
    assert reason(said).startswith("RuntimeError: Cannot add or remove cells for notebook 'rm'")
    assert "give them 0 points" in reason(said)
    assert reason("dateutil.parser.ParserError: Unknown string format: x") == (
        "dateutil.parser.ParserError: Unknown string format: x"
    )
    assert reason("use an old version\n\nnbgrader update .\n") == (
        "use an old version\n\nnbgrader update ."
    )


def test_a_student_who_handed_in_nothing_is_named_with_those_who_did(tmp_path):
    folder = tmp_path / "source" / "a9"
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(), folder / "a9.ipynb")
    with pytest.raises(AssignmentError, match=r"^Nothing was handed in for a9 in .*submitted\.$"):
        submissions_by_student(tmp_path, "a9")
    for student in ("ada", "bob", "eve"):
        (tmp_path / "submitted" / student / "a9").mkdir(parents=True)
    for asked, told in (("bobb", "Others did: bob."), ("nobody", "Others did: ada, bob, eve.")):
        with pytest.raises(AssignmentError, match=f"handed in by {asked} for a9 .* {told}$"):
            submissions_by_student(tmp_path, "a9", asked)
    (tmp_path / "nbgrader_config.py").write_text(
        'c = get_config()\nc.CourseDirectory.student_id_exclude = "eve"\n'
    )
    with pytest.raises(AssignmentError, match="student_id_exclude leaves eve out"):
        submissions_by_student(tmp_path, "a9", "eve")
