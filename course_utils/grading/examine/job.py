"""What is examined, and what comes of it."""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader import utils

from course_utils import env
from course_utils.data.catalogue import SPECS
from course_utils.data.ladder import load
from course_utils.fingerprint import digest, digest_of_json, digest_of_library
from course_utils.grading.sandbox.limits import MAX_FILES_BYTES
from course_utils.runtime import versions
from course_utils.submission.contract import PREDICTIONS_FOLDER


@dataclass(frozen=True)
class Job:
    """All that a submission's result depends on; any machine can do it.

    Attributes
    ----------
    cells : list of NotebookNode
        Of the student's notebook, put right.
    given : list of str
        The lecturer's cells that the tests stand on.
    files : dict of bytes
        What was handed in beside the notebook: name in the folder -> content.
    timeout, total_timeout : int
        Seconds for one cell, or one test; and for all.
    retrain : bool
        Whether the networks are trained again, for comparison.
    with_my_rights : bool
        Whether it runs with the lecturer's rights, without a sandbox.
    """

    cells: list[NotebookNode]
    given: list[str]
    files: dict[str, bytes]
    timeout: int
    total_timeout: int
    retrain: bool
    with_my_rights: bool = field(default_factory=lambda: env.WITH_MY_RIGHTS.is_on)

    @cached_property
    def digest(self) -> str:
        """The job's name: 64 hexadecimal digits, different if anything in the job is different."""
        return digest_of_json(self.provenance())

    def provenance(self) -> dict[str, Any]:
        """Return digests and versions of everything that a score of this submission depends on."""
        cells = [[cell.cell_type, cell.source, cell.metadata] for cell in self.cells]
        settings = [self.given, self.timeout, self.total_timeout, self.retrain, self.with_my_rights]
        return {
            "notebook": digest_of_json(cells),
            "settings": digest_of_json(settings),
            "files": {name: digest(content) for name, content in sorted(self.files.items())},
            "data": data_digests(),
            "grader": _digest_of_grader(),
            "versions": versions(),
        }


@dataclass(frozen=True)
class Examined:
    """A submission whose tests were carried out.

    Attributes
    ----------
    cells : list of NotebookNode
        With their outputs; those of the tests are the examiner's.
    notes : list of tuple
        What went wrong: a sentence for the student, one for the lecturer.
    provenance : dict
        From `Job.provenance`.
    """

    cells: list[NotebookNode]
    notes: list[tuple[str, str]]
    provenance: dict[str, Any]


@functools.cache
def data_digests() -> dict[str, str]:
    """Return a digest of the content of each data set that is found here."""
    return {name: load(spec, None, None).source.fingerprint for name, spec in SPECS.items()}


@functools.cache
def _digest_of_grader() -> str:
    return digest_of_library()


def read_files(folder: Path, ignored: list[str]) -> tuple[dict[str, bytes], list[str]]:
    """Read a submission's files, without notebooks (they may hold the hidden tests).

    Parameters
    ----------
    folder : Path
    ignored : list of str
        nbgrader's patterns of names that it leaves out.

    Returns
    -------
    files : dict of bytes
        Name in the folder -> content.
    too_large : list of str
        The names of those that are not read: a sandbox has no room for them.
    """
    kept = set(utils.find_all_files(str(folder), [*ignored, "*.ipynb"]))
    paths = [
        path
        for path in plain_files(folder)
        if str(path) in kept and path.name not in ("timestamp.txt", PREDICTIONS_FOLDER)
    ]
    files, too_large, size = {}, [], 0
    for path in sorted(paths, key=lambda path: (path.stat().st_size, path)):
        name = str(path.relative_to(folder))
        size += path.stat().st_size
        if size <= MAX_FILES_BYTES:
            files[name] = path.read_bytes()
        else:
            too_large.append(name)
    return files, too_large


def plain_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are neither links nor devices, in order."""
    return sorted(
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if stat.S_ISREG((Path(place) / name).lstat().st_mode)
    )
