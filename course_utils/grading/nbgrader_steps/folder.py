"""The folder that a student hands in, made safe before anything else lists, copies or reads it.

nbgrader follows links, waits for pipes, lists a folder anew for each file in it, and fails at paths
that are too long and at folders in the place of files. Everything that could do so is left out, and
lecturer and student are told.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from course_utils.grading.sandbox.limits import (
    MAX_DEPTH,
    MAX_FILES,
    MAX_FILES_BYTES,
    MAX_NOTEBOOK_BYTES,
    MAX_PATH_BYTES,
)
from course_utils.printable import listed
from course_utils.submission.contract import MAX_MODEL_BYTES, PREDICTIONS_FOLDER

# The file with the time of the submission, which nbgrader's collectors write.
TIMESTAMP = "timestamp.txt"
# Ending of the file that nbgrader's first pass writes. It is there until the second pass has ended.
UNFINISHED = ".unfinished"
# Endings of names that only files may have, because the grader or nbgrader reads or writes them.
FILES_ONLY = {".ipynb", ".keras", ".json", ".npy", ".html", ".txt", UNFINISHED}
# If there are too many files or bytes, those of nbgrader are kept first.
OF_NBGRADER = {TIMESTAMP, "submission_secret.txt"}

# Why something is left out.
LINK = "Links, pipes and devices are not graded"
NAME = "Names that are not UTF-8 are not graded"
DEEP = f"Folders in more than {MAX_DEPTH} other folders are not graded"
LONG = f"Paths of more than {MAX_PATH_BYTES} bytes are not graded"
OURS = "These names are reserved for files of the grader or of the assignment"
TAKEN = "No file is graded in the place of a folder, and no folder in that of a file"
MANY = f"At most {MAX_FILES} files and folders are graded"
LARGE = f"Too large to be graded, because only {MAX_FILES_BYTES // 2**20} MB are read in total"
UNREADABLE = "The lecturer may not read these, and has to change their rights"


@dataclass
class Contents:
    """What a folder holds.

    Attributes
    ----------
    files : dict of os.stat_result
        The files that are graded: path in the folder -> status.
    left_out : dict of str
        Path in the folder -> why it is not graded, as a sentence without a full stop.
    """

    files: dict[Path, os.stat_result] = field(default_factory=dict)
    left_out: dict[Path, str] = field(default_factory=dict)


def survey(
    folder: Path,
    given: Iterable[Path] = (),
    most_bytes: int = MAX_FILES_BYTES,
    notebooks: Iterable[str] = (),
) -> Contents:
    """List a folder, and decide what of it is graded; no link is followed, and nothing is changed.

    The time is proportional to the number of files, whatever their names are.

    Parameters
    ----------
    folder : Path
    given : iterable of Path
        The assignment's own files, which replace the student's: path in the folder.
    most_bytes : int
        Limit on the bytes of all files together.
    notebooks : iterable of str
        Names of the assignment's notebooks, which files of nbgrader have, too.
    """
    found, is_ours = Contents(), reserved(given, notebooks)
    folders = [Path()]
    for place in folders:  # which grows: a folder's own folders come after all on its level
        try:
            with open_inside(folder, place) as handle, os.scandir(handle) as listed_there:
                entries = [(place / e.name, e.stat(follow_symlinks=False)) for e in listed_there]
        except OSError:
            found.left_out[place] = UNREADABLE
            continue
        for path, status in sorted(entries):
            if reason := _why_not(path, status, is_ours):
                found.left_out[path] = reason
            elif stat.S_ISDIR(status.st_mode):
                folders.append(path)
            else:
                found.files[path] = status
    _leave_out_large(found, most_bytes)
    _leave_out_many(found, folders)
    return found


@contextlib.contextmanager
def open_inside(
    folder: Path | int, path: Path = Path(), flags: int = os.O_DIRECTORY
) -> Iterator[int]:
    """Open something in a folder for reading, and yield the handle; no link is followed.

    Its owner may be replacing folders with links meanwhile.

    Parameters
    ----------
    folder : Path or int
        The folder, or its handle.
    path : Path
        Path in the folder.
    flags : int
        Of `os.open`; a folder is expected without them.

    Raises
    ------
    OSError
        If there is a link in the place of any part, or the system does not let it be read.
    """
    with contextlib.ExitStack() as opened:
        within = folder if isinstance(folder, int) else None
        parts = path.parts if isinstance(folder, int) else (str(folder), *path.parts)
        for number, part in enumerate(parts, 1):
            kind = flags if number == len(parts) else os.O_DIRECTORY
            within = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=within)
            opened.callback(os.close, within)
        assert within is not None
        yield within


@contextlib.contextmanager
def open_file(folder: Path | int, path: Path) -> Iterator[BinaryIO]:
    """Open a file that `survey` has found, whatever its owner has put in its place since.

    Parameters and errors are those of `open_inside`. No pipe is waited for.
    """
    with (
        open_inside(folder, path, os.O_NONBLOCK) as handle,
        open(handle, "rb", closefd=False) as file,
    ):
        yield file


def reserved(given: Iterable[Path], notebooks: Iterable[str]) -> Callable[[Path, bool], bool]:
    """Return what tells whether a path belongs to a file of the grader or of the assignment.

    It is called with the path in the folder, and with whether a folder is there, not a file.

    Parameters
    ----------
    given, notebooks : iterable
        As for `survey`.
    """
    no_folders = set(given)
    written = {Path(f"{name}{end}") for name in notebooks for end in (".html", UNFINISHED)}
    no_files = written | {parent for path in no_folders for parent in path.parents}

    def is_ours(path: Path, is_folder: bool) -> bool:
        is_named = path in (no_folders if is_folder else no_files)
        is_named |= is_folder and path.suffix in FILES_ONLY
        return is_named or path.parts[0] == PREDICTIONS_FOLDER

    return is_ours


def _why_not(path: Path, status: os.stat_result, is_ours: Callable[[Path, bool], bool]) -> str:
    """Return why a file or folder is left out, whatever else there is; empty if it is not."""
    is_folder = stat.S_ISDIR(status.st_mode)
    if not (is_folder or stat.S_ISREG(status.st_mode)):
        return LINK
    try:
        length = len(str(path).encode("utf-8"))
    except UnicodeEncodeError:
        return NAME
    if length > MAX_PATH_BYTES:
        return LONG
    if is_folder and len(path.parts) > MAX_DEPTH:
        return DEEP
    return OURS if is_ours(path, is_folder) else ""


def _rank(path: Path, found: Contents) -> tuple[bool, int, int, int, str]:
    """Return a key that sorts files: first those that are needed most, then the small ones."""
    ending = path.suffix
    if ending == ".json" and path.with_suffix(".keras") in found.files:
        ending = ".keras"  # the record of a network
    kinds = [".ipynb", ".keras", ".json"]
    size = found.files[path].st_size
    is_large = size > max(MAX_MODEL_BYTES, MAX_NOTEBOOK_BYTES)
    kind = kinds.index(ending) if ending in kinds and not is_large else len(kinds)
    return str(path) not in OF_NBGRADER, kind, len(path.parts), size, str(path)


def _leave_out_many(found: Contents, folders: list[Path]) -> None:
    """If there are too many files and folders, keep those that are needed most."""
    if len(found.files) + len(folders) - 1 <= MAX_FILES:
        return
    kept = sorted(found.files, key=lambda path: _rank(path, found))[:MAX_FILES]
    needed = {Path(), *kept, *(parent for path in kept for parent in path.parents)}
    for path in [*folders, *found.files]:
        if path not in needed and path.parent in needed:
            found.left_out[path] = MANY
    found.files = {path: found.files[path] for path in kept}


def _leave_out_large(found: Contents, most_bytes: int) -> None:
    """Keep the files that are needed most, as many as there is room for."""
    size = 0
    for path in sorted(found.files, key=lambda path: _rank(path, found)):
        size += found.files[path].st_size
        if size > most_bytes:
            size -= found.files[path].st_size
            found.left_out[path] = LARGE
            del found.files[path]


def sentences(left_out: dict[Path, str]) -> list[str]:
    """Return a sentence for each reason, with the first names."""
    names: dict[str, list[str]] = {}
    for path, reason in left_out.items():
        names.setdefault(reason, []).append(str(path))
    return [f"{reason}: {listed(paths)}." for reason, paths in names.items()]
