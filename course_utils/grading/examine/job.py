"""The input and the result of an examination."""

from __future__ import annotations

import fnmatch
import functools
import os
import stat
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_utils import env
from course_utils.data.catalogue import SPECS
from course_utils.data.ladder import load
from course_utils.fingerprint import digest, digest_of_json, digest_of_library
from course_utils.grading.assignment.cells import ordinary_tests
from course_utils.runtime import versions

# Key of the provenance for the tests whose results the notebook could have changed.
LIVE = "live_tests"
# Key of the provenance for the tests that the lecturer's own answers do not pass.
FAILED = "failed_by_the_lecturer"


@dataclass(frozen=True)
class Job:
    """Everything that a submission's result depends on; any machine can examine it.

    Attributes
    ----------
    cells : list of NotebookNode
        Cells of the student's notebook, repaired.
    given : list of str
        Sources of the lecturer's cells that the tests depend on.
    files : dict of bytes
        Files that were handed in beside the notebook: path in the folder -> content.
    timeout, total_timeout : int
        Time limits in seconds: for one cell or one test, and for the whole submission.
    retrain : bool
        Whether the networks are trained again for comparison.
    with_my_rights : bool
        Whether the submission runs with the lecturer's rights, without a sandbox.
    lecturers : list of NotebookNode
        Cells of the lecturer's notebook. They are run once on each machine, without any submission:
        its cache then holds what their tests compute, and it is known which tests need the
        notebook's own process.
    lecturers_files : dict of bytes
        The assignment's own files, as in `files`.
    """

    cells: list[NotebookNode]
    given: list[str]
    files: dict[str, bytes]
    timeout: int
    total_timeout: int
    retrain: bool
    with_my_rights: bool = field(default_factory=lambda: env.WITH_MY_RIGHTS.is_on)
    lecturers: list[NotebookNode] = field(default_factory=list)
    lecturers_files: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def ordinary(self) -> set[str]:
        """The ids of the tests that return no `Grade`, and earn points by nbgrader's rule."""
        return ordinary_tests(self.cells, self.given)

    @property
    def lecturers_own(self) -> Job:
        """The job of the lecturer's notebook."""
        return replace(
            self,
            cells=self.lecturers,
            files=self.lecturers_files,
            retrain=False,
            lecturers=[],
            lecturers_files={},
        )

    @cached_property
    def digest(self) -> str:
        """The job's name: 64 hexadecimal digits that change if anything in the job changes."""
        return digest_of_json(self.provenance())

    @cached_property
    def content(self) -> dict[str, Any]:
        """Digests of everything that was handed in, and of the settings."""
        settings = [self.given, self.timeout, self.total_timeout, self.retrain, self.with_my_rights]
        return {
            "notebook": digest_of_cells(self.cells),
            "settings": digest_of_json(settings),
            "lecturer": digest_of_json(self._deciding),
            "files": {name: digest(content) for name, content in sorted(self.files.items())},
        }

    @property
    def _deciding(self) -> list[str]:
        """The texts of the lecturer's cells, if they decide where tests run."""
        return [cell.source for cell in self.lecturers] if self.ordinary else []

    def provenance(self) -> dict[str, Any]:
        """Return digests and versions of everything that the submission's score depends on.

        Data, grader and versions are those of the machine on which this is called.
        """
        return self.content | {
            "data": data_digests(),
            "grader": digest_of_grader(),
            "versions": versions(),
        }


@dataclass(frozen=True)
class Trial:
    """What became of the tests in the lecturer's own notebook.

    Attributes
    ----------
    live : list of str
        Ids of the tests that need the notebook's own process. They run there for every student, so
        no submission can choose the way of a test.
    failed : dict of str
        Id of a test that the lecturer's own answers do not pass -> what it says.
    """

    live: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Examined:
    """The result of examining a submission.

    Attributes
    ----------
    cells : list of NotebookNode
        Cells with their outputs; the outputs of tests come from the examiner.
    notes : list of tuple
        Problems, each as a sentence for the student and one for the lecturer.
    provenance : dict
        Result of `Job.provenance`, and lists of tests under `LIVE` and `FAILED`.
    """

    cells: list[NotebookNode]
    notes: list[tuple[str, str]]
    provenance: dict[str, Any]


def digest_of_cells(cells: list[NotebookNode]) -> str:
    """Return a digest of all that a result shows of the submitted cells, such as attached pictures.

    Outputs are made anew, and a cell may get another id whenever the notebook is read.
    """
    left_out = {"id", "outputs", "execution_count"}
    return digest_of_json([{k: v for k, v in cell.items() if k not in left_out} for cell in cells])


@functools.cache
def data_digests() -> dict[str, str]:
    """Return a digest of each data set's content, as it is found on this machine."""
    return {name: load(spec, None, None).source.fingerprint for name, spec in SPECS.items()}


@functools.cache
def digest_of_grader() -> str:
    """Return a digest of this library, without the records of runs."""
    return digest_of_library()


def read_files(folder: Path, ignored: list[str]) -> dict[str, bytes]:
    """Read a submission's files except notebooks, which may contain the hidden tests.

    Parameters
    ----------
    folder : Path
    ignored : list of str
        nbgrader's patterns of file names to ignore.

    Returns
    -------
    dict of bytes
        Path in the folder -> content.
    """
    return {
        str(path): (folder / path).read_bytes()
        for path in plain_files(folder, [*ignored, "*.ipynb"])
        if path.name != "timestamp.txt"
    }


def plain_files(folder: Path, ignored: list[str]) -> list[Path]:
    """Return the paths in a folder of its regular files, in order: no links, pipes or devices.

    Files whose name, or the name of a folder above them, matches a pattern are left out.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_ignored(name, ignored)]
        found += [
            (Path(place) / name).relative_to(folder)
            for name in names
            if not _is_ignored(name, ignored) and stat.S_ISREG((Path(place) / name).lstat().st_mode)
        ]
    return sorted(found)


def _is_ignored(name: str, patterns: list[str]) -> bool:
    """Tell whether nbgrader ignores a name; as in a shell, ``*`` matches no dot at the start."""
    return any(
        fnmatch.fnmatch(name, pattern)
        for pattern in patterns
        if pattern.startswith(".") or not name.startswith(".")
    )
