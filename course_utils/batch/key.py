"""The key of a notebook's outputs: the same key means the same outputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_utils import env, paths
from course_utils.batch.notebooks import executed_content
from course_utils.data import find_sources
from course_utils.data.catalogue import SPECS
from course_utils.data.formats import relevant_files
from course_utils.fingerprint import (
    digest_of_files,
    digest_of_json,
    digest_of_library,
    package_versions,
)
from course_utils.runtime import chosen_backend
from course_utils.thresholds import load_thresholds

# Parts of the library that no notebook runs. The thresholds enter only the keys of the notebooks
# that read them.
NOT_IN_NOTEBOOKS = (
    "batch", "grading", "cli", "doctor.py", "notebook_format.py", "thresholds.toml"
)  # fmt: skip


def environment(data_path: str | None, folder: Path) -> dict[str, Any]:
    """Return the part of the key that all notebooks in a folder share.

    Parameters
    ----------
    data_path : str or None
        The parameter ``data_path`` of the notebooks.
    folder : Path
        The folder of the notebooks.

    Returns
    -------
    dict
        The digests of the library and of the recorded runs, the versions of packages, the backend,
        the GPUs and the data.
    """
    return {
        "library": digest_of_library(without=NOT_IN_NOTEBOOKS),
        "records": digest_of_files(sorted(paths.RECORDS.rglob("*.json")), paths.RECORDS),
        "versions": package_versions(),
        "backend": chosen_backend(),
        # An empty variable, which hides all GPUs, differs from one that is not set.
        "devices": os.environ.get(env.GPUS.name),
        "data": data_keys(data_path, folder),
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
        The folder of the source. A notebook may import the Python files in this folder.
    parameters : mapping
        The parameters that papermill injects.
    shared : mapping
        The result of `environment`.
    """
    content = executed_content(notebook)
    return digest_of_json(
        {
            "notebook": content,
            "beside": digest_of_files(sorted(folder.glob("*.py")), folder),
            "thresholds": load_thresholds() if "load_thresholds" in str(content) else None,
            "parameters": dict(parameters),
            "shared": dict(shared),
        }
    )


def data_keys(data_path: str | None, folder: Path) -> dict[str, str]:
    """Return, for each data set, a key of the files that a notebook in `folder` would load.

    The key is made from the names, sizes and modification times of the files; no file is read.
    """
    with contextlib.chdir(folder):
        return {name: _data_key(name, data_path) for name in SPECS}


def _data_key(dataset: str, data_path: str | None) -> str:
    # A download is not known in advance, and afterwards its data are found on another rung.
    found = [r for r in find_sources(dataset, data_path) if r.found and r.rung != "download"]
    if not found or not found[0].location:
        return found[0].rung if found else "none"
    try:
        files = relevant_files(Path(found[0].location), SPECS[dataset])
        content = sorted([name, status.st_size, status.st_mtime_ns] for name, status in files)
    except OSError as error:
        return str(error)
    return digest_of_json(content)
