"""Refusing to release what cannot be graded, and what students must not receive.

The tests of what can be graded are tried out.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.converters import GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import InstantiateTests
from nbgrader.preprocessors.base import NbGraderPreprocessor

from course_utils.errors import AssignmentError, SandboxError
from course_utils.grading.assignment.cells import give_ids, ordinary_tests
from course_utils.grading.assignment.check import problems_of_grading
from course_utils.grading.assignment.course import read_settings, read_sources, source_folder
from course_utils.grading.examine.submission import try_out
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.printable import printable


class CanBeGraded(NbGraderPreprocessor):
    """Refuses a notebook that cannot be graded, and names the tests that its own answers fail.

    It comes after nbgrader has made tests of autotests, and before it removes the answers.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        give_ids(nb)  # The cells of the header have ids.
        problems = problems_of_grading(nb)
        if problems:
            raise AssignmentError("; ".join(problems))
        job = Examine(parent=self.parent).lecturers_job(nb, resources)
        if job.lecturers_own.ordinary:
            try:
                failed = try_out(job).failed
            except SandboxError as error:
                self.log.warning("The tests were not tried out: %s", printable(str(error)))
            else:
                for sentence in sentences(failed):
                    self.log.warning(printable(sentence))
        return nb, resources


class ClearAttachments(NbGraderPreprocessor):
    """Removes pictures that the text of a cell does not show, such as those of its solution.

    It comes after nbgrader has removed solutions and mark schemes, which leaves their pictures.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        for cell in nb.cells:
            given = cell.pop("attachments", {})
            shown = {
                name: picture
                for name, picture in given.items()
                if f"attachment:{name}" in cell.source or f"attachment:{quote(name)}" in cell.source
            }
            if shown:
                cell.attachments = shown
        return nb, resources


def sentences(failed: dict[str, str]) -> list[str]:
    """Return a sentence for each test that the lecturer's answers fail."""
    return [
        f"{name}: the lecturer's own answers do not pass it: {why}" for name, why in failed.items()
    ]


def failing_tests(course: Path, assignment: str) -> list[str]:
    """Run the lecturer's notebooks; return a sentence for each test that their answers fail.

    Only notebooks with tests that return no `Grade` are run. A course's own tests grade files that
    the lecturer's notebook does not hold.

    Raises
    ------
    SandboxError
        If no sandbox is available.
    AssignmentError
        If there is no such assignment, or the cells that its tests depend on fail.
    """
    config = read_settings(course)
    coursedir = CourseDirectory(config=config)
    converter = GenerateAssignment(coursedir=coursedir, config=config)
    exporter = NotebookExporter(parent=converter, config=config)
    problems = []
    sources = read_sources(course, assignment)
    for name, source in sources.items():
        about = {"assignment": assignment, "notebook": name}
        folder = source_folder(coursedir, assignment)
        resources = {"nbgrader": about, "metadata": {"path": str(folder)}}
        if not ordinary_tests(source.cells):
            continue
        try:
            with contextlib.chdir(course):
                nb, _ = InstantiateTests(parent=exporter).preprocess(source, resources)
        except Exception as error:  # whatever the lecturer's cells raise
            problems.append(f"{assignment}: {name}: the autotests cannot be made: {error!r}")
            continue
        job = Examine(parent=exporter).lecturers_job(nb, resources)
        found = sentences(try_out(job).failed)
        place = assignment if len(sources) == 1 else f"{assignment}: {name}"
        problems += [f"{place}: {sentence}" for sentence in found]
    return problems
