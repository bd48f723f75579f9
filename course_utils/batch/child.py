"""The process that executes one notebook: ``python -m course_utils.batch.child``.

`NotebookProcess` starts it. It reads its orders as one line of JSON on standard input and writes
events as lines of JSON on standard output. Everything that papermill, the kernel or a library
prints goes to standard error, which is the notebook's log file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import nbformat
import psutil
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.iorw import LocalHandler, papermill_io

from course_utils.batch.notebooks import STAMP, is_injected
from course_utils.children import read_orders
from course_utils.files import write_atomically

AUTOSAVE_SECONDS = 5


def main() -> None:
    """Execute the notebook that the orders name."""
    events = _take_stdout()
    orders = read_orders()

    def send(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    papermill_io.register(str(Path(orders["partial"]).parent), _WholeFiles())
    try:
        _execute(orders, _Announcer(send))
    except PapermillExecutionError as error:
        send(event="failed", error=_last_line(error.ename, error.evalue))
    except DeadKernelError:
        send(event="failed", error="the kernel died; often the memory is full (the log says more)")
    except Exception as error:  # An error outside the cells: kernel not found, full disk ...
        send(event="failed", error=_last_line(type(error).__name__, str(error)))
        raise
    else:
        send(event="done")


def _take_stdout() -> TextIO:
    """Reserve standard output for events; whatever else is printed goes to standard error."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def _execute(orders: dict[str, Any], announcer: _Announcer) -> None:
    executed = execute_notebook(
        _verbatim(orders["notebook"]),
        _verbatim(orders["partial"]),
        parameters=orders["parameters"],
        progress_bar=False,
        cwd=orders["folder"],
        autosave_cell_every=AUTOSAVE_SECONDS,
        on_notebook_start=announcer.on_notebook_start,
        on_cell_start=announcer.on_cell_start,
    )
    executed.metadata[STAMP] = orders["stamp"]
    write_atomically(Path(orders["partial"]), nbformat.writes(executed))


def _verbatim(path: str) -> str:
    """Escape braces, which papermill would replace by parameters."""
    return path.replace("{", "{{").replace("}", "}}")


def _last_line(name: str, message: str) -> str:
    """Return an exception in the form of its traceback's last line."""
    first = next(iter(message.strip().splitlines()), "")
    return f"{name}: {first}" if first else name


class _WholeFiles(LocalHandler):
    """Writes papermill's files as a whole, so that a reader never sees half a file."""

    def write(self, buf: str, path: str) -> None:
        write_atomically(Path(path), buf)


class _Announcer:
    """Announces each code cell before it runs, from nbclient's hooks."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send

    def on_notebook_start(self, notebook: NotebookNode) -> None:
        self._notebook = notebook

    def on_cell_start(self, cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type == "code" and not is_injected(cell):
            position = _position(self._notebook, cell_index)
            self._send(event="cell", processes=_descendants(), **position)


def _position(notebook: NotebookNode, index: int) -> dict[str, Any]:
    """Return a cell's position in the source, which lacks papermill's injected cell."""
    cells = notebook.cells
    return {
        "number": sum(not is_injected(cell) for cell in cells[: index + 1]),
        "count": sum(not is_injected(cell) for cell in cells),
        "cell": cells[index].get("id", ""),
    }


def _descendants() -> list[list[float]]:
    """Return the ids and start times of the kernel and its children.

    The parent can then end them if this process no longer can.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found.append([process.pid, process.create_time()])
        except psutil.NoSuchProcess:
            continue
    return found


if __name__ == "__main__":
    main()
