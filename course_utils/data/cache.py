"""Decoded data sets on disk, so that each is decoded once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np

from course_utils.errors import CacheError
from course_utils.files import locked, storing
from course_utils.runtime import cache_dir

ARRAYS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
CONTENT = "The decoded images (up to 190 MB)"
_DESCRIPTION = "meta.json"

Arrays = Mapping[str, np.ndarray]


class Meta(TypedDict, total=False):
    """The description of a cached data set, as JSON holds it.

    Attributes
    ----------
    location : str
        The file or folder that was decoded.
    kind, detail : str
        The format of the files, from `course_utils.data.spec.Decoded`.
    sha256 : str
        The digest of the source, if it is one file.
    fingerprint : str
        Sixteen hexadecimal digits of the arrays' content; added when they are written.
    files : dict of list of int
        Size in bytes and time in nanoseconds of each array's file; added when they are written.
    """

    location: str
    kind: str
    detail: str
    sha256: str
    fingerprint: str
    files: dict[str, list[int]]


def load_or_make(key: str, make: Callable[[], tuple[Arrays, Meta]]) -> tuple[Arrays, Meta]:
    """Return a data set from the cache; make it first if it is not there.

    If several processes ask at once, one makes it while the others wait.

    Parameters
    ----------
    key : str
        Name of what is cached; another source or another version has another key.
    make : callable
        A function that returns the six arrays and their description.

    Returns
    -------
    arrays : mapping of str to numpy.ndarray
        Images mapped from their files, read-only; labels in memory.
    meta : Meta
        The description, with the fingerprint of the arrays.

    Raises
    ------
    CacheError
        If the cache folder cannot be written or is full. Nothing half-written stays.
    """
    folder = cache_dir() / "datasets" / key
    cached = _read(folder)
    if cached is None:
        with locked(folder, CONTENT):
            cached = _read(folder)  # another process may have made it meanwhile
            if cached is None:
                _write(folder, *make())
                cached = _read(folder)
    if cached is None:
        raise CacheError(
            f"{folder} was written but cannot be read again; delete that folder, or set "
            "COURSE_CACHE to a folder on another disk."
        )
    return cached


def _read(folder: Path) -> tuple[Arrays, Meta] | None:
    """Return what a cache folder holds, or None if it is missing or not as it was written."""
    try:
        meta = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        arrays = {}
        for name in ARRAYS:
            path = folder / f"{name}.npy"
            # Any later change to a file, even inside it, shows in its size or time.
            if _size_and_time(path) != meta["files"][name]:
                return None
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            arrays[name] = np.asarray(mapped) if name.startswith("x") else np.array(mapped)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return arrays, meta


def _write(folder: Path, arrays: Arrays, meta: Meta) -> None:
    """Write all files under a temporary name, then rename the whole folder."""
    temporary = folder.with_name(f".{folder.name}.part")
    with storing(CONTENT, folder.parent):
        try:
            # The remains of a killed process go first.
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            for name in ARRAYS:
                _save(temporary / f"{name}.npy", arrays[name])
            files = {name: _size_and_time(temporary / f"{name}.npy") for name in ARRAYS}
            description: Meta = {**meta, "fingerprint": _fingerprint(arrays), "files": files}
            (temporary / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _save(path: Path, array: np.ndarray) -> None:
    """Write an array as ``.npy`` and wait until it is on the disk.

    Unlike `numpy.save`, which hides the reason, this raises the system's own error when the
    disk is full.
    """
    with path.open("wb") as file:
        array = np.ascontiguousarray(array)
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.reshape(-1).view(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())


def _size_and_time(path: Path) -> list[int]:
    """Return a file's size in bytes and its time of change in nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _fingerprint(arrays: Arrays) -> str:
    """Return sixteen hexadecimal digits of the arrays' content."""
    digest = hashlib.sha256()
    for name in ARRAYS:
        digest.update(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]
