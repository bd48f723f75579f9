"""Reading a data set of the catalogue, whichever it is, and checking what was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from course_utils.data.archives import walk
from course_utils.data.spec import Decoded, Spec
from course_utils.errors import DataError


def relevant_files(path: Path, spec: Spec) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and status of the files that make up a source: itself, or those in it.

    Raises
    ------
    OSError
        If the file or folder is missing or may not be read.
    """
    if not path.is_dir():
        yield path.name, path.stat()
        return
    for name, entry in walk(path):
        if spec.is_member(name):
            yield name, entry.stat()


def read(path: Path, spec: Spec) -> Decoded:
    """Read a whole data set into memory and check that it is complete.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder.
    spec : Spec
        The data set that it must hold.

    Raises
    ------
    DataError
        If it is damaged, incomplete, or something else.
    """
    decoded = spec.decode(path)
    for part, images, labels, count in (
        ("training", decoded.x_train, decoded.y_train, spec.train),
        ("test", decoded.x_test, decoded.y_test, spec.test),
    ):
        _check(path, spec, part, images, labels, count)
    return decoded


def _check(
    path: Path, spec: Spec, part: str, images: np.ndarray, labels: np.ndarray, count: int
) -> None:
    """Compare the images and labels of one part with the catalogue."""
    if images.shape[1:] != spec.shape:
        raise DataError(
            f"{path}: the {part} images have the shape {images.shape[1:]} where {spec.title} "
            f"has {spec.shape}; this is another data set, give {spec.title}'s path."
        )
    if len(images) != len(labels) or len(images) != count:
        raise DataError(
            f"{path} holds {len(images):,} {part} images and {len(labels):,} labels where "
            f"{spec.title} has {count:,}; get the whole data set."
        )
    if labels.min() < 0 or labels.max() >= len(spec.class_names):
        raise DataError(
            f"{path}: a {part} label is {labels.min() if labels.min() < 0 else labels.max()} "
            f"where 0 to {len(spec.class_names) - 1} are possible; get the data set again."
        )
    counts = np.bincount(labels, minlength=len(spec.class_names))
    per_class = count // len(spec.class_names)
    for name, found in zip(spec.class_names, counts, strict=True):
        if found == 0 or (spec.balanced and found != per_class):
            needed = f"{per_class:,} are needed" if spec.balanced else "some are needed"
            raise DataError(
                f"{path} holds {found:,} {part} images of the class {name!r} where {needed}; "
                "get the whole data set."
            )


def check_md5(path: Path, digest: str, expected: str | None) -> None:
    """Compare a file's checksum with the published one, if there is one.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the error message.
    digest, expected : str
        MD5 as 32 hexadecimal digits: of the file, and as published.

    Raises
    ------
    DataError
        If they differ.
    """
    if expected and digest != expected:
        raise DataError(
            f"{path} has the wrong checksum (MD5 {digest}, published {expected}): it is damaged "
            "or another file; delete it and get it again."
        )


def file_md5(path: Path) -> str:
    """Return the MD5 of a file's content as 32 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
