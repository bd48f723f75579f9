"""What a notebook's outputs depend on, as one key: same key, same outputs."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_utils.batch.notebooks import executed_content
from course_utils.data import find_sources
from course_utils.data.catalogue import SPECS
from course_utils.data.formats import relevant_files

LIBRARY = Path(__file__).resolve().parent.parent
# Parts of the library that no notebook runs: a change there changes no output.
NOT_IN_NOTEBOOKS = ("batch", "grading", "submission", "cli.py", "doctor.py", "__pycache__")
PACKAGES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "scikit-learn",
    "pandas",
    "matplotlib",
    "seaborn",
    "pillow",
    "ipykernel",
)


def environment(data_path: str | None, folder: Path) -> dict[str, Any]:
    """Return what all notebooks in a folder share: library, versions, backend, devices, data."""
    return {
        "library": library_fingerprint(),
        "versions": package_versions(),
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "data": data_fingerprint(data_path, folder),
    }


def notebook_key(
    notebook: NotebookNode,
    folder: Path,
    parameters: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> str:
    """Return the key of one notebook's outputs.

    Parameters
    ----------
    notebook : NotebookNode
        The source.
    folder : Path
        Where it lies: it may import the Python files there, and read the run records in
        ``records/``.
    parameters : mapping
        As papermill will inject them.
    shared : mapping
        From `environment`.
    """
    content = {
        "notebook": executed_content(notebook),
        "beside": hash_files(_files_beside(folder), folder),
        "parameters": dict(parameters),
        "shared": dict(shared),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def data_fingerprint(data_path: str | None, folder: Path) -> dict[str, str]:
    """Return, for each data set, a hash of what a notebook in `folder` would load.

    Names, sizes and times of the files are enough: no content is read.
    """
    with contextlib.chdir(folder):
        return {name: _source_fingerprint(name, data_path) for name in SPECS}


def _source_fingerprint(dataset: str, data_path: str | None) -> str:
    # What a download would bring is not known before; afterwards it is on another rung.
    found = [r for r in find_sources(dataset, data_path) if r.found and r.rung != "download"]
    if not found or not found[0].location:
        return found[0].rung if found else "none"
    try:
        files = relevant_files(Path(found[0].location), SPECS[dataset])
        content = sorted([name, status.st_size, status.st_mtime_ns] for name, status in files)
    except OSError as error:
        return str(error)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _files_beside(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.py"), *(folder / "records").rglob("*.json")])


def library_fingerprint() -> str:
    """Return a hash of the files of `course_utils` that a notebook can run or read."""
    files = [
        path
        for path in sorted(LIBRARY.rglob("*"))
        if path.suffix in (".py", ".json", ".toml")
        and not set(path.relative_to(LIBRARY).parts) & set(NOT_IN_NOTEBOOKS)
    ]
    return hash_files(files, LIBRARY)


def hash_files(paths: list[Path], base: Path) -> str:
    """Return a hash of files' contents and of their paths from `base`."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(base).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that outputs depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
