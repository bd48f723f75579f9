"""Writing the feedback page of a student, without anything that only the lecturer may see."""

from __future__ import annotations

from typing import Any

from nbconvert.exporters import Exporter, HTMLExporter
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from nbgrader import utils
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme
from nbgrader.preprocessors.base import NbGraderPreprocessor
from traitlets import Bool, default

from course_utils.errors import SandboxError
from course_utils.grading.nbgrader_steps.display import CANNOT_BE_SHOWN, Display
from course_utils.grading.nbgrader_steps.examine import Examine
from course_utils.grading.sandbox.bubblewrap import require_sandbox
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
    """Has nbgrader's page rendered in a sandbox.

    If that is not possible, the page has the points and a sentence instead of the notebook. If no
    sandbox is available, nbgrader ends before it reads the first submission.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        try:
            require_sandbox(Examine(parent=self.parent).with_my_rights)
        except SandboxError as error:
            self.log.error(str(error))
            raise NbGraderException(str(error)) from error

    @default("default_preprocessors")
    def _default_preprocessors(self) -> list[str]:
        return []  # those of nbconvert change texts of the student, so they run in the sandbox

    def from_notebook_node(
        self, nb: NotebookNode, resources: Any = None, **kw: Any
    ) -> tuple[Any, Any]:
        nb, resources = Exporter.from_notebook_node(self, nb, resources, **kw)
        with Display(Examine(parent=self.parent).with_my_rights) as display:
            page = display.render(nb.cells, nb.metadata, self._settings(), _for_template(resources))
        if page is None:
            self.log.warning("The notebook is missing on the page, because %s.", display.problem)
            note = new_markdown_cell(CANNOT_BE_SHOWN)
            return super().from_notebook_node(new_notebook(cells=[note]), resources)
        return page, resources

    def _settings(self) -> dict[str, Any]:
        return {"HTMLExporter": dict(self.config.HTMLExporter)}


def _for_template(resources: dict[str, Any]) -> dict[str, Any]:
    """Return what the page says about the submission; not where the gradebook is."""
    about = {name: value for name, value in resources["nbgrader"].items() if name != "db_url"}
    return {"nbgrader": about, "inlining": resources["inlining"]}
