"""Interactive figures in the text: ``{widget} NAME``, with a caption that says what they show.

The caption is all that a reader without scripts sees. Scripts in ``book/_static/widgets/`` put
controls, a picture and sentences above it: ``NAME.js``, and ``shared.js`` before it.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCRIPTS = Path(__file__).parents[1] / "_static" / "widgets"
SHARED = "shared"


class Widget(nodes.figure):
    """A figure with the ``name`` of its script; unlike other figures, it gets no number."""


class WidgetDirective(SphinxDirective):
    """A figure with its caption; its classes tell the script where to draw."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        (name,) = self.arguments
        known = sorted({path.stem for path in SCRIPTS.glob("*.js")} - {SHARED})
        if name not in known:
            raise self.error(f"No widget is called {name}. There are: {', '.join(known)}.")
        words, messages = self.parse_inline(" ".join(self.content), lineno=self.content_offset)
        caption = nodes.caption("", "", *words)
        return [Widget("", caption, name=name, classes=["widget", name]), *messages]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Load the scripts of the figures on a page, each of them once."""
    figures = doctree.findall(Widget) if doctree else ()
    names = dict.fromkeys(figure["name"] for figure in figures)
    for name in [SHARED, *names] if names else ():
        app.add_js_file(f"{SCRIPTS.name}/{name}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive and its scripts."""
    app.add_node(Widget)
    app.add_directive("widget", WidgetDirective)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
