"""The reader: the program that finds the work in a submission, and reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from course_utils.grading.inside.handed_in import (
    Choice,
    File,
    HandedIn,
    find_files,
    find_notebooks,
)
from course_utils.grading.inside.recognise import mark_cells
from course_utils.grading.inside.submitted import make_runnable, read_notebook
from course_utils.grading.sandbox.limits import MAX_PAGE_BYTES
from course_utils.notebook_format import GUESSED, Repairs, decode, grade_id
from course_utils.submission.contract import MAX_JSON_BYTES
from course_utils.submission.messages import (
    AssignmentCell,
    ReadCell,
    ReadFile,
    ReadNotebook,
    ReadReply,
    ReadRequest,
)

# Files that have to lie elsewhere: path -> what returns the content.
Contents = dict[str, Callable[[], bytes]]


def serve(descriptor: int) -> None:
    """Answer a request, and then send contents until the grader closes the connection."""
    connection = Connection(descriptor)
    request = ReadRequest.from_bytes(connection.recv_bytes())
    sent = {file.path: connection.recv_bytes() for file in request.files if file.follows}
    reply, contents = read(request, sent)
    answer = reply.to_bytes()
    if len(answer) > MAX_PAGE_BYTES:
        raise ValueError(f"more than {MAX_PAGE_BYTES // 2**20} MB")
    connection.send_bytes(answer)
    while True:
        try:
            path = connection.recv_bytes().decode()
        except EOFError:
            return
        connection.send_bytes(contents[path]())


def read(request: ReadRequest, sent: Mapping[str, bytes]) -> tuple[ReadReply, Contents]:
    """Find the work in a submission, and read it.

    Parameters
    ----------
    request : ReadRequest
    sent : mapping of bytes
        Path of a file whose content the grader has sent -> content.

    Returns
    -------
    ReadReply
    dict of callable
        Path of everything that must lie elsewhere, or was encoded anew -> what returns its content.
    """
    handed_in = HandedIn(
        [
            File(
                Path(f.path),
                Path(f.path).name,
                f.size,
                f.modified,
                partial(sent.__getitem__, f.path),
            )
            for f in request.files
        ]
    )
    released = {
        name: {cell.name: cell.text for cell in cells if cell.name and cell.is_answer}
        for name, cells in request.notebooks.items()
    }
    chosen = find_notebooks(handed_in, released, read_notebook)
    beside = [choice.file.path.parent for choice in chosen.values() if choice.file]
    moved, about_files = find_files(handed_in, request.names, beside)
    in_folder = {file.path for file in handed_in.plain}
    for file in moved.values():
        if file.path not in in_folder:
            file.read()  # so that what is damaged is among the problems
    contents: Contents = {str(path): file.read for path, file in moved.items()}
    contents |= {f"{name}.ipynb": c.file.read for name, c in chosen.items() if c.file}
    there = {str(file.path): file for file in handed_in.plain}
    there |= {str(path): file for path, file in moved.items()}
    encoded = {}
    for path in (f"{name}.json" for name in sorted(request.names)):
        if path in there and (found := _in_utf_8(there[path])):
            encoded[path], guessed = found
            about_files += [f"{path}: {GUESSED.format(guessed)}"] if guessed else []
    contents |= {path: partial(bytes, content) for path, content in encoded.items()}
    reply = ReadReply(
        notebooks={
            name: _read(choice, f"{name}.ipynb", request.notebooks[name])
            for name, choice in chosen.items()
        },
        files=tuple(
            ReadFile(path=str(path), source=str(file.path), size=file.size)
            for path, file in moved.items()
        ),
        encoded=tuple(encoded),
        problems=(*handed_in.problems, *about_files),
    )
    return reply, contents


def _read(choice: Choice, name: str, assignment: tuple[AssignmentCell, ...]) -> ReadNotebook:
    """Read the file that was chosen for a notebook; without one, the notebook is empty."""
    notebook, repairs = new_notebook(), Repairs()
    if choice.file:
        notebook, repairs = read_notebook(choice.file.read(), name)
    make_runnable(notebook)
    notes = mark_cells(notebook.cells, assignment)
    return ReadNotebook(
        source=str(choice.file.path) if choice.file else "",
        cells=tuple(map(_as_message, notebook.cells)),
        losses=(*choice.sentences, *repairs.losses),
        of_form=repairs.of_form,
        notes=tuple(notes),
    )


def _as_message(cell: NotebookNode) -> ReadCell:
    return ReadCell(
        kind=cell.cell_type,
        id=cell.id,
        text=cell.source,
        name=grade_id(cell) or "",
        tags=tuple(cell.metadata.get("tags", ())),
        attachments=cell.get("attachments"),
    )


def _in_utf_8(file: File) -> tuple[bytes, str] | None:
    """Return a record in UTF-8, and the encoding if it was guessed; None if it is in UTF-8."""
    if file.size > MAX_JSON_BYTES:
        return None
    content = file.read()
    text, guessed = decode(content)
    encoded = text.removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    return None if encoded == content else (encoded, guessed)
