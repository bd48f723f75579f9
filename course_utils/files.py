"""Writing files so that no reader sees half of one, and no two processes write the same one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from course_utils.errors import CacheError


def write_atomically(path: Path, text: str) -> Path:
    """Write a text file under a temporary name in the same folder, then rename it.

    Missing folders are made. If writing fails, an earlier file stays as it was.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    text : str
        Its new content, written as UTF-8.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    OSError
        If the file or a folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Files of `tempfile` are for their owner alone, whatever the umask says.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


@contextlib.contextmanager
def locked(path: Path, content: str) -> Iterator[None]:
    """Keep other processes from making the same cached file or folder; they wait.

    Parameters
    ----------
    path : pathlib.Path
        The file or folder; the lock stands beside it, under its name with ``.lock``.
    content : str
        A name for the content, with which the error message begins.

    Raises
    ------
    CacheError
        If the lock cannot be written.
    """
    with storing(content, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def storing(content: str, folder: Path) -> Iterator[None]:
    """Turn the system's errors of writing into a cache folder into one sentence.

    Parameters
    ----------
    content : str
        A name for the content, with which the error message begins.
    folder : pathlib.Path
        The cache folder.

    Raises
    ------
    CacheError
        For every `OSError` in the block.
    """
    try:
        yield
    except OSError as error:
        raise CacheError(
            f"{content} could not be stored in {folder} ({error.strerror or error}); free some "
            "space there, or set COURSE_CACHE to another folder."
        ) from error
