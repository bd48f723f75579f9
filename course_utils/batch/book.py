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

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.cache.db import NbCacheRecord
from nbformat import NotebookNode

from course_utils.batch.notebooks import code_cells, graft
from course_utils.errors import RunError
from course_utils.files import write_atomically


def book_cache_path(root: Path) -> Path:
    """Return where `jupyter-book build` in `root` looks, unless ``_config.yml`` says otherwise."""
    return root / "_build" / ".jupyter_cache"


def store_in_book_cache(
    path: Path, source: NotebookNode, executed: NotebookNode, seconds: float, cache_path: Path
) -> None:
    """Make an executed notebook the one that the book shows, executing nothing.

    Parameters
    ----------
    path : Path
        The source file.
    source, executed : NotebookNode
        What it holds, and the same code as papermill executed it.
    seconds : float
        How long that took.
    cache_path : Path
        See `book_cache_path`.
    """
    cache = get_cache(cache_path)
    shown = graft(source, executed)
    if _holds(cache, shown):
        return
    # The order matters: whenever this is killed, the cache holds all of the old outputs,
    # all of the new ones, or none. (`cache_notebook_bundle` announces outputs, then writes them.)
    content, hashkey = cache.create_hashed_notebook(shown)
    _forget_record(cache, hashkey)
    file = cache.path / "executed" / hashkey / "base.ipynb"
    write_atomically(file, nbformat.writes(content, nbformat.NO_CONVERT))
    NbCacheRecord.create_record(
        uri=str(path), hashkey=hashkey, db=cache.db, data={"execution_seconds": seconds}
    )


def drop_from_book_cache(source: NotebookNode, cache_path: Path) -> None:
    """Make the book forget a notebook whose outputs no longer hold."""
    cache = get_cache(cache_path)
    _, hashkey = cache.create_hashed_notebook(source)
    _forget_record(cache, hashkey)
    shutil.rmtree(cache.path / "executed" / hashkey, ignore_errors=True)


def _holds(cache: JupyterCacheAbstract, shown: NotebookNode) -> bool:
    """Tell whether the cache already answers with exactly these outputs."""
    try:
        _, found = cache.merge_match_into_notebook(shown)
    except KeyError:
        return False
    return _outputs(found) == _outputs(shown)


def _outputs(notebook: NotebookNode) -> list:
    return [[cell.outputs, cell.execution_count] for cell in code_cells(notebook)]


def _forget_record(cache: JupyterCacheAbstract, hashkey: str) -> None:
    try:
        record = NbCacheRecord.record_from_hashkey(hashkey, cache.db)
    except KeyError:
        return
    NbCacheRecord.remove_record(record.pk, cache.db)


# Sphinx writes escape sequences for colours even where there is no terminal.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Build:
    """How a build of the book ended.

    Attributes
    ----------
    passed : bool
        Whether there was neither an error nor a warning.
    seconds : float
    warnings : str
        All that the build complained about.
    log : Path
        Everything that it printed.
    first_page : Path
    """

    passed: bool
    seconds: float
    warnings: str
    log: Path
    first_page: Path


def build_book(root: Path) -> Build:
    """Run ``jupyter-book build . -n -W --keep-going`` in `root`, strictly.

    Raises
    ------
    RunError
        If `root` is not a book's folder, or Jupyter Book is not installed.
    """
    for name in ("_config.yml", "_toc.yml"):
        if not (root / name).is_file():
            raise RunError(f"There is no {name} in {root}: change to the course's folder.")
    command = Path(sys.executable).parent / "jupyter-book"
    if not command.exists():
        raise RunError("Jupyter Book is not installed here: pip install -r requirements.txt.")
    build = root / "_build"
    # Kept parse results hide the warnings of pages that did not change, and with them failures.
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
