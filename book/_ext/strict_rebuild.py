"""Make a build that warned start afresh the next time.

Sphinx reads and writes only the pages that changed. A page with a broken reference counts as done
after the first build, so a second ``jupyter-book build -W`` over the same folder would find nothing
to do and pass. Without the saved environment every page is read again; executed notebooks stay
in their own cache.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import ENV_PICKLE_FILENAME, Sphinx


def forget_pages(app: Sphinx, error: Exception | None) -> None:
    """Delete the saved environment if the build gave a warning or failed."""
    if error is not None or app._warncount:
        Path(app.doctreedir, ENV_PICKLE_FILENAME).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, object]:
    """Run at the end of every build."""
    app.connect("build-finished", forget_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
