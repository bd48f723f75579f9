"""The copy of a submission that is graded: complete, with the names that the assignment expects.

The submission itself is only read. nbgrader is given the copy, which has the chosen notebook under
the name of the assignment's, networks and records under the names that the tests ask for, texts in
UTF-8, and the time of the submission in the form that nbgrader reads rightly.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dateutil.tz import gettz
from nbformat import NotebookNode
from nbformat.v4 import new_notebook
from nbgrader.utils import parse_utc

from course_utils.grading.nbgrader_steps.folder import (
    LARGE,
    LINK,
    MANY,
    OURS,
    TIMESTAMP,
    UNREADABLE,
    Contents,
    reserved,
    sentences,
    survey,
)
from course_utils.grading.nbgrader_steps.handed_in import (
    Choice,
    File,
    HandedIn,
    Reader,
    find_files,
    find_notebook,
)
from course_utils.grading.nbgrader_steps.notes import listed
from course_utils.grading.sandbox.limits import MAX_FILES, MAX_FILES_BYTES, MAX_TIMESTAMP_BYTES
from course_utils.notebook_format import GUESSED, Repairs, decode
from course_utils.submission.contract import MAX_JSON_BYTES

# The times that nbgrader's collectors write.
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"


@dataclass(frozen=True)
class Expected:
    """What an assignment expects of a submission.

    Attributes
    ----------
    notebooks : list of str
        Names of its notebooks, without their ending.
    given : list of Path
        The assignment's own files, which replace the student's: path in the folder.
    released : callable
        Returns the answers in a notebook of this name as they were released: id -> text.
    names : set of str
        Names of networks and records for which the tests ask, without their endings.
    """

    notebooks: list[str]
    given: list[Path]
    released: Callable[[str], Mapping[str, str]]
    names: set[str]


def stage(
    folder: Path, place: Path, expected: Expected, read: Reader
) -> dict[Path, tuple[NotebookNode, Repairs]]:
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
        What reads a notebook: content and name -> the notebook, and what is wrong with it.

    Returns
    -------
    dict of tuple
        Path of a notebook in the copy -> the notebook, and what is wrong with it.

    Raises
    ------
    OSError
        If the copy cannot be written.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    found = _survey(folder, expected)
    about_time = write_time(folder, place)
    found.files.pop(Path(TIMESTAMP), None)
    handed_in = HandedIn(folder, found.files)
    chosen = _find_all(handed_in, expected, read)
    beside = [choice.file.path.parent for choice in chosen.values() if choice.file]
    moved, about_files = find_files(handed_in, expected.names, beside)
    for path in found.files:
        if path.suffix != ".ipynb":
            _copy(path, folder, place, found)
    _move(moved, place, expected, found)
    encodings = [_in_utf_8(place / f"{name}.json") for name in sorted(expected.names)]
    about_files = [*handed_in.problems, *about_files, *encodings]
    about_all = [*sentences(found.left_out), about_time], about_files
    staged: dict[Path, tuple[NotebookNode, Repairs]] = {}
    for name, choice in chosen.items():
        path = place / f"{name}.ipynb"
        content = choice.file.read() if choice.file else b""
        path.write_bytes(content)
        notebook, repairs = read(content, path.name) if choice.file else (new_notebook(), Repairs())
        before, after = ([], []) if staged else about_all
        repairs.losses[:0] = filter(None, [*before, *choice.sentences, *after])
        staged[path] = notebook, repairs
    return staged


def _move(moved: dict[Path, File], place: Path, expected: Expected, found: Contents) -> None:
    """Write files of a submission to where they are expected, within the limits of a folder."""
    is_ours = reserved(expected.given, expected.notebooks)
    size = sum(status.st_size for status in found.files.values())
    # Networks and records come first.
    in_order = sorted(moved.items(), key=lambda each: each[0].suffix not in (".keras", ".json"))
    for number, (path, other) in enumerate(in_order):
        size += other.size
        if (
            path == Path(TIMESTAMP)
            or is_ours(path, False)
            or any(is_ours(each, True) for each in path.parents[:-1])
        ):
            found.left_out[other.path] = OURS
        elif size > MAX_FILES_BYTES:
            found.left_out[other.path] = LARGE
        elif number >= MAX_FILES:
            found.left_out[other.path] = MANY
        else:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(other.read())


def _find_all(handed_in: HandedIn, expected: Expected, read: Reader) -> dict[str, Choice]:
    """Choose the file of each of the assignment's notebooks; no file is chosen for two.

    If a file could be two of them, it is the one of which it has more cells.
    """
    chosen = {name: _find(handed_in, name, expected, read) for name in expected.notebooks}
    graded_as: dict[Path, str] = {}
    for name in sorted(chosen, key=lambda name: chosen[name].cells, reverse=True):
        if file := chosen[name].file:
            graded_as.setdefault(file.path, name)
    for name, choice in chosen.items():
        if choice.file and (other := graded_as[choice.file.path]) != name:
            chosen[name] = again = _find(handed_in, name, expected, read, graded_as)
            path = listed([str(choice.file.path)])
            again.sentences.append(
                f"{path} was graded as {other}.ipynb: no file counts for two notebooks."
            )
            if again.file:
                graded_as[again.file.path] = name
    return chosen


def _find(
    handed_in: HandedIn,
    name: str,
    expected: Expected,
    read: Reader,
    taken: Collection[Path] = (),
) -> Choice:
    """Choose the file of one of the assignment's notebooks."""
    return find_notebook(
        handed_in,
        f"{name}.ipynb",
        lambda: expected.released(name),
        read,
        [f"{other}.ipynb" for other in expected.notebooks if other != name],
        taken,
    )


def _survey(folder: Path, expected: Expected) -> Contents:
    """List a submission; a link in its place, or in that of its student, is not followed."""
    if link := _link(folder):
        return Contents(left_out={Path(link.name): LINK})
    return survey(folder, expected.given, notebooks=expected.notebooks)


def _link(folder: Path) -> Path | None:
    """Return the link that stands for a submission or for its student; None if there is none."""
    return next((place for place in (folder.parent, folder) if place.is_symlink()), None)


def _copy(path: Path, folder: Path, place: Path, found: Contents) -> None:
    """Copy a file; if it may not be read, it is left out."""
    (place / path).parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(folder / path, place / path)
    except PermissionError:
        found.left_out[path] = UNREADABLE


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
            text = decode(source.read_bytes())[0].strip("\0\ufeff \t\r\n")
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


def _in_utf_8(path: Path) -> str:
    """Write a JSON file in UTF-8 if it is in another encoding; return a sentence about a guess."""
    if not path.is_file() or path.stat().st_size > MAX_JSON_BYTES:
        return ""
    content = path.read_bytes()
    text, guessed = decode(content)
    encoded = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    if encoded == content:
        return ""
    path.write_bytes(encoded)
    return f"{path.name}: {GUESSED.format(guessed)}" if guessed else ""
