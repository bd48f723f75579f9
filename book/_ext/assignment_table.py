"""``{assignment-tables}``: for every assignment, what is asked, tested and worth how many points.

Read from the lecturers' notebooks in ``assignments/source`` when the page is built: a question that
is changed there changes here.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from run_status import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from course_utils.grading.assignment.course import assignments, read_source, source_path
from course_utils.grading.assignment.questions import questions


class AssignmentTables(SphinxDirective):
    """One section with a table for each assignment."""

    def run(self) -> list[nodes.Node]:
        course = Path(self.env.srcdir) / "assignments"
        return [node for name in assignments(course) for node in self._one(course, name)]

    def _one(self, course: Path, name: str) -> list[nodes.Node]:
        self.env.note_dependency(str(source_path(course, name)))
        asked = questions(course, name)
        points = sum(question.points for question in asked)
        rows = [
            [
                question.objective,
                question.name,
                nodes.literal(text=question.test),
                f"{question.points:g}",
                "automatically" if question.automatic else "by a person",
            ]
            for question in asked
        ]
        headings = ["After it you can", "Question", "Test", "Points", "Graded"]
        about = nodes.paragraph(
            "", "", nodes.literal(text=name), nodes.Text(f", {points:g} points")
        )
        title = nodes.rubric(
            text=read_source(course, name).cells[0].source.splitlines()[0].strip("# ")
        )
        return [title, about, table(headings, rows, wraps={0, 2})]


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.setup_extension("run_status")
    app.add_directive("assignment-tables", AssignmentTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
