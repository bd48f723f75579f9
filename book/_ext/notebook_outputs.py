"""Carry two things from a notebook's outputs into the page: alt texts and run reports.

* A picture keeps its alternative text in the output's metadata (``{"image/png": {"alt": ...}}``).
  MyST-NB takes only width and height from there; this puts the text on the ``<img>``.
* A chapter's last cell displays its report (see `course_utils.report`). It is kept in the build
  environment, where the status page finds it.
"""

from __future__ import annotations

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer, load_mime_renders
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx

from course_utils.reporting import REPORT_MIME

REPORT_KEY = "course_report"


class CourseOutputs:
    """A MyST-NB MIME renderer, see ``myst_nb.core.render.MimeRenderPlugin``."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Element] | None:
        """Render one output, or return None to leave it to MyST-NB."""
        if data.mime_type == REPORT_MIME:
            env = renderer.renderer.sphinx_env
            NbMetadataCollector.set_doc_data(env, env.docname, REPORT_KEY, data.content)
            return []  # the sentence beside it is what the page shows
        alt = data.output_metadata.get(data.mime_type, {}).get("alt")
        if data.mime_type in ("image/png", "image/jpeg", "image/svg+xml") and alt:
            images = renderer.render_image(data)
            for image in images:
                image["alt"] = alt
            return images
        return None


def setup(app: Sphinx) -> dict[str, object]:
    """Register the renderer."""
    # MyST-NB finds renderers through the entry points of installed packages. This one belongs to
    # the book alone, so it goes first in the list that MyST-NB has read, and keeps, instead.
    load_mime_renders().insert(0, CourseOutputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
