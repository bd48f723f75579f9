"""The folder that a student hands in, made safe before anything else lists, copies or reads it.

nbgrader follows links, waits for pipes, lists a folder anew for each file in it, and fails at paths
that are too long and at folders in the place of files. Everything that could do so is moved to
``set-aside`` in the course, and lecturer and student are told.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from nbgrader.utils import parse_utc

from course_utils.files import write_atomically
from course_utils.grading.nbgrader_steps.notes import listed
from course_utils.grading.sandbox.limits import (
    MAX_DEPTH,
    MAX_FILES,
    MAX_FILES_BYTES,
    MAX_NOTEBOOK_BYTES,
    MAX_PATH_BYTES,
    MAX_TIMESTAMP_BYTES,
)
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
TIME = "This file should hold the time of the submission, and does not"
MANY = f"At most {MAX_FILES} files and folders are graded"
LARGE = f"Too large to be graded, because only {MAX_FILES_BYTES // 2**20} MB are read in total"
UNREADABLE = "The system does not let these be read"


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


def survey(folder: Path, given: Iterable[Path] = (), most_bytes: int = MAX_FILES_BYTES) -> Contents:
    """List a folder, and decide what of it is graded; nothing is followed, opened or changed.

    The time is proportional to the number of files, whatever their names are.

    Parameters
    ----------
    folder : Path
        The submission, whose last part is the name of the assignment.
    given : iterable of Path
        The assignment's own files, which replace the student's: path in the folder.
    most_bytes : int
        Limit on the bytes of all files together.
    """
    found, given = Contents(), set(given)
    notebooks = [path for path in given if path.suffix == ".ipynb" and len(path.parts) == 1]
    notebooks.append(Path(f"{folder.name}.ipynb"))
    written = {path.with_suffix(end) for path in notebooks for end in (".html", UNFINISHED)}
    no_files = written | {parent for path in given for parent in path.parents}
    folders = [Path()]
    for place in folders:  # which grows: a folder's own folders come after all on its level
        try:
            entries = [
                (place / e.name, e.stat(follow_symlinks=False)) for e in os.scandir(folder / place)
            ]
        except OSError:
            found.left_out[place] = UNREADABLE
            continue
        for path, status in sorted(entries):
            if reason := _why_not(path, status, no_files, given):
                found.left_out[path] = reason
            elif stat.S_ISDIR(status.st_mode):
                folders.append(path)
            else:
                found.files[path] = status
    _leave_out_large(found, most_bytes)
    _leave_out_many(found, folders)
    return found


def _why_not(path: Path, status: os.stat_result, no_files: set[Path], no_folders: set[Path]) -> str:
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
    is_ours = path in (no_folders if is_folder else no_files)
    is_ours |= is_folder and path.suffix in FILES_ONLY
    return OURS if is_ours or path.parts[0] == PREDICTIONS_FOLDER else ""


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


def admit(folder: Path, given: Iterable[Path] = ()) -> list[str]:
    """Move what is not graded to ``set-aside`` in the course; return a sentence for each reason.

    As long as the submission stays the same, the same sentences are returned.

    Parameters
    ----------
    folder : Path
        ``submitted/STUDENT/ASSIGNMENT`` in the course.
    given : iterable of Path
        The assignment's own files: path in the folder.

    Raises
    ------
    OSError
        If the system does not let the folder be read or changed.
    """
    aside = folder.parents[2].joinpath("set-aside", *folder.parts[-2:])
    is_link = _replace_link(folder.parent, aside) | _replace_link(folder, aside)
    folder.mkdir(exist_ok=True)
    _make_readable(folder)
    found = survey(folder, given)
    if is_link:
        found.left_out[Path(folder.name)] = LINK
    if problem := _problem_of_time(folder, found):
        found.left_out[Path(TIMESTAMP)] = problem
        del found.files[Path(TIMESTAMP)]
    told = _remember(found, aside.with_name(f"{aside.name}.json"))
    _move_aside(folder, found.left_out, aside)
    return _sentences(told)


def _replace_link(place: Path, aside: Path) -> bool:
    """Set a link aside that stands for a folder of `submitted`; tell whether it was one."""
    if not place.is_symlink():
        return False
    aside.mkdir(parents=True, exist_ok=True)
    place.replace(Path(tempfile.mkdtemp(prefix=f"{date.today()}-", dir=aside)) / place.name)
    place.mkdir()
    return True


def _make_readable(folder: Path) -> None:
    """Give the owner the usual rights to files and folders, except those that are too deep."""
    for place, folders, files in os.walk(folder):
        inside = Path(place).relative_to(folder)
        for name in (*folders, *files):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            usual = stat.S_IRWXU if stat.S_ISDIR(mode) else stat.S_IRUSR | stat.S_IWUSR
            if (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) and mode & usual != usual:
                os.chmod(path, stat.S_IMODE(mode) | usual)
        if len(inside.parts) == MAX_DEPTH or len(os.fsencode(inside)) > MAX_PATH_BYTES:
            folders.clear()


def _problem_of_time(folder: Path, found: Contents) -> str:
    """Return why nbgrader could not read the time of the submission; empty if it can."""
    status = found.files.get(Path(TIMESTAMP))
    if status is None:
        return ""
    if status.st_size > MAX_TIMESTAMP_BYTES:
        return TIME
    try:
        text = (folder / TIMESTAMP).read_text(encoding="utf-8").strip()
        parse_utc(text).isoformat()
    except Exception:  # dateutil raises many kinds
        return TIME
    return ""


def _remember(found: Contents, path: Path) -> dict[str, str]:
    """Store what is left out beside what stays; return it, with what was stored.

    The next call finds the folder without what is moved now.
    """
    kept = {
        str(path): [status.st_size, status.st_mtime_ns]
        for path, status in sorted(found.files.items())
        if path != Path(TIMESTAMP)
    }
    told = {str(path): reason for path, reason in found.left_out.items()}
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        # nbgrader adds an empty notebook where there was none.
        if before["kept"].items() <= kept.items():
            told = before["left out"] | told
    except FileNotFoundError:
        pass
    if found.left_out:
        write_atomically(path, json.dumps({"kept": kept, "left out": told}))
    return told


def _move_aside(folder: Path, strange: Iterable[Path], aside: Path) -> None:
    """Move files into a new folder; files with the same names may have been moved earlier."""
    strange = set(strange)
    if not strange:
        return
    aside.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=f"{date.today()}-", dir=aside))
    for path in strange:
        if not strange.isdisjoint(path.parents) or not os.path.lexists(folder / path):
            continue  # it is moved with its folder, or was the link in the folder's place
        place = own / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (folder / path).replace(place)


def _sentences(left_out: dict[str, str]) -> list[str]:
    """Return a sentence for each reason, with the first names."""
    names: dict[str, list[str]] = {}
    for path, reason in left_out.items():
        names.setdefault(reason, []).append(path)
    return [f"{reason}: {listed(paths)}." for reason, paths in names.items()]
