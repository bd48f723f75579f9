"""What all commands share: errors in one sentence, options, the console."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from course_utils.errors import CourseError

FAILURE = 1


WRONG_INPUT = 2


INTERRUPTED = 130


# What a table is laid out for where no terminal says how wide it is.
PLAIN_WIDTH = 150


class PlainErrors(TyperGroup):
    """Shows the errors of the course, and of the system, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CourseError, OSError) as error:
            Console(stderr=True, emoji=False).print(
                f"[red]Error:[/] {escape(str(error))}", soft_wrap=True
            )
            raise typer.Exit(WRONG_INPUT) from error


app = typer.Typer(
    cls=PlainErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Image classification with deep networks, on CIFAR-10: run, check and build the course.",
)


DataOption = Annotated[
    str | None, typer.Option(metavar="PATH|stand-in", help="Default: search for the data.")
]


SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers run the notebooks."),
]


def new_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)
