"""Building the HTML book from the outputs of executed chapters."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.cache.db import NbCacheRecord
from nbformat import NotebookNode

from course_utils.batch.notebooks import code_cells, graft
from course_utils.errors import RunError
from course_utils.files import write_atomically


def book_cache_path(root: Path) -> Path:
    """Return the folder in which `jupyter-book build` looks for the outputs of notebooks.

    It is this one unless ``_config.yml`` names another.
    """
    return root / "_build" / ".jupyter_cache"


def store_in_book_cache(
    path: Path, source: NotebookNode, executed: NotebookNode, seconds: float, cache_path: Path
) -> None:
    """Make the book show the outputs of an executed notebook, without executing anything.

    Parameters
    ----------
    path : Path
        The source file.
    source, executed : NotebookNode
        The file's content, and the same code as papermill executed it.
    seconds : float
        The duration of the execution.
    cache_path : Path
        See `book_cache_path`.
    """
    cache = get_cache(cache_path)
    shown = graft(source, executed)
    if _holds(cache, shown):
        return
    # The order matters: whenever this process is killed, the cache holds all old outputs, all new
    # ones, or none. (`cache_notebook_bundle` would announce the outputs before it writes them.)
    content, hashkey = cache.create_hashed_notebook(shown)
    _forget_record(cache, hashkey)
    file = cache.path / "executed" / hashkey / "base.ipynb"
    write_atomically(file, nbformat.writes(content, nbformat.NO_CONVERT))
    NbCacheRecord.create_record(
        uri=str(path), hashkey=hashkey, db=cache.db, data={"execution_seconds": seconds}
    )


def drop_from_book_cache(source: NotebookNode, cache_path: Path) -> None:
    """Make the book forget a notebook whose outputs are no longer valid."""
    cache = get_cache(cache_path)
    _, hashkey = cache.create_hashed_notebook(source)
    _forget_record(cache, hashkey)
    shutil.rmtree(cache.path / "executed" / hashkey, ignore_errors=True)


def _holds(cache: JupyterCacheAbstract, shown: NotebookNode) -> bool:
    """Return whether the cache already holds exactly these outputs."""
    try:
        _, found = cache.merge_match_into_notebook(shown)
    except KeyError:
        return False
    return _outputs(found) == _outputs(shown)


def _outputs(notebook: NotebookNode) -> list[Any]:
    return [[cell.outputs, cell.execution_count] for cell in code_cells(notebook)]


def _forget_record(cache: JupyterCacheAbstract, hashkey: str) -> None:
    try:
        record = NbCacheRecord.record_from_hashkey(hashkey, cache.db)
    except KeyError:
        return
    NbCacheRecord.remove_record(record.pk, cache.db)


# Escape sequences for colours, which Sphinx writes even without a terminal.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Build:
    """The result of building the book.

    Attributes
    ----------
    passed : bool
        Whether there was neither an error nor a warning.
    seconds : float
        The duration of the build.
    warnings : str
        All errors and warnings of the build.
    log : Path
        The file with everything that the build printed.
    first_page : Path
        The file to open in a browser.
    """

    passed: bool
    seconds: float
    warnings: str
    log: Path
    first_page: Path


def build_book(root: Path) -> Build:
    """Run ``jupyter-book build . -n -W --keep-going`` in `root`: warnings are errors.

    Raises
    ------
    RunError
        If `root` is not the folder of a book, or Jupyter Book is not installed.
    """
    for name in ("_config.yml", "_toc.yml"):
        if not (root / name).is_file():
            raise RunError(f"There is no {name} in {root}: change to the course's folder.")
    command = Path(sys.executable).parent / "jupyter-book"
    if not command.exists():
        raise RunError("Jupyter Book is not installed here: pip install -r requirements.txt.")
    build = root / "_build"
    # Sphinx does not repeat the warnings of pages that it has parsed before: failures would be
    # hidden.
    shutil.rmtree(build / ".doctrees", ignore_errors=True)
    started = time.monotonic()
    process = subprocess.run(
        [command, "build", ".", "-n", "-W", "--keep-going"],
        cwd=root,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    printed, warnings = (COLOUR.sub("", text) for text in (process.stdout, process.stderr))
    log = write_atomically(build / "book.log", printed + warnings)
    first_page = build / "html" / "index.html"
    passed = process.returncode == 0 and first_page.is_file()
    return Build(passed, seconds, warnings.strip(), log, first_page)
