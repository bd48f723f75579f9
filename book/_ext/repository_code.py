"""A code block that names the repository, whose address stands only in ``_config.yml``.

``{repository-code} bash`` is an ordinary code block in which ``{repository}`` becomes the address
and ``{name}`` its last part.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class RepositoryCode(SphinxDirective):
    """Write the address into the block's text."""

    required_arguments = 1  # the language, for highlighting
    has_content = True

    def run(self) -> list[nodes.Node]:
        address = self.config.html_theme_options["repository_url"]
        name = address.rsplit("/", 1)[-1]
        text = "\n".join(self.content).replace("{repository}", address).replace("{name}", name)
        return [nodes.literal_block(text, text, language=self.arguments[0])]


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directive."""
    app.add_directive("repository-code", RepositoryCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
