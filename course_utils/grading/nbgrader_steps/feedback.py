"""Writing the feedback page of a student, without anything that only the lecturer may see."""

from __future__ import annotations

from typing import Any

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from nbconvert.exporters import HTMLExporter
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme
from nbgrader.preprocessors.base import NbGraderPreprocessor
from traitlets import Bool

from course_utils.submission.contract import GRADE_MIME, LECTURER

# Styles of tables.
TABLES = """
.rendered_html table { margin: 1em 0; }
.rendered_html th, .rendered_html td { padding: 0.3em 0.8em; border-bottom: 1px solid #dddddd; }
"""


class HideFromStudents(NbGraderPreprocessor):
    """Removes hidden tests, rubrics and reasons for a review from the feedback."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        hidden, rubric = ClearHiddenTests(parent=self), ClearMarkScheme(parent=self)
        for cell in nb.cells:
            if utils.is_locked(cell):
                hidden._remove_hidden_test_region(cell)
                rubric._remove_mark_scheme_region(cell)
            if cell.cell_type == "code":
                cell.outputs = [o for o in cell.outputs if not o.get("metadata", {}).get(LECTURER)]
            for output in cell.get("outputs", ()):
                output.get("data", {}).pop(GRADE_MIME, None)
        return nb, resources


class PageStyle(CSSHTMLHeaderPreprocessor):
    """Adds nbgrader's styles to the page, and the styles of tables, which nbgrader lacks."""

    enabled = Bool(True).tag(config=True)

    def _generate_header(self, resources: Any) -> list[str]:
        return [*super()._generate_header(resources), TABLES]


class FeedbackExporter(HTMLExporter):
    """Writes nbgrader's page with templates that are compiled once for all pages.

    nbgrader creates an exporter for each page, and each would compile all templates again. For a
    short notebook, that takes longer than everything else.
    """

    def _create_environment(self) -> Environment:
        environment = super()._create_environment()
        environment.bytecode_cache = _compiled
        return environment


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
