"""``course data``: show where a data set is searched, and load it."""

from __future__ import annotations

from typing import Annotated

import typer

from course_utils.cli.app import app, new_console
from course_utils.colours import GOOD
from course_utils.printable import escape


def _keys() -> list[str]:
    """Return the keys of the catalogue, for a shell that completes them."""
    from course_utils.data import SPECS

    return list(SPECS)


@app.command()
def data(
    dataset: Annotated[
        str, typer.Argument(help="A data set, such as mnist.", autocompletion=_keys)
    ] = "cifar10",
    path: Annotated[
        str | None, typer.Option(metavar="PATH|stand-in", help="Default: the first place found.")
    ] = None,
) -> None:
    """Show where a data set is searched, load it, and describe it."""
    from rich.table import Table

    from course_utils.data import find_sources, load
    from course_utils.runtime import cache_dir

    console = new_console()
    table = Table("place", "found", "path", "content")
    for rung in find_sources(dataset, path):
        found = f"[{GOOD}]yes[/]" if rung.found else "no"
        table.add_row(escape(rung.rung), found, escape(rung.location), escape(rung.detail))
    console.print(table)
    console.print(repr(load(dataset, path)), markup=False, highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_dir()}", markup=False, highlight=False, soft_wrap=True)
