"""The reader without its sandbox, for tests of what it finds."""

from __future__ import annotations

from collections.abc import Mapping

from course_utils.grading.inside import reader
from course_utils.grading.nbgrader_steps.reading import Received, request_for
from course_utils.submission.messages import AssignmentCell


def read_here(files, notebooks, names) -> Received:
    """Find the work in files, as `reading.read_submission` does, but in this process."""
    request, sent = request_for(files, notebooks, names)
    reply, contents = reader.read(request, sent)
    networks = {file.path for file in request.files} - set(sent)
    needed = {f.path for f in reply.files if f.source not in networks} | set(reply.encoded)
    needed |= {f"{name}.ipynb" for name, notebook in reply.notebooks.items() if notebook.source}
    return Received(reply, {path: contents[path]() for path in needed})


def answer_cells(released: Mapping[str, str]) -> list[AssignmentCell]:
    """Return cells for answers: id -> text as it was released."""
    return [
        AssignmentCell(name=name, kind="code", text=text, is_answer=True)
        for name, text in released.items()
    ]
