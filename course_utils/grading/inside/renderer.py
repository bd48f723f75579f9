"""The renderer: the program that cleans and renders what a student's notebook shows."""

from __future__ import annotations

import gc
import json
from importlib.metadata import distribution
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from course_utils.grading.inside.cleaning import clean_cell
from course_utils.grading.inside.reader import read_notebook
from course_utils.grading.sandbox.limits import MAX_PAGE_BYTES
from course_utils.submission.messages import ShowReply, ShowRequest

# Folder of formgrader in nbgrader, with the template of the feedback page and its styles. Importing
# nbgrader would take half a second, for its database and its server.
FORMGRADER = Path(
    str(distribution("nbgrader").locate_file("nbgrader/server_extensions/formgrader"))
)
BOOTSTRAP = FORMGRADER / "static" / "node_modules" / "bootstrap" / "dist" / "css"
FEEDBACK = {"template_name": "feedback", "extra_template_basedirs": [str(FORMGRADER / "templates")],
            "extra_template_paths": [str(BOOTSTRAP)]}  # fmt: skip


class PageExporter(HTMLExporter):
    """Renders pages with templates that are compiled once for all pages.

    An exporter is created for each page, and each would compile all templates again. For a short
    notebook, that takes longer than everything else.
    """

    def _create_environment(self) -> Environment:
        environment = super()._create_environment()
        environment.bytecode_cache = _compiled
        return environment

    def _preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Run the steps of nbconvert, one of which would replace the styles that are given."""
        given = resources.get("inlining")
        nb, resources = super()._preprocess(nb, resources)
        if given:
            resources["inlining"] = given
        return nb, resources


class _InMemory(BytecodeCache):
    """Cache of the compiled templates in this process."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_compiled = _InMemory()


def serve(descriptor: int) -> None:
    """Answer requests until the grader closes the connection."""
    connection = Connection(descriptor)
    while True:
        try:
            request = ShowRequest.from_bytes(connection.recv_bytes())
        except EOFError:
            return
        try:
            reply = ShowReply(content=_answer(request)).to_bytes()
        except Exception as error:
            reply = ShowReply(problem=type(error).__name__).to_bytes()
        if len(reply) > MAX_PAGE_BYTES:
            reply = ShowReply(problem=f"more than {MAX_PAGE_BYTES // 2**20} MB").to_bytes()
        connection.send_bytes(reply)


def _answer(request: ShowRequest) -> str:
    notebook = nbformat.from_dict(json.loads(request.notebook))
    if request.command == "clean":
        return json.dumps(
            [
                clean_cell(cell, n in request.tests, n in request.locked)
                for n, cell in enumerate(notebook.cells)
            ]
        )
    exporter = PageExporter(config=Config(request.settings))
    page, _ = exporter.from_notebook_node(notebook, request.resources)
    return page


def import_everything() -> None:
    """Import and compile what renderer and reader use: clean, render and read a small notebook."""
    shown = new_output("display_data", data={"text/html": "<b>1</b>", "text/markdown": "$1$"})
    printed = new_output("stream", name="stdout", text="1")
    cells = [new_markdown_cell("<b>1</b> $1$\n```python\n1\n```"),
             new_code_cell("1", outputs=[shown, printed])]  # fmt: skip
    for cell in cells:
        clean_cell(cell, of_test=False, is_locked=False)
    language = {"name": "python", "pygments_lexer": "ipython3"}
    notebook = new_notebook(cells=cells, metadata={"language_info": language})
    about = {"nbgrader": {"score": 0, "max_score": 0, "late_penalty": 0}, "inlining": {}}
    for settings in ({"template_name": "basic"}, FEEDBACK):
        exporter = PageExporter(config=Config({"HTMLExporter": settings}))
        exporter.from_notebook_node(notebook, about)
    read_notebook(nbformat.writes(notebook).encode(), "a.ipynb")
    # Frozen objects are not searched for garbage again, which would also copy their pages.
    gc.collect()
    gc.freeze()
