"""The copy of a submission that is graded: complete, with the names that the assignment expects.

The submission itself is only read. nbgrader is given the copy, which has the chosen notebook under
the name of the assignment's, networks and records under the names that the tests ask for, texts in
UTF-8, and the time of the submission in the form that nbgrader reads rightly.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from dateutil.tz import gettz
from nbgrader.utils import parse_utc

from course_utils.grading.inside.handed_in import File
from course_utils.grading.nbgrader_steps.folder import (
    LARGE,
    LINK,
    MANY,
    OURS,
    TAKEN,
    TIMESTAMP,
    UNREADABLE,
    Contents,
    open_file,
    reserved,
    sentences,
    survey,
)
from course_utils.grading.nbgrader_steps.reading import Received, in_order
from course_utils.grading.sandbox.limits import MAX_FILES, MAX_FILES_BYTES, MAX_TIMESTAMP_BYTES
from course_utils.notebook_format import decode
from course_utils.submission.messages import AssignmentCell, ReadFile, ReadNotebook

# The system's errors for a link in the place of a file, and in that of a folder.
BECAME_A_LINK = {errno.ELOOP, errno.ENOTDIR}

# The times that nbgrader's collectors write.
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"


@dataclass(frozen=True)
class Expected:
    """What an assignment expects of a submission.

    Attributes
    ----------
    notebooks : dict of list of AssignmentCell
        Name of a notebook, without its ending -> its cells.
    given : list of Path
        The assignment's own files, which replace the student's: path in the folder.
    names : set of str
        Names of networks and records for which the tests ask, without their endings.
    """

    notebooks: dict[str, list[AssignmentCell]]
    given: list[Path]
    names: set[str]


# A function that finds the work in files: `read_submission`, without its last parameter.
Reader = Callable[[Iterable[File], Mapping[str, Iterable[AssignmentCell]], Iterable[str]], Received]


def stage(folder: Path, place: Path, expected: Expected, read: Reader) -> dict[Path, ReadNotebook]:
    """Make the copy of a submission; return its notebooks, and what is wrong with the submission.

    The sentences are for student and lecturer. A notebook is empty if it was not handed in. What
    is wrong with more than a notebook is said with the first one.

    Parameters
    ----------
    folder : Path
        The submission.
    place : Path
        Where the copy is made; what is there is removed.
    expected : Expected
    read : callable
        What finds the work in files.

    Returns
    -------
    dict of ReadNotebook
        Path of a notebook in the copy -> the notebook, and what is wrong with it.

    Raises
    ------
    InterruptedExaminationError
        If the program that reads it was ended from outside.
    OSError
        If the copy cannot be written.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    found = _survey(folder, expected)
    about_time = write_time(folder, place)
    found.files.pop(Path(TIMESTAMP), None)
    files = {
        path: File(
            path,
            path.name,
            about.st_size,
            about.st_mtime,
            partial(_read, folder, path, about.st_size),
        )
        for path, about in found.files.items()
    }
    received = read(files.values(), expected.notebooks, expected.names)
    for path in found.files:
        if path.suffix != ".ipynb":
            _copy(path, folder, place, found)

    def content(path: str, source: str) -> bytes:
        return files[Path(source)].read() if Path(source) in files else received.contents[path]

    _move(received.reply.files, content, place, expected, found)
    for record in received.reply.encoded:
        if (place / record).is_file():
            (place / record).write_bytes(received.contents[record])
    staged: dict[Path, ReadNotebook] = {}
    for name in expected.notebooks:
        notebook = received.reply.notebooks[name]
        path = place / f"{name}.ipynb"
        path.write_bytes(content(path.name, notebook.source) if notebook.source else b"")
        staged[path] = notebook
    first = next(iter(staged))
    losses = *sentences(found.left_out), about_time, *staged[first].losses, *received.reply.problems
    staged[first] = staged[first].model_copy(update={"losses": tuple(filter(None, losses))})
    return staged


def _move(
    files: Iterable[ReadFile],
    content: Callable[[str, str], bytes],
    place: Path,
    expected: Expected,
    found: Contents,
) -> None:
    """Write files of a submission to where they are expected, within the limits of a folder."""
    is_ours = reserved(expected.given, expected.notebooks)
    size = sum(status.st_size for status in found.files.values())
    for number, file in enumerate(in_order(files)):
        path, source = Path(file.path), Path(file.source)
        size += file.size
        if (
            path == Path(TIMESTAMP)
            or is_ours(path, False)
            or any(is_ours(each, True) for each in path.parents[:-1])
        ):
            found.left_out[source] = OURS
        elif size > MAX_FILES_BYTES:
            found.left_out[source] = LARGE
        elif number >= MAX_FILES:
            found.left_out[source] = MANY
        elif (place / path).is_dir() or any((place / each).is_file() for each in path.parents):
            found.left_out[source] = TAKEN
        else:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content(file.path, file.source))


def _survey(folder: Path, expected: Expected) -> Contents:
    """List a submission; a link in its place, or in that of its student, is not followed."""
    if link := _link(folder):
        return Contents(left_out={Path(link.name): LINK})
    return survey(folder, expected.given, notebooks=expected.notebooks)


def _link(folder: Path) -> Path | None:
    """Return the link that stands for a submission or for its student; None if there is none."""
    return next((place for place in (folder.parent, folder) if place.is_symlink()), None)


def _copy(path: Path, folder: Path, place: Path, found: Contents) -> None:
    """Copy a file; one that may not be read, or has become a link, is left out."""
    (place / path).parent.mkdir(parents=True, exist_ok=True)
    try:
        (place / path).write_bytes(_read(folder, path, found.files[path].st_size))
    except PermissionError:
        found.left_out[path] = UNREADABLE
    except OSError as error:
        if error.errno not in BECAME_A_LINK:
            raise
        found.left_out[path] = LINK


def _read(folder: Path, path: Path, size: int) -> bytes:
    """Read a file, and not a byte more than it had when the folder was listed: it could grow.

    The student's folder, in which the submission is, may have become a link, too.
    """
    with open_file(folder.parent, folder.name / path) as file:
        return file.read(size) or b""  # None from a pipe that somebody holds open


def write_time(folder: Path, place: Path) -> str:
    """Write the time of a submission into its copy; return a sentence if it cannot be read.

    nbgrader would take ``+0200`` for 200 seconds, and end at a text that is no time.
    """
    source = folder / TIMESTAMP
    if _link(folder) or not os.path.lexists(source) or not stat.S_ISREG(source.lstat().st_mode):
        return ""
    problem = "it is too long"
    if source.lstat().st_size <= MAX_TIMESTAMP_BYTES:
        problem = "it may not be read"
        with contextlib.suppress(Exception):  # dateutil raises many kinds
            content = _read(folder, Path(TIMESTAMP), MAX_TIMESTAMP_BYTES)
            text = decode(content)[0].strip("\0\ufeff \t\r\n")
            problem = f"it says {text!r}"
            time = _parsed(text).strftime(TIME_FORMAT)
            (place / TIMESTAMP).write_text(time, encoding="utf-8")
            return ""
    return (
        f"{TIMESTAMP} should hold the time of the submission, such as 2027-03-14 18:30:00 UTC, but "
        f"{problem}. The submission counts as one without a time, which is never late."
    )


def _parsed(text: str) -> datetime:
    """Return a time in UTC."""
    *rest, last = text.split(" ")
    if len(rest) == 2 and last[0] in "+-":
        # Only without a space, nbgrader reads these as hours and minutes.
        text = "T".join(rest) + last
    elif len(rest) == 2 and gettz(last) is None:
        raise ValueError(f"no zone is called {last}")  # nbgrader would take it for UTC
    return parse_utc(text)
