"""The book's execution cache: the outputs of `course run` where `jupyter-book build` looks.

MyST-NB asks jupyter-cache for a notebook with the same code cells and kernel as the source.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import JupyterCacheAbstract
from jupyter_cache.cache.db import NbCacheRecord
from nbformat import NotebookNode

from course_utils.batch.notebooks import code_cells, graft
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
