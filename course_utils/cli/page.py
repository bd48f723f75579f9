"""``course page``: a trained network as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from course_utils.cli.app import DataOption, app, new_console


@app.command()
def page(
    network: Annotated[Path, typer.Argument(metavar="FILE.keras", help="A trained network.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.html", help="Default: beside the network."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Turn a trained network into one HTML file that computes it in any browser.

    Nothing in the network's file is run, and the page contacts nobody.
    """
    from course_utils.doctor import quiet_setup

    quiet_setup()
    from course_utils.web_page.file import page_of_file

    written = page_of_file(network, data).save(out or network.with_suffix(".html"))
    new_console().print(f"written {written}", markup=False, highlight=False, soft_wrap=True)
