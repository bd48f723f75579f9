"""``course run`` and ``course book``: execute notebooks, and build the book."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand

from course_utils.cli.app import FAILURE, INTERRUPTED, DataOption, SchedulerOption, app, new_console
from course_utils.colours import BAD
from course_utils.errors import RunError

if TYPE_CHECKING:
    from course_utils.batch import Report


class PairedParameters(TyperCommand):
    """Reads ``-p NAME VALUE`` as papermill does; Typer has no repeatable options of two words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join each pair of words before Typer reads them."""
        joined, rest = [], iter(args)
        for argument in rest:
            joined.append(argument)
            if argument in ("-p", "--param"):
                name, value = next(rest, None), next(rest, None)
                if value is None:
                    raise RunError(f"{argument} takes two words: {argument} NAME VALUE.")
                joined.append(f"{name}={value}")
        return super().parse_args(ctx, joined)


class Profile(enum.StrEnum):
    """The size of a run."""

    fast = "fast"
    full = "full"


ProfileOption = Annotated[
    Profile, typer.Option(help="fast: minutes on two CPU cores; full: the documents' recipes.")
]

ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME VALUE", help="A notebook's parameter; repeatable."),
]

JobsOption = Annotated[
    int | None,
    typer.Option(help="Notebooks at a time. Default: 2; 1 on a single core or with a GPU."),
]

TimeoutOption = Annotated[
    float | None, typer.Option(help="Seconds for each notebook. Default: no limit.")
]

AgainOption = Annotated[bool, typer.Option("--again", help="Execute unchanged notebooks too.")]


@app.command(cls=PairedParameters)
def run(
    notebooks: Annotated[
        list[Path] | None,
        typer.Argument(help="Notebooks or folders of them. Default: book/NN_*.ipynb."),
    ] = None,
    profile: ProfileOption = Profile.fast,
    param: ParametersOption = None,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results. Default: _build/run.")
    ] = None,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    timeout: TimeoutOption = None,
    again: AgainOption = False,
    kernel: Annotated[
        str | None, typer.Option("--kernel", "-k", help="Default: each notebook's own.")
    ] = None,
) -> None:
    """Execute notebooks with papermill, and compare their results with the thresholds.

    Unchanged notebooks are not executed again; after an interruption, the same command continues.
    The results, and a report.json, are written to the output folder.
    """
    from course_utils.batch import run_notebooks
    from course_utils.batch.report_table import print_report

    console = new_console()
    if not notebooks:
        _prepare_data(data, console)
    report = run_notebooks(
        notebooks or (),
        profile=profile.value,
        parameters=typed_parameters(param),
        data=data,
        out=out,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        again=again,
        kernel=kernel,
        console=console,
    )
    print_report(report, console)
    raise typer.Exit(_exit_code(report))


@app.command(cls=PairedParameters)
def book(
    profile: ProfileOption = Profile.fast,
    param: ParametersOption = None,
    data: DataOption = None,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    timeout: TimeoutOption = None,
    again: AgainOption = False,
) -> None:
    """Execute the chapters and build the HTML book from their outputs."""
    from course_utils.batch import run_notebooks
    from course_utils.batch.book import build_book
    from course_utils.batch.report import FAILED_STATUSES
    from course_utils.batch.report_table import print_report

    console = new_console()
    _prepare_data(data, console)
    report = run_notebooks(
        profile=profile.value,
        parameters=typed_parameters(param),
        data=data,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        again=again,
        for_book=True,
        console=console,
    )
    if any(outcome.status in FAILED_STATUSES for outcome in report.notebooks):
        print_report(report, console)
        console.print(f"[{BAD}]The book was not built: a chapter failed.[/]")
        raise typer.Exit(_exit_code(report))
    with console.status("Building the book"):
        build = build_book(Path.cwd())
    print_report(report, console)
    if not build.passed:
        console.print(build.warnings, markup=False, highlight=False, soft_wrap=True)
        console.print(
            f"[{BAD}]The book has errors:[/] the whole log is {build.log}", soft_wrap=True
        )
        raise typer.Exit(FAILURE)
    console.print(f"Book built without a warning in {build.seconds:.0f} s (log: {build.log})")
    console.print(f"First page: {build.first_page}", soft_wrap=True)
    raise typer.Exit(_exit_code(report))


def typed_parameters(pairs: list[str] | None) -> dict[str, Any]:
    """Return parameters, with values of the types that papermill's command line gives them."""
    if not pairs:
        return {}
    from papermill.cli import _resolve_type

    split = (pair.partition("=") for pair in pairs)
    return {name: _resolve_type(value) for name, _, value in split}


def _prepare_data(path: str | None, console: Console) -> None:
    """Load the data once, so that a download or a first decoding does not happen in a chapter."""
    from course_utils.data import load
    from course_utils.data.catalogue import DEFAULT, SPECS

    sources = [load(name, path).source for name in (SPECS if path is None else [DEFAULT])]
    console.print(f"Data: {', '.join(source.name for source in sources)}", highlight=False)


def _exit_code(report: Report) -> int:
    from course_utils.batch.report import NOT_RUN

    if any(outcome.status == NOT_RUN for outcome in report.notebooks):
        return INTERRUPTED
    return 0 if report.passed else FAILURE
