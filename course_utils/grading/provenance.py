"""What a score stands on: digests of everything that took part, and versions."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_utils.data import find_sources
from course_utils.data.catalogue import SPECS
from course_utils.runtime import versions

PACKAGE = Path(__file__).resolve().parents[1]


def provenance(notebook: str, settings: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return digests of notebook, tests, files, data and grader, and the versions.

    Parameters
    ----------
    notebook, settings : str
        The notebook's cells with the tests; what the tests stand on.
    files : dict of bytes
        What was handed in.
    """
    return {
        "notebook": digest(notebook.encode()),
        "settings": digest(settings.encode()),
        "files": {name: digest(content) for name, content in sorted(files.items())},
        "data": data_sources(),
        "grader": grader(),
        "versions": versions(),
    }


def digest(content: bytes) -> str:
    """Name bytes, in 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@functools.cache
def grader() -> str:
    """Name this library's own files."""
    name = hashlib.sha256()
    for path in sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".toml")):
        name.update(str(path.relative_to(PACKAGE)).encode() + path.read_bytes())
    return name.hexdigest()


@functools.cache
def data_sources() -> dict[str, str]:
    """Name the data sets that are found here, by place, size and time."""
    named = {}
    for key in SPECS:
        first = next(rung for rung in find_sources(key) if rung.found)
        path = Path(first.location)
        time = path.stat().st_mtime_ns if first.location and path.exists() else 0
        named[key] = f"{first.location} {first.detail} {time}"
    return named
