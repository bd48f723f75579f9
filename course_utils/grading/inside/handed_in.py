"""Finding the work in a submission, under the names and in the places that it is given.

Browsers, file systems, learning platforms and people rename files, put them into folders and
archives, and leave untouched copies beside them. Nothing is written here, and no link is followed.
"""

from __future__ import annotations

import bz2
import io
import itertools
import lzma
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Self

from nbformat import NotebookNode

from course_utils.grading.sandbox.limits import (
    MAX_ARCHIVES,
    MAX_DEPTH,
    MAX_FILES_BYTES,
    MAX_HEADER_BYTES,
    MAX_MEMBERS,
    MAX_NAME_BYTES,
    MAX_NOTEBOOK_BYTES,
    MAX_NOTEBOOKS,
    MAX_PATH_BYTES,
    MAX_XZ_BYTES,
)
from course_utils.notebook_format import SECOND_ENDINGS, Repairs, folded, grade_id, is_shadow
from course_utils.printable import listed

# Endings of files that may be part of a submission. The last ones are those of earlier states and
# of downloads that were not renamed at their end.
ENDING = re.compile(
    r"(\.ipynb|\.keras|\.json)"
    + SECOND_ENDINGS.removesuffix("$")
    + r"(?P<earlier>~|\.(bak|orig|old|crdownload|part))?$",
    re.IGNORECASE,
)
# Files that are handed in instead of a notebook: endings -> what such a file is, and what to do.
INSTEAD = {
    r"\.(icloud|webloc|url|lnk|gdoc)$": (
        "only says where a file is: download that file, and hand it in"
    ),
    r"\.(py|html?|pdf|md|docx?)$": "is no notebook: hand in the one that it was made from",
}
# Endings of archives of `tar`, which may be compressed.
TAR = re.compile(r"\.(tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz)$", re.IGNORECASE)
# Endings of archives that are not opened.
OTHER_ARCHIVES = (".gz", ".bz2", ".xz", ".7z", ".rar")
# Decompressors of tar archives, by the first bytes of the archive.
DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(memlimit=MAX_XZ_BYTES),
}
# Files inside a `.keras` file, which is an archive.
PARTS_OF_A_NETWORK = {"config.json", "model.weights.h5"}
# Folder in which Jupyter keeps an earlier state of each notebook, and its mark in their names.
CHECKPOINTS = ".ipynb_checkpoints"
# Allowed methods of compression: the memory that the others take cannot be limited.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1


@dataclass(frozen=True)
class File:
    """A file that was handed in, in the folder or in an archive there.

    Attributes
    ----------
    path : Path
        Where it is, with the name of its archive as that of a folder.
    name : str
        Its name; with the right ending if the archive that it is has another one.
    size : int
        Bytes.
    modified : float
        A number that is larger for a file that was changed later.
    read : callable
        Returns the content.
    """

    path: Path
    name: str
    size: int
    modified: float
    read: Callable[[], bytes]

    @property
    def ending(self) -> str:
        """``.ipynb``, ``.keras``, ``.json``, or nothing."""
        found = ENDING.search(self.name)
        return found[1].lower() if found else ""

    @property
    def is_archive(self) -> bool:
        """Whether it is an archive that is opened."""
        return self.name.lower().endswith(".zip") or TAR.search(self.name) is not None

    @property
    def is_earlier(self) -> bool:
        """Whether it is an earlier state, which counts if there is nothing else."""
        found = ENDING.search(self.name)
        return CHECKPOINTS in self.path.parts or bool(found and found["earlier"])

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return ENDING.sub("", self.name)


class HandedIn:
    """All files of a submission.

    Parameters
    ----------
    files : iterable of File
        The files in its folder that are graded.

    Attributes
    ----------
    problems : list of str
        Sentences for student and lecturer about archives, once they have been searched, and about
        what is damaged in them, once it has been read.
    """

    def __init__(self, files: Iterable[File]) -> None:
        self.problems: list[str] = []
        # Bytes that archives of `tar`, which stay unpacked in memory, may still take.
        self._room = MAX_FILES_BYTES
        self.plain = sorted(
            (file for file in files if not is_shadow(file.path)), key=lambda file: file.path
        )

    @cached_property
    def all(self) -> list[File]:
        """The files, and those in archives."""
        found, archives = list(self.plain), []
        for file in self.plain:
            if file.is_archive:
                archives.append(file)
            elif file.name.lower().endswith(OTHER_ARCHIVES):
                self.problems.append(f"{file.path} was not opened: hand in a .zip instead.")
        for file in archives[:MAX_ARCHIVES]:
            found += self._members_of_tar(file) if TAR.search(file.name) else self._members(file)
        if left_out := [str(file.path) for file in archives[MAX_ARCHIVES:]]:
            self.problems.append(
                f"At most {MAX_ARCHIVES} archives are opened. These were not: {listed(left_out)}."
            )
        return found

    def _members(self, archive: File) -> list[File]:
        """List what is in an archive, or the network that the archive is."""
        content = archive.read()
        # Every member has this mark, so no directory of the archive can list more of them.
        if content.count(b"PK\x01\x02") > MAX_MEMBERS:
            self.problems.append(f"{archive.path} was not opened: it has too many files.")
            return []
        try:
            opened = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            self.problems.append(f"{archive.path} was not opened: it is damaged ({error}).")
            return []
        if set(opened.namelist()) >= PARTS_OF_A_NETWORK:
            stem = re.sub(r"(\.keras)?\.zip$", "", archive.name, flags=re.IGNORECASE)
            return [replace(archive, name=f"{stem}.keras")]
        found, size = [], 0
        for member in opened.infolist():
            place = PurePosixPath(member.filename.replace("\\", "/"))
            if member.is_dir() or not _is_readable(member) or not is_plain(place):
                continue
            size += member.file_size
            if size > MAX_FILES_BYTES:
                self.problems.append(f"{archive.path} was not read to its end: it is too large.")
                break
            if member.flag_bits & ENCRYPTED:
                self.problems.append(f"{archive.path} was not opened: it has a password.")
                break
            number = float(sum(part << 8 * n for n, part in enumerate(member.date_time[::-1])))
            path = archive.path / place
            read = self._reader(opened, member, path)
            found.append(File(path, path.name, member.file_size, number, read))
        return found

    def _reader(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path
    ) -> Callable[[], bytes]:
        """Return what reads a member, and not a byte more than its size says."""

        def read() -> bytes:
            try:
                with archive.open(member) as file:
                    return file.read(member.file_size)
            except Exception:  # A damaged archive makes zipfile and zlib raise many types.
                problem = f"{path} cannot be read, because its archive is damaged."
                self.problems += [problem] if problem not in self.problems else []
                return b""

        return read

    def _members_of_tar(self, archive: File) -> list[File]:
        """List what is in an archive of `tar`."""
        try:
            content = _decompressed(archive.read(), self._room)
            self._room -= len(content)
            # Names that are not UTF-8 could not be written into a notebook.
            opened = tarfile.TarFile(fileobj=_Headers(content), tarinfo=_Member, errors="replace")
            members = list(itertools.islice(opened, MAX_MEMBERS + 1))
        except _TooLarge:
            self.problems.append(f"{archive.path} was not opened: it is too large.")
            return []
        except Exception as error:  # Damaged content makes these modules raise many types.
            self.problems.append(f"{archive.path} was not opened: it is damaged ({error}).")
            return []
        if len(members) > MAX_MEMBERS:
            self.problems.append(f"{archive.path} was not opened: it has too many files.")
            return []
        found = []
        for member in members:
            place = PurePosixPath(member.name)
            # A sparse file can be far larger than its archive.
            is_whole = member.isreg() and not member.issparse() and member.size >= 0
            if is_whole and is_plain(place):
                path, read = archive.path / place, _reader_of_tar(content, member)
                found.append(File(path, path.name, member.size, float(member.mtime), read))
        return found


class _TooLarge(Exception):
    """An archive has more in it than there is room for."""


class _Headers(io.BytesIO):
    """An archive of `tar`, of which only the headers are read, and not too many bytes of them.

    Headers can hold lists and names of any length, which take far more memory than they have bytes.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = MAX_HEADER_BYTES

    def read(self, size: int | None = -1) -> bytes:
        part = super().read(size)
        self._left -= len(part)
        if self._left < 0:
            raise _TooLarge
        return part


class _Member(tarfile.TarInfo):
    """A member of an archive of `tar`.

    A header for all members, of which each member would keep a copy, counts for the next one only.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type == tarfile.XGLTYPE:
            member.type = tarfile.XHDTYPE
        return member


def _decompressed(content: bytes, most: int) -> bytes:
    """Return an archive of `tar` without its compression.

    Raises
    ------
    _TooLarge
        If that is more than `most` bytes.
    """
    for first, decompressor in DECOMPRESSORS.items():
        if content.startswith(first):
            content = decompressor().decompress(content, most + 1)
            break
    if len(content) > most:
        raise _TooLarge
    return content


def is_plain(place: PurePosixPath) -> bool:
    """Tell whether a member of an archive has an ordinary path, and was not added by macOS."""
    return (
        not place.is_absolute()
        and ".." not in place.parts
        and len(place.parts) <= MAX_DEPTH
        and len(str(place).encode()) <= MAX_PATH_BYTES
        and all(len(part.encode()) <= MAX_NAME_BYTES for part in place.parts)
        and "\0" not in str(place)
        and not is_shadow(Path(place))
    )


def _is_readable(member: zipfile.ZipInfo) -> bool:
    """Tell whether a member of a zip archive is no link, and compressed in a usual way."""
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return not is_link and member.compress_type in COMPRESSIONS


def _reader_of_tar(content: bytes, member: tarfile.TarInfo) -> Callable[[], bytes]:
    """Return what reads a member; it is cut if the archive ends before."""
    return lambda: content[member.offset_data : member.offset_data + member.size]


@dataclass(frozen=True)
class Candidate:
    """A notebook that may be the one to grade.

    Attributes
    ----------
    file : File
    is_damaged : bool
        Whether it cannot be read.
    cells : int
        Number of cells of the assignment in it.
    answers : dict of str
        Answers that are not as they were released: id -> text.
    """

    file: File
    is_damaged: bool
    cells: int
    answers: dict[str, str]


@dataclass(frozen=True)
class Choice:
    """The file that is graded as one of the assignment's notebooks.

    Attributes
    ----------
    file : File or None
        None if there is none.
    sentences : list of str
        What student and lecturer should know about the choice.
    cells : int
        Number of cells of this notebook that the file has, if there was a choice.
    """

    file: File | None
    sentences: list[str]
    cells: int = 0


# A function that reads a notebook: content and name -> the notebook and its repairs.
Reader = Callable[[bytes, str], tuple[NotebookNode, Repairs]]


def find_notebooks(
    handed_in: HandedIn, released: Mapping[str, Mapping[str, str]], read: Reader
) -> dict[str, Choice]:
    """Choose the file of each of the assignment's notebooks; no file is chosen for two.

    If a file could be two of them, it is the one of which it has more cells.

    Parameters
    ----------
    handed_in : HandedIn
    released : mapping
        Name of a notebook, without its ending -> its answers as they were released: id -> text.
    read : callable
    """

    def find(name: str, taken: Collection[Path] = ()) -> Choice:
        others = [f"{other}.ipynb" for other in released if other != name]
        return find_notebook(handed_in, f"{name}.ipynb", released[name], read, others, taken)

    chosen = {name: find(name) for name in released}
    graded_as: dict[Path, str] = {}
    for name in sorted(chosen, key=lambda name: chosen[name].cells, reverse=True):
        if file := chosen[name].file:
            graded_as.setdefault(file.path, name)
    for name, choice in chosen.items():
        if choice.file and (other := graded_as[choice.file.path]) != name:
            chosen[name] = again = find(name, graded_as)
            path = listed([str(choice.file.path)])
            again.sentences.append(
                f"{path} was graded as {other}.ipynb: no file counts for two notebooks."
            )
            if again.file:
                graded_as[again.file.path] = name
    return chosen


def find_notebook(
    handed_in: HandedIn,
    wanted: str,
    released: Mapping[str, str],
    read: Reader,
    others: Collection[str] = (),
    taken: Collection[Path] = (),
) -> Choice:
    """Choose the notebook to grade.

    It is the one with the most answers. If two have equally many, the one with the right name is
    taken, and of others the one that was changed last.

    Parameters
    ----------
    handed_in : HandedIn
    wanted : str
        File name of the assignment's notebook.
    released : mapping of str
        The answers as they were released: id -> text.
    read : callable
    others : collection of str
        File names of the assignment's other notebooks. A file whose name says that it is one of
        them is not taken, and neither is one whose name says nothing if it has no cell of this one.
    taken : collection of Path
        Files that are graded as another notebook.
    """
    of_others = {folded(Path(name).stem) for name in others}
    found = [
        file
        for file in handed_in.all
        if file.ending == ".ipynb"
        and file.path not in taken
        and not _is_another(file, wanted, of_others)
    ]
    if [file.path for file in found] == [Path(wanted)]:
        return Choice(found[0], [])
    found.sort(key=lambda file: _order(file, wanted))
    current = [file for file in found if not file.is_earlier]
    earlier = [file for file in found if file.is_earlier]
    candidates = [_candidate(file, released, read) for file in current[:MAX_NOTEBOOKS]]
    if not any(each.answers for each in candidates):
        candidates += [_candidate(file, released, read) for file in earlier[:MAX_NOTEBOOKS]]
    if others:
        stem = folded(Path(wanted).stem)
        candidates = [c for c in candidates if c.cells or stem in folded(c.file.stem)]
    if not candidates:
        return Choice(None, [_what_is_there(handed_in, wanted)])
    best = max(candidates, key=lambda each: _rank(each, wanted))
    return Choice(best.file, _about_choice(best, candidates, wanted), best.cells)


def _is_another(file: File, wanted: str, others: Collection[str]) -> bool:
    """Tell whether the name of a file says that it is one of the assignment's other notebooks."""
    name, stem = folded(file.stem), folded(Path(wanted).stem)
    named = [each for each in (*others, stem) if each in name]
    return max(named, key=len, default=stem) != stem


def _order(file: File, wanted: str) -> tuple[bool, bool, bool, int, str]:
    """Return a key that sorts notebooks: first those whose name says most."""
    stem, name = folded(Path(wanted).stem), folded(file.stem)
    return (
        file.path != Path(wanted), name != stem, stem not in name, len(file.path.parts),
        str(file.path),
    )  # fmt: skip


def _rank(candidate: Candidate, wanted: str) -> tuple[int, int, bool, bool, float]:
    return (
        len(candidate.answers),
        candidate.cells,
        candidate.file.path == Path(wanted),
        folded(candidate.file.stem) == folded(Path(wanted).stem),
        candidate.file.modified,
    )


def _candidate(file: File, released: Mapping[str, str], read: Reader) -> Candidate:
    if file.size > MAX_NOTEBOOK_BYTES:
        return Candidate(file, True, 0, {})
    notebook, repairs = read(file.read(), str(file.path))
    texts = {grade_id(cell) or "": cell.source.strip() for cell in notebook.cells}
    answers = {name: text for name, text in texts.items() if name in released}
    changed = {name: text for name, text in answers.items() if text != released[name].strip()}
    is_damaged = not notebook.cells and bool(repairs.losses)
    return Candidate(file, is_damaged, len(answers), changed)


def _about_choice(best: Candidate, candidates: list[Candidate], wanted: str) -> list[str]:
    """Return sentences about the choice that student and lecturer should know."""
    sentences = []
    path = listed([str(best.file.path)])
    right = unicodedata.normalize("NFC", wanted)
    named = next(
        (c for c in candidates if unicodedata.normalize("NFC", str(c.file.path)) == right), None
    )
    if named is None:
        sentences.append(f"The notebook was handed in as {path}, not as {wanted}.")
    elif named is not best:
        why = "has fewer answers" if named.answers else "has no answers"
        why = "cannot be read" if named.is_damaged else why
        sentences.append(f"{path} was graded, because {wanted} {why}.")
    others = [
        str(each.file.path)
        for each in candidates
        if each is not best and each.answers and each.answers != best.answers
    ]
    if others:
        sentences.append(
            f"Several notebooks have answers. {path} was graded; these were not: {listed(others)}."
        )
    return sentences


def _what_is_there(handed_in: HandedIn, wanted: str) -> str:
    others = [str(file.path) for file in handed_in.all]
    there = f"The folder has only: {listed(others)}." if others else "The folder is empty."
    sentences = [f"The notebook {wanted} was not handed in.", there]
    for ending, what in INSTEAD.items():
        if found := [name for name in others if re.search(ending, name, re.IGNORECASE)]:
            sentences.append(f"{listed(found[:1])} {what}.")
    return " ".join(sentences)


def find_files(
    handed_in: HandedIn, names: Iterable[str], beside: Iterable[Path]
) -> tuple[dict[Path, File], list[str]]:
    """Return files that must lie elsewhere, and sentences for student and lecturer.

    Parameters
    ----------
    handed_in : HandedIn
    names : iterable of str
        Names of networks and records that the tests ask for, without their endings.
    beside : iterable of Path
        Folders in the submission, or in an archive there, in which the notebooks were found. What
        is in them is meant to be beside the notebooks.

    Returns
    -------
    dict of File
        Path in the folder at which a file is expected -> file.
    list of str
    """
    there = {file.path for file in handed_in.plain}
    names = set(names)
    placed: dict[Path, File] = {}
    archives = {file.path for file in handed_in.plain if file.is_archive}
    for folder in sorted(set(beside) - {Path()}):
        for file in handed_in.all:
            # An archive beside the notebook stays one: its name cannot be a folder's, too.
            within = {each for each in file.path.parents if folder in each.parents}
            if folder in file.path.parents and file.ending != ".ipynb" and not within & archives:
                placed[file.path.relative_to(folder)] = file
    placed = {path: file for path, file in placed.items() if path not in there}
    sentences: list[str] = []
    chosen: dict[tuple[str, str], File] = {}
    for ending in (".keras", ".json"):
        for name, found in sorted(_named(handed_in.all, names, ending).items()):
            path = Path(f"{name}{ending}")
            if path in there or path in placed:
                continue
            network = chosen.get((name, ".keras"))
            best = max(found, key=lambda file: _nearness(file, name, network))
            chosen[name, ending] = placed[path] = best
            sentences.append(f"{listed([str(best.path)])} was taken for {path}.")
            if others := [str(file.path) for file in found if file is not best]:
                sentences.append(f"These were not: {listed(others)}.")
    return placed, sentences


def _named(files: list[File], names: set[str], ending: str) -> dict[str, list[File]]:
    """Return the files of an ending whose name contains one of these names: name -> files."""
    found: dict[str, list[File]] = {}
    longest_first = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
    for file in files:
        if file.ending != ending or CHECKPOINTS in file.path.parts:
            continue
        for name in longest_first:
            if f"-{_in_words(name)}-" in f"-{_in_words(file.stem)}-":
                found.setdefault(name, []).append(file)
                break
    return found


def _in_words(name: str) -> str:
    """Return a name with one hyphen between its words, as in ``a1-q2`` for ``A1_q2``."""
    return re.sub(r"[\W_]+", "-", folded(name)).strip("-")


def _nearness(file: File, name: str, network: File | None) -> tuple[bool, bool, float]:
    """Return a key: the record of the chosen network, the right name, the last one changed."""
    is_its_record = network is not None and (file.path.parent, file.stem) == (
        network.path.parent, network.stem
    )  # fmt: skip
    return is_its_record, folded(file.stem) == folded(name), file.modified
