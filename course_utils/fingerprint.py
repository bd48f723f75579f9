"""Digests of everything that a result depends on: equal digests mean equal results."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from course_utils import paths
from course_utils.runtime import NOT_INSTALLED, package_version

# Packages that can change the outputs of a notebook or a score.
PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "seaborn",
    "pillow",
    "ipykernel",
)
LIBRARY_SUFFIXES = (".py", ".json", ".toml")


def digest(content: bytes) -> str:
    """Return the SHA-256 digest of bytes, as 64 hexadecimal digits.

    Examples
    --------
    >>> digest(b"")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()


def digest_of_json(content: Any) -> str:
    """Return the digest of a JSON value, which does not depend on the order of its keys."""
    return digest(json.dumps(content, sort_keys=True).encode())


def digest_of_files(files: Iterable[Path], base: Path) -> str:
    """Return the digest of files: of their contents, and of their paths relative to `base`."""
    found = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        found.update(f"{path.relative_to(base).as_posix()}\0{len(content)}\0".encode())
        found.update(content)
    return found.hexdigest()


def digest_of_library(without: Collection[str] = ()) -> str:
    """Return the digest of this library's files, without the records of runs.

    Parameters
    ----------
    without : collection of str
        Names of folders and files to leave out.
    """
    base = paths.PACKAGE
    files = [
        path
        for path in sorted(base.rglob("*"))
        if path.suffix in LIBRARY_SUFFIXES
        and paths.RECORDS not in path.parents
        and not {*path.relative_to(base).parts} & {*without, "__pycache__"}
    ]
    return digest_of_files(files, base)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of every installed package in `PACKAGES`."""
    found = {package: package_version(package) for package in PACKAGES}
    installed = {package: version for package, version in found.items() if version != NOT_INSTALLED}
    return {"python": platform.python_version()} | installed
