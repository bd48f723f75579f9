"""Read the files of a folder or an archive, into memory and nowhere else.

Nothing is ever unpacked to disk, so a member named ``../../somewhere`` or a link in a hostile
archive has no effect.
"""

from __future__ import annotations

import functools
import gzip
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from course_utils.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")

# Errors that the readers of the standard library raise for a cut or damaged file.
DAMAGE = (
    EOFError,
    OSError,
    RuntimeError,  # an encrypted zip, or one in a compression that Python does not know
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def members(path: Path, wanted: re.Pattern[str], at_most: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that a pattern matches.

    Parameters
    ----------
    path : pathlib.Path
        A folder, or an archive: tar (plain, gzip, xz, bzip2) or zip.
    wanted : re.Pattern
        Searched in each file's name inside `path`, with ``/`` between folders.
    at_most : int
        Limit of the wanted files together, in bytes, so that a small archive cannot fill the
        memory.

    Raises
    ------
    DataError
        For a path that is no archive, or a damaged one, or one with too much in it.
    """
    try:
        total = 0
        for name, size, read in _open_members(path, wanted):
            total += size
            if total > at_most:
                raise DataError(
                    f"{path} holds more than the {at_most:,} bytes that are possible; "
                    "get it again from its publisher."
                )
            yield name, read()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path.") from None
    except PermissionError as error:
        raise DataError(
            f"{error.filename or path} may not be read; change its permissions, or copy it."
        ) from None
    except DAMAGE as error:
        raise DataError(
            f"{path} is damaged, cut short or no archive ({_reason(error)}); "
            "delete it and get it again."
        ) from error


def _open_members(
    path: Path, wanted: re.Pattern[str]
) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Yield name, size in bytes and a function that reads it, for each file that matches."""
    if path.is_dir():
        for name, entry in walk(path):
            if wanted.search(name):
                yield name, entry.stat().st_size, Path(entry.path).read_bytes
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir() and wanted.search(info.filename):
                    yield info.filename, info.file_size, functools.partial(archive.read, info)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isreg() and wanted.search(member.name):
                    file = archive.extractfile(member)
                    assert file is not None, "a regular file has content"
                    yield member.name, member.size, file.read


def walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry]]:
    """Yield relative name and entry of every file under a folder, in order of name.

    Hidden files and folders are left out.
    """
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from walk(Path(entry.path), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


def content(path: Path, at_most: int) -> bytes:
    """Return the content of a plain or gzip-compressed file.

    Parameters
    ----------
    path : pathlib.Path
        The file; a name that ends in ``.gz`` is decompressed.
    at_most : int
        Limit of the content, in bytes.

    Raises
    ------
    DataError
        For a missing or damaged file, or one larger than `at_most` bytes.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(at_most + 1)
            if path.suffix == ".gz" and len(data) <= at_most:
                file.read(1)  # gzip compares the checksum at the end of the stream
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path.") from None
    except DAMAGE as error:
        raise DataError(
            f"{path} is damaged or cut short ({_reason(error)}); delete it and get it again."
        ) from error
    if len(data) > at_most:
        raise DataError(
            f"{path} holds more than the {at_most:,} bytes that are possible; "
            "get it again from its publisher."
        )
    return data


def _reason(error: Exception) -> str:
    """Return an error's first line, or its type if it has no text."""
    lines = str(error).splitlines()
    return lines[0].rstrip(": ") if lines else type(error).__name__
