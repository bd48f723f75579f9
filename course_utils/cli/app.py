"""The parts that all commands share: one-sentence errors, options, the console."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from course_utils.colours import BAD
from course_utils.errors import CourseError
from course_utils.printable import escape

# Exit statuses.
FAILURE, WRONG_INPUT, INTERRUPTED = 1, 2, 130

# Width of tables, in characters, if the output is not a terminal.
PLAIN_WIDTH = 150


class PlainErrors(TyperGroup):
    """Shows errors of the course and of the system as one sentence, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Call the command."""
        try:
            return super().invoke(ctx)
        except (CourseError, OSError) as error:
            Console(stderr=True, emoji=False).print(
                f"[{BAD}]Error:[/] {escape(str(error))}", soft_wrap=True
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
    str | None,
    typer.Option(metavar="PATH|stand-in", help="The data set. Default: the first one found."),
]

SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler, whose workers do the work."),
]


def new_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for tables without a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)
