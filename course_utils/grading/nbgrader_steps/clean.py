"""Making a graded notebook harmless for whoever opens it in a browser."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors.base import NbGraderPreprocessor

from course_utils.grading.nbgrader_steps.display import make_harmless
from course_utils.grading.nbgrader_steps.examine import Examine


class RemoveScripts(NbGraderPreprocessor):
    """Has each cell cleaned in a sandbox, and replaces what cannot be shown."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        make_harmless(nb, Examine(parent=self.parent).with_my_rights)
        return nb, resources
