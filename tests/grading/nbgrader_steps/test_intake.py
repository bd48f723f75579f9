"""What the grader knows before it reads a submission."""

from __future__ import annotations

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.grading.nbgrader_steps import intake


def test_texts_of_a_notebook_that_cannot_be_names_of_files_are_no_names(tmp_path):
    sources = ['"""' + "Explain it. " * 100 + '"""', '"a1-q2", "my/file", "two\\nlines"']
    path = tmp_path / "a1.ipynb"
    nbformat.write(new_notebook(cells=list(map(new_code_cell, sources))), path)
    assert intake.names_in_tests(path, 0) == {"a1-q2"}
