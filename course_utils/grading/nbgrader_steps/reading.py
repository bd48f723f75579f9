"""Having a submission searched and read by a program in a sandbox.

The grader itself lists and copies files, and reads nothing in them: a parser that takes hours, or
fails, costs only the submission that it reads. What was read once is kept under the digest of all
that it depends on, and is not read again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode
from nbformat.v4 import new_notebook

from course_utils.errors import InterruptedExaminationError
from course_utils.files import write_atomically
from course_utils.fingerprint import digest, digest_of_json
from course_utils.grading.examine.job import digest_of_grader
from course_utils.grading.inside.handed_in import File, is_plain
from course_utils.grading.nbgrader_steps.program import Program
from course_utils.grading.sandbox.limits import (
    MAX_FILES_BYTES,
    MAX_PAGE_BYTES,
    READ_LIMITS,
    READ_WAIT_SECONDS,
)
from course_utils.notebook_format import NEW_CELL, with_unique_ids
from course_utils.runtime import package_version, versions
from course_utils.submission.contract import MAX_JSON_BYTES
from course_utils.submission.messages import (
    AssignmentCell,
    HandedInFile,
    ReadFile,
    ReadNotebook,
    ReadReply,
    ReadRequest,
)

READER = "course_utils.grading.inside.reader:serve"

# Endings of the files that networks and their records have.
NETWORK_ENDINGS = (".keras", ".json")

MAKES_NO_SENSE = "the program that reads it has given an answer that makes no sense"


@dataclass(frozen=True)
class Received:
    """What was found in a submission.

    Attributes
    ----------
    reply : ReadReply
    contents : dict of bytes
        Path of a file that was found in an archive, or had to be encoded anew -> its content. Files
        that are too large for the copy of the submission are left out.
    """

    reply: ReadReply
    contents: dict[str, bytes]


class _NoAnswerError(Exception):
    """The reader has ended; the message is a clause that says why."""


def read_submission(
    files: Iterable[File],
    notebooks: Mapping[str, Iterable[AssignmentCell]],
    names: Iterable[str],
    *,
    kept: Path,
    with_my_rights: bool,
) -> Received:
    """Find the work in a submission, and read it, unless it was read before.

    What takes too long, or too much memory, counts as empty. It is read again the next time, like a
    submission of which something has to be taken from an archive, or encoded anew.

    Parameters
    ----------
    files : iterable of File
        Those in its folder.
    notebooks : mapping
        Name of a notebook of the assignment -> its cells.
    names : iterable of str
        Names of networks and records for which the tests ask, without their endings.
    kept : Path
        Folder for what readers have answered.
    with_my_rights : bool
        Whether the reader has the lecturer's rights, without a sandbox.

    Raises
    ------
    InterruptedExaminationError
        If the reader was ended from outside, and another one too.
    OSError
        If a file cannot be read, or the answer cannot be kept.
    """
    request, sent = request_for(files, notebooks, names)
    answer = kept / f"{_digest(request, sent)}.json"
    with contextlib.suppress(OSError, _NoAnswerError):
        return Received(_checked(answer.read_bytes(), request), {})
    try:
        received = _ask_twice(request, sent, with_my_rights)
    except _NoAnswerError as error:
        return _nothing(request, str(error))
    if not received.contents:
        write_atomically(answer, received.reply.to_bytes().decode())
    return received


def request_for(
    files: Iterable[File], notebooks: Mapping[str, Iterable[AssignmentCell]], names: Iterable[str]
) -> tuple[ReadRequest, dict[str, bytes]]:
    """Return the request to the reader, and the contents that it needs: path -> content."""
    by_path = {str(file.path): file for file in files}
    sent = {path: file.read() for path, file in by_path.items() if _is_read(file)}
    request = ReadRequest(
        notebooks={name: tuple(cells) for name, cells in notebooks.items()},
        names=tuple(sorted(names)),
        files=tuple(
            HandedInFile(path=path, size=file.size, modified=file.modified, follows=path in sent)
            for path, file in by_path.items()
        ),
    )
    return request, sent


def _is_read(file: File) -> bool:
    """Tell whether the reader needs the content of a file: networks are only copied."""
    return file.ending in (".ipynb", ".json") or file.is_archive


def _digest(request: ReadRequest, sent: dict[str, bytes]) -> str:
    """Return a digest of all that a reader's answer depends on."""
    contents = [digest(content) for content in sent.values()]
    grader = digest_of_grader(), versions(), package_version("nbformat")
    return digest_of_json([digest(request.to_bytes()), *contents, *grader])


def _ask_twice(request: ReadRequest, sent: dict[str, bytes], with_my_rights: bool) -> Received:
    """Ask a reader, and another one if the first was ended from outside.

    That says nothing about the submission.
    """
    with contextlib.suppress(InterruptedExaminationError):
        return _ask(request, sent, with_my_rights)
    return _ask(request, sent, with_my_rights)


def _ask(request: ReadRequest, sent: dict[str, bytes], with_my_rights: bool) -> Received:
    in_folder = {file.path for file in request.files}
    program = Program(READER, READ_LIMITS, READ_WAIT_SECONDS, with_my_rights)
    try:
        answer = program.ask(request.to_bytes(), *sent.values(), most_bytes=MAX_PAGE_BYTES)
        if answer is None:
            raise _NoAnswerError(program.why_ended())
        reply = _checked(answer, request)
        wanted: dict[str, int] = {}
        size = 0
        for file in in_order(reply.files):
            if file.source not in in_folder:
                size += file.size
                wanted |= {file.path: file.size} if size <= MAX_FILES_BYTES else {}
        # A character takes at most four bytes in UTF-8, and at least one in any encoding.
        wanted |= dict.fromkeys(reply.encoded, 4 * MAX_JSON_BYTES)
        wanted |= {
            f"{name}.ipynb": MAX_FILES_BYTES
            for name, notebook in reply.notebooks.items()
            if notebook.source not in in_folder | {""}
        }
        contents = {}
        for path, size in wanted.items():
            content = program.ask(path.encode(), most_bytes=size)
            if content is None:
                raise _NoAnswerError(program.why_ended())
            contents[path] = content
        return Received(reply, contents)
    finally:
        program.close()


def in_order(files: Iterable[ReadFile]) -> list[ReadFile]:
    """Return files in the order in which they get their room: networks and records come first."""
    return sorted(files, key=lambda file: PurePosixPath(file.path).suffix not in NETWORK_ENDINGS)


def _checked(answer: bytes, request: ReadRequest) -> ReadReply:
    """Return the reader's reply; refuse one that it cannot give, unless it was taken over.

    Raises
    ------
    _NoAnswerError
        If it is no reply, or names other notebooks, records or cells than the request, or paths
        outside the folder, or impossible sizes.
    """
    try:
        reply = ReadReply.from_bytes(answer)
    except ValueError as error:
        raise _NoAnswerError(MAKES_NO_SENSE) from error
    paths = [PurePosixPath(file.path) for file in reply.files]
    is_right = reply.notebooks.keys() == request.notebooks.keys() and all(map(is_plain, paths))
    is_right &= all(file.size >= 0 for file in reply.files)
    is_right &= set(reply.encoded) <= {f"{name}.json" for name in request.names}
    for name, cells in request.notebooks.items():
        found = [cell.name for cell in reply.notebooks[name].cells if cell.name] if is_right else []
        is_right &= len(set(found)) == len(found) and set(found) <= {cell.name for cell in cells}
    if not is_right:
        raise _NoAnswerError(MAKES_NO_SENSE)
    return reply


def _nothing(request: ReadRequest, why: str) -> Received:
    """Return what is graded of a submission that cannot be read."""
    notebooks = {name: ReadNotebook() for name in request.notebooks}
    problem = f"The submission cannot be read, because {why}. It counts as empty."
    return Received(ReadReply(notebooks=notebooks, problems=(problem,)), {})


def as_notebook(read: ReadNotebook) -> NotebookNode:
    """Return the cells that were read, as a notebook."""
    notebook = new_notebook()
    for each in read.cells:
        cell = NEW_CELL[each.kind](each.text, id=each.id)
        if each.name:
            cell.metadata["nbgrader"] = NotebookNode(grade_id=each.name)
        if each.tags:
            cell.metadata["tags"] = list(each.tags)
        if each.attachments is not None and each.kind != "code":
            cell["attachments"] = NotebookNode(
                {name: NotebookNode(kinds) for name, kinds in each.attachments.items()}
            )
        notebook.cells.append(cell)
    return with_unique_ids(notebook)
