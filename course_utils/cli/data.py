"""``course data``: show where a data set is looked for, and load it."""

from __future__ import annotations

import enum
from typing import Annotated

import typer
from rich.markup import escape

from course_utils.cli.app import app, new_console


class DatasetName(enum.StrEnum):
    """The data sets of the course."""

    cifar10 = "cifar10"
    mnist = "mnist"


@app.command()
def data(
    dataset: Annotated[DatasetName, typer.Argument(help="Which data set.")] = DatasetName.cifar10,
    path: Annotated[
        str | None, typer.Option(metavar="PATH|stand-in", help="Default: search for the data.")
    ] = None,
) -> None:
    """Show where a data set is looked for, load it, and show what came out."""
    from rich.table import Table

    from course_utils.data import find_sources, load_cifar10, load_mnist
    from course_utils.runtime import cache_dir

    console = new_console()
    table = Table("place", "found", "where", "what")
    for rung in find_sources(dataset.value, path):
        found = "[green]yes[/]" if rung.found else "no"
        table.add_row(escape(rung.rung), found, escape(rung.location), escape(rung.detail))
    console.print(table)
    load = load_cifar10 if dataset is DatasetName.cifar10 else load_mnist
    console.print(repr(load(path)), markup=False, highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_dir()}", markup=False, highlight=False, soft_wrap=True)
