"""Ids that are unique on a page, and headings that are not empty."""

from __future__ import annotations

from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# Pages that Sphinx makes itself. The theme shows the title of a page at its beginning, but finds
# none for these.
TITLES = {"genindex": "Index", "py-modindex": "Python modules", "search": "Search"}

# Ids that sphinx-exercise gives to a part of every exercise and of every solution.
REPEATED = ("exercise-content", "solution-content")


def number_ids(app: Sphinx, doctree: nodes.document) -> None:
    """Give each part of an exercise an id of its own."""
    numbers: Counter[str] = Counter()
    for section in doctree.findall(nodes.section):
        if section["ids"] and section["ids"][0] in REPEATED:
            name = section["ids"][0]
            numbers[name] += 1
            section["ids"] = [f"{name}-{numbers[name]}"]


def give_title(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a title to a page that has none."""
    context["pagetitle"] = context.get("pagetitle") or TITLES.get(page, page)


def setup(app: Sphinx) -> dict[str, object]:
    """Change each page after it was read, and after the theme has looked for its title."""
    app.connect("doctree-read", number_ids)
    app.connect("html-page-context", give_title, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
