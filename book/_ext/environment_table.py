"""``{environment-table}``: every environment variable that the course reads, with its meaning.

Made from `course_utils.env` when the page is built.
"""

from __future__ import annotations

from docutils import nodes
from run_status import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from course_utils import env


class EnvironmentTable(SphinxDirective):
    """One row for each variable."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(env.__file__)
        rows = [
            [nodes.literal(text=each.name), self._parsed(each.meaning)]
            for each in env.VARIABLES.values()
        ]
        return [table(["Variable", "Meaning"], rows, wraps={1})]

    def _parsed(self, meaning: str) -> nodes.inline:
        parsed, _ = self.state.inline_text(meaning, self.lineno)
        return nodes.inline("", "", *parsed)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.setup_extension("run_status")
    app.add_directive("environment-table", EnvironmentTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
