"""Carry three things from a notebook's outputs into the page: alt texts, run reports, networks.

* A picture keeps its alternative text in the output's metadata (``{"image/png": {"alt": ...}}``).
  MyST-NB takes only width and height from there; this puts the text on the ``<img>``.
* A chapter's last cell displays its report (see `course_utils.report`). It is kept in the build
  environment, where the status page finds it.
* A trained network that a reader can explore (see `course_utils.network_page`) is displayed by the
  scripts as they are now, and kept for other pages, too.
"""

from __future__ import annotations

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer, load_mime_renders
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

from course_utils.reporting import REPORT_MIME
from course_utils.web_page.fragment import PAGE_KEY, data_of, fragment

REPORT_KEY = "course_report"
NETWORK_KEY = "course_network"


class CourseOutputs:
    """A MyST-NB MIME renderer, see ``myst_nb.core.render.MimeRenderPlugin``."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Render one output, or return None to leave it to MyST-NB."""
        env = renderer.renderer.sphinx_env
        if data.mime_type == REPORT_MIME:
            NbMetadataCollector.set_doc_data(env, env.docname, REPORT_KEY, data.content)
            return []  # the sentence beside it is what the page shows
        about = data.output_metadata.get(data.mime_type, {})
        if PAGE_KEY in about:
            exported = data_of(data.string)
            NbMetadataCollector.set_doc_data(env, env.docname, NETWORK_KEY, exported)
            return [explorer(exported)]
        alt = about.get("alt")
        if data.mime_type in ("image/png", "image/jpeg", "image/svg+xml") and alt:
            images = renderer.render_image(data)
            for image in images:
                image["alt"] = alt
            return images
        return None


def explorer(exported: str) -> nodes.raw:
    """Return a network, exported as JSON, as a part of the page."""
    return nodes.raw(text=fragment(exported), format="html", classes=["output", "text_html"])


def setup(app: Sphinx) -> dict[str, object]:
    """Register the renderer."""
    # MyST-NB finds renderers through the entry points of installed packages. This one belongs to
    # the book alone, so it goes first in the list that MyST-NB has read, and keeps, instead.
    load_mime_renders().insert(0, CourseOutputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
