"""The step of nbgrader that has a submission examined."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors.base import NbGraderPreprocessor
from traitlets import Bool, Float, Int, default

from course_utils import env
from course_utils.grading.assignment.cells import is_test, ordinary_tests
from course_utils.grading.assignment.course import source_folder
from course_utils.grading.examine.job import Job, read_files
from course_utils.grading.examine.names import definitions, imports, module, names_in
from course_utils.grading.examine.store import PROVENANCE, load_or_examine
from course_utils.grading.nbgrader_steps.notes import add_note
from course_utils.grading.nbgrader_steps.repair import NOTHING_TO_RUN, lecturers_notebook
from course_utils.notebook_format import grade_id

# Tag of the lecturer's cells that the examiner runs before the tests.
FOR_TESTS = "for-tests"

# Factor by which the time limits grow if a submission's networks are trained again.
RETRAIN_PATIENCE = 10


class Examine(NbGraderPreprocessor):
    """Has a submission executed and its tests run, unless the result is already stored."""

    timeout = Int(180, help="Seconds for one cell, and for one test.").tag(config=True)
    total_timeout = Int(600, help="Seconds for one submission.").tag(config=True)
    retrain = Float(
        min=0, max=1, help="Fraction of the submissions whose networks are trained again."
    ).tag(config=True)
    with_my_rights = Bool(help="Run submissions without a sandbox.").tag(config=True)

    @default("retrain")
    def _retrain(self) -> float:
        return env.RETRAIN.number or 0.0

    @default("with_my_rights")
    def _with_my_rights(self) -> bool:
        return env.WITH_MY_RIGHTS.is_on

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        job = self.parent.submission.job
        if job is not None:
            examined = load_or_examine(job, Path(self.parent.parent.coursedir.root))
            nb.cells = examined.cells
            nb.metadata[PROVENANCE] = examined.provenance
            nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
            for for_student, for_lecturer in examined.notes:
                add_note(nb, for_student, for_lecturer)
        return nb, resources

    def job(self, nb: NotebookNode, resources: Any) -> Job | None:
        """Return everything that a result depends on; None if there is nothing to run."""
        if nb.metadata.get(NOTHING_TO_RUN):
            return None
        names = resources["nbgrader"]
        retrain = _is_sampled(self.retrain, names["student"], names["assignment"])
        patience = RETRAIN_PATIENCE if retrain else 1
        lecturers = self.lecturers_job(nb, resources)
        ignored = self.parent.parent.coursedir.ignore
        return replace(
            lecturers,
            cells=nb.cells,
            files=read_files(Path(resources["metadata"]["path"]), ignored) | lecturers.files,
            timeout=patience * self.timeout,
            total_timeout=patience * self.total_timeout,
            retrain=retrain,
        )

    def lecturers_job(self, nb: NotebookNode, resources: Any) -> Job:
        """Return the job of the assignment itself: without a submission.

        Parameters
        ----------
        nb : NotebookNode
            A notebook that has the tests as they were released.
        resources : dict
            What nbgrader's steps know about it.
        """
        names, converter = resources["nbgrader"], self.parent.parent
        lecturers = lecturers_notebook(self, names)
        _set_tests_as_released(lecturers, nb)
        coursedir = converter.coursedir
        given = read_files(source_folder(coursedir, names["assignment"]), coursedir.ignore)
        students = getattr(converter, "exclude_overwriting", {}).get(names["assignment"], ())
        fixed = {name: content for name, content in given.items() if name not in students}
        return Job(
            cells=[],
            given=_given_code(lecturers, fixed),
            files=fixed,
            timeout=self.timeout,
            total_timeout=self.total_timeout,
            retrain=False,
            with_my_rights=self.with_my_rights,
            lecturers=lecturers.cells,
            lecturers_files=given,
        )


def _set_tests_as_released(lecturers: NotebookNode, nb: NotebookNode) -> None:
    """Give the lecturer's tests the text that nbgrader has made of their autotests."""
    texts = {grade_id(cell): cell.source for cell in filter(is_test, nb.cells)}
    for cell in filter(is_test, lecturers.cells):
        cell.source = texts.get(grade_id(cell), cell.source)


def _given_code(source: NotebookNode, files: dict[str, bytes]) -> list[str]:
    """Return the code of the lecturer's that the tests depend on.

    These are the cells tagged for it. In an assignment with tests that return no `Grade`, they are
    also the modules that these tests use, which the lecturer imports outside an answer or hands out
    as files, and the functions and classes in cells that students cannot edit.
    """
    code = [cell for cell in source.cells if cell.cell_type == "code"]
    tagged = [cell.source for cell in code if FOR_TESTS in cell.metadata.get("tags", ())]
    ordinary = ordinary_tests(code, tagged)
    tests = [cell.source for cell in code if grade_id(cell) in ordinary]
    if not tests:
        return tagged
    others = [c for c in code if not is_test(c) and not utils.is_solution(c)]
    locked = [c.source for c in others if utils.is_locked(c)]
    imported = imports((c.source for c in others), users=[*tests, *locked])
    used = names_in("\n".join([*tests, *imported]))
    modules = [module(name, files[f"{name}.py"]) for name in sorted(used) if f"{name}.py" in files]
    return [*modules, *imported, *definitions(locked), *tagged]


def _is_sampled(fraction: float, *names: str) -> bool:
    """Tell whether a submission is in the random sample of this size."""
    # The sample depends only on the names of student and assignment, so it is always the same.
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < fraction
