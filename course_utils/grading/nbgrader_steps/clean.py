"""Removing scripts from what a student's notebook displays."""

from __future__ import annotations

import logging
import re
from typing import Any

from bs4 import BeautifulSoup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.sanitize import SanitizeHTML
from nbformat import NotebookNode
from nbgrader.preprocessors.base import NbGraderPreprocessor

from course_utils.grading.assignment.cells import is_test
from course_utils.grading.nbgrader_steps.display import make_harmless
from course_utils.grading.nbgrader_steps.examine import Examine

# HTML tags that are kept.
HARMLESS_TAGS = [
    "a", "b", "blockquote", "br", "code", "details", "div", "em", "h1", "h2", "h3", "h4", "hr", "i",
    "li", "ol", "p", "pre", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th",
    "thead", "tr", "ul",
]  # fmt: skip

TAG = re.compile(r"<[a-zA-Z/!?]")

# Commands with which a formula can contain a link, or give the link's command another name.
LINK_IN_MATHEMATICS = re.compile(r"\\(?=href|csname)")


class RemoveScripts(SanitizeHTML, NbGraderPreprocessor):
    """Removes scripts, and links that run scripts, from what a student's notebook displays.

    A lecturer who reads the notebook in formgrader is logged in, so a script could award points.
    """

    tags = HARMLESS_TAGS

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Have each cell cleaned in a sandbox, and replace what cannot be shown."""
        make_harmless(nb, Examine(parent=self.parent).with_my_rights)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if is_test(cell):  # its outputs are the grader's own
            return cell, resources
        # Text without a tag needs no sanitizing.
        if cell.cell_type != "markdown" or TAG.search(cell.source):
            cell, resources = super().preprocess_cell(cell, resources, index)
        if cell.cell_type == "markdown":
            cell.source = _harmless(cell.source, cell.get("attachments", {}))
        for output in cell.get("outputs", ()):
            if "data" in output:
                output.metadata = _sizes(output.metadata)
                _make_harmless(output.data)
        return cell, resources


def _make_harmless(data: NotebookNode) -> None:
    if "text/markdown" in data:
        data["text/markdown"] = _harmless(data["text/markdown"], {})
    for kind in ("text/html", "text/latex"):
        if kind in data:
            data[kind] = LINK_IN_MATHEMATICS.sub("", data[kind])


def _harmless(text: str, attachments: dict[str, Any]) -> str:
    """Return Markdown; as a code block if it has links that run code, or cannot be rendered."""
    text = LINK_IN_MATHEMATICS.sub("", text)
    try:
        renderer = IPythonRenderer(escape=False, attachments=attachments)
        shown = BeautifulSoup(MarkdownWithMath(renderer=renderer).render(text), "html.parser")
        targets = [
            str(tag.get(name) or "") for name in ("href", "src") for tag in shown.find_all(True)
        ]
        if not any(_acts(target) for target in targets if target):
            return text
    except Exception as error:
        logging.getLogger(__name__).info("A text is shown as a code block: %s", error)
    fence = "`" * (3 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _acts(target: str) -> bool:
    """Tell whether a link does anything other than open a page or show a picture."""
    # Browsers ignore spaces and characters that cannot be printed.
    scheme, colon, _ = "".join(filter(str.isprintable, target)).replace(" ", "").partition(":")
    known = scheme.lower() in ("http", "https", "mailto", "attachment")
    picture = re.match(r"data:image/(png|jpeg|gif|webp);", target)
    return bool(colon) and scheme.isascii() and not (known or picture or set(scheme) & set("/?#"))


def _sizes(metadata: NotebookNode) -> NotebookNode:
    """Return only the size and the alternative text of pictures from an output's metadata."""
    kinds = {"width": int | float, "height": int | float, "alt": str}
    return NotebookNode(
        {
            kind: NotebookNode({n: v for n, v in told.items() if isinstance(v, kinds.get(n, ()))})
            for kind, told in metadata.items()
            if isinstance(told, dict)
        }
    )
