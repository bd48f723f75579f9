"""The command line: ``course doctor | data | run | book | zoo | assignment | grade``.

Each command imports what it needs when it is called, so that ``course --help`` is quick.
"""

from __future__ import annotations

import enum
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from course_utils.errors import CourseError, RunError

if TYPE_CHECKING:
    from course_utils.batch import Report

FAILURE = 1
WRONG_INPUT = 2
INTERRUPTED = 130
# What a table is laid out for where no terminal says how wide it is.
PLAIN_WIDTH = 150


class _PlainErrors(TyperGroup):
    """Shows the errors of the course, and of the system, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (CourseError, OSError) as error:
            Console(stderr=True, emoji=False).print(
                f"[red]Error:[/] {escape(str(error))}", soft_wrap=True
            )
            raise typer.Exit(WRONG_INPUT) from error


class _PairedParameters(TyperCommand):
    """Reads ``-p NAME VALUE`` as papermill does: Typer knows no repeatable option of two words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
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
    """Sizes of a run."""

    fast = "fast"
    full = "full"


class DatasetName(enum.StrEnum):
    """The data sets of the course."""

    cifar10 = "cifar10"
    mnist = "mnist"


app = typer.Typer(
    cls=_PlainErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Image classification with deep networks, on CIFAR-10: run, check and build the course.",
)
zoo_app = typer.Typer(no_args_is_help=True, help="The networks: their layers and recipes.")
app.add_typer(zoo_app, name="zoo")
assignment_app = typer.Typer(
    no_args_is_help=True, help="The assignments: shortcuts to nbgrader, and a class report."
)
app.add_typer(assignment_app, name="assignment")

ProfileOption = Annotated[
    Profile, typer.Option(help="fast: minutes on two CPU cores; full: the documents' recipes.")
]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME VALUE", help="A notebook's parameter; repeatable."),
]
DataOption = Annotated[
    str | None, typer.Option(metavar="PATH|stand-in", help="Default: search for the data.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(help="Notebooks at a time. Default: 2; 1 on a single core or with a GPU."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers run the notebooks."),
]
TimeoutOption = Annotated[float | None, typer.Option(help="Seconds for each notebook.")]
NetworkArgument = Annotated[str, typer.Argument(metavar="NAME", help="As in `course zoo list`.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Execute unchanged notebooks too.")]


@app.command(cls=_PairedParameters)
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
) -> None:
    """Execute notebooks with papermill, and hold their results against the thresholds.

    Unchanged notebooks are not executed again; a run that was killed goes on where it was.
    The results go to the output folder, with a report.json.
    """
    from course_utils.batch import run_notebooks
    from course_utils.batch.show import print_report

    console = _console()
    if not notebooks:
        _prepare_data(data, console)
    report = run_notebooks(
        notebooks or (),
        profile=profile.value,
        parameters=_typed(param),
        data=data,
        out=out,
        jobs=jobs,
        scheduler=scheduler,
        timeout=timeout,
        again=again,
        console=console,
    )
    print_report(report, console)
    raise typer.Exit(_exit_code(report))


@app.command(cls=_PairedParameters)
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
    from course_utils.batch.results import FAILED_STATUSES
    from course_utils.batch.show import print_report

    console = _console()
    _prepare_data(data, console)
    report = run_notebooks(
        profile=profile.value,
        parameters=_typed(param),
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
        console.print("[red]The book was not built: a chapter failed.[/]")
        raise typer.Exit(_exit_code(report))
    with console.status("Building the book"):
        build = build_book(Path.cwd())
    print_report(report, console)
    if not build.passed:
        console.print(build.warnings, markup=False, highlight=False, soft_wrap=True)
        console.print(f"[red]The book has errors:[/] the whole log is {build.log}", soft_wrap=True)
        raise typer.Exit(FAILURE)
    console.print(f"Book built without a warning in {build.seconds:.0f} s (log: {build.log})")
    console.print(f"First page: {build.first_page}", soft_wrap=True)
    raise typer.Exit(_exit_code(report))


@app.command()
def grade(
    name: AssignmentArgument,
    only: Annotated[str | None, typer.Option(metavar="STUDENT", help="This one.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Examine unchanged ones too.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Submissions at a time. Default: as fits.")
    ] = None,
    scheduler: SchedulerOption = None,
    retrain: Annotated[
        float, typer.Option(min=0, max=1, help="Part of the submissions to train again.")
    ] = 0.0,
    with_my_rights: Annotated[
        bool,
        typer.Option(
            "--run-submissions-with-my-rights",
            help="Without a sandbox: every submission can do whatever you can.",
        ),
    ] = False,
) -> None:
    """Grade what was handed in, many submissions at once, and write the feedback.

    Unchanged submissions are not examined again; a call that was killed goes on where it was.
    """
    import os

    from course_utils.grading.course import results
    from course_utils.grading.questions import course_folder
    from course_utils.grading.queue import FAILED, grade_class
    from course_utils.grading.sandbox import WITH_MY_RIGHTS
    from course_utils.grading.show import print_summary, progress_on
    from course_utils.submission.settings import RETRAIN

    course, console = course_folder(), _console()
    os.environ |= {RETRAIN: str(retrain)} if retrain else {}
    os.environ |= {WITH_MY_RIGHTS: "1"} if with_my_rights else {}
    with progress_on(console) as progress:
        outcomes = grade_class(
            course,
            name,
            only=only,
            again=again,
            jobs=jobs,
            scheduler=scheduler,
            progress=progress,
        )
    print_summary(outcomes, results(course, name), console)
    failed = any(outcome.state == FAILED for outcome in outcomes)
    raise typer.Exit(FAILURE if failed else 0)


@app.command()
def doctor() -> None:
    """Check this machine: Python, packages, backend, device, memory, disk, data, browser."""
    from course_utils.doctor import checks

    console = _console()
    for check in checks():
        state = "[yellow]warn[/]" if check.advice else "[green]ok[/]  "
        advice = f" [yellow]{escape(check.advice)}[/]" if check.advice else ""
        console.print(
            f"{state} {escape(check.subject)}: {escape(check.found)}{advice}",
            highlight=False,
            soft_wrap=True,
        )


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

    console = _console()
    table = Table("place", "found", "where", "what")
    for rung in find_sources(dataset.value, path):
        found = "[green]yes[/]" if rung.found else "no"
        table.add_row(escape(rung.rung), found, escape(rung.location), escape(rung.detail))
    console.print(table)
    load = load_cifar10 if dataset is DatasetName.cifar10 else load_mnist
    console.print(repr(load(path)), markup=False, highlight=False, soft_wrap=True)
    console.print(f"cache: {cache_dir()}", markup=False, highlight=False, soft_wrap=True)


@zoo_app.command("list")
def zoo_list() -> None:
    """List the networks."""
    from rich.table import Table

    zoo = _zoo()
    table = Table("network", "reported test accuracy", "epochs", "summary")
    for name in zoo.names():
        design = zoo.design(name)
        reported = design.reported.get("test_accuracy")
        table.add_row(
            escape(name),
            "" if reported is None else f"{100 * reported:.2f}%",
            str(design.recipe.epochs),
            escape(design.summary),
        )
    _console().print(table)


@zoo_app.command("show")
def zoo_show(name: NetworkArgument) -> None:
    """Show a network: where it comes from, its layers, its recipe."""
    zoo = _zoo()
    design = zoo.design(name)
    console = _console()
    for text in (f"{name}: {design.summary}", design.note, design.misprint):
        if text:
            console.print(text, markup=False, highlight=False)
    for measure, value in design.reported.items():
        console.print(f"reported {measure.replace('_', ' ')}: {100 * value:.2f}%")
    if design.reported_epochs:
        console.print(f"reported epochs: {design.reported_epochs}")
    if design.starts_from:
        console.print(f"starts from the trained weights of {design.starts_from}")
    model = design.build()
    model.summary(print_fn=lambda line: console.print(line, markup=False, highlight=False))
    console.print(str(design.recipe), markup=False, highlight=False)


@zoo_app.command("train")
def zoo_train(
    name: NetworkArgument,
    seed: Annotated[int, typer.Option(help="Of weights, order of images, dropout.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: as many as its recipe says.")
    ] = None,
    data: DataOption = None,
    limit: Annotated[
        int | None, typer.Option(min=5, help="Use at most so many training images.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the run's record there.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Save the state in the cache after each epoch, and continue from it."
        ),
    ] = False,
) -> None:
    """Train a network by its own recipe, and test it."""
    from course_utils.runtime import setup

    runtime = setup(seed)
    from course_utils import zoo
    from course_utils.checkpoint import States
    from course_utils.data import load_cifar10, load_mnist
    from course_utils.experiment import run as run_experiment

    load = load_mnist if zoo.design(name).dataset == "mnist" else load_cifar10
    dataset = load(data, limit=limit)
    print(dataset.source)
    states = States() if resume else None
    made = run_experiment(name, dataset, runtime=runtime, seed=seed, epochs=epochs, states=states)
    low, high = made.test_interval
    print(f"test accuracy {made.test_accuracy:.2%} (95%: {low:.2%} to {high:.2%})")
    if record:
        print(f"written {made.save(record)}")
        if states and not zoo.successors(name):
            states.discard(name, seed)


@zoo_app.command("reproduce")
def zoo_reproduce(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN...", help="Such as 'dl/*'. Default: the documents' networks."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each network.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at the same time. Default: 1; with --missing one per core."),
    ] = None,
    data: DataOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the records. Default: book/records/networks.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat what is recorded.")] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Cheapest first, one process per core, at the lowest priority.",
        ),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show what is finished, running and left; run nothing.")
    ] = False,
    pause: Annotated[
        bool | None,
        typer.Option(
            "--pause/--unpause",
            help="Make running trainings wait, or let them go on; start nothing.",
        ),
    ] = None,
) -> None:
    """Train the documents' networks, and keep a record of each run.

    What is recorded is not trained again, and a training that was stopped continues after its last
    epoch: a call can be killed at any time.
    """
    zoo = _zoo()
    from course_utils import reproduction
    from course_utils.checkpoint import States
    from course_utils.data import load_cifar10
    from course_utils.experiment import RunRecord
    from course_utils.runtime import available_cores

    console, states = _console(), States()
    runs = reproduction.plan(
        reproduction.choose(patterns or ()), seeds, out or reproduction.RECORDS
    )
    if pause is not None:
        states.set_paused(pause)
        console.print(
            "Running trainings wait before their next step."
            if pause
            else "The pause is lifted. This starts no training."
        )
        return
    if status:
        _print_progress(reproduction.progress(runs, states), states, console)
        return
    stand_in = load_cifar10(data).source.is_stand_in
    if stand_in and out is None:
        raise RunError(
            "The book's records are of real images, and none are to hand: name another folder "
            "with --out, or the images with --data."
        )
    to_do = [run for run in runs if again or not reproduction.is_recorded(run, stand_in)]
    console.print(f"{len(runs)} runs, {len(runs) - len(to_do)} of them recorded already.")
    if missing:
        to_do = reproduction.cheapest_first(to_do)
        if reproduction.priorities_are_per_terminal():
            console.print(
                "Priorities count within one terminal only on this machine; as root, "
                "`sysctl kernel.sched_autogroup_enabled=0` makes them count for all.",
                soft_wrap=True,
            )
    if states.pause.exists():
        console.print("Trainings are paused: `course zoo reproduce --unpause` lets them go on.")
    if again:
        for run in to_do:
            states.discard(run.name, run.seed)
    failures = 0
    jobs = jobs or (available_cores() if missing else 1)
    outcomes = reproduction.reproduce(to_do, jobs, data, nice=missing)
    for number, (run, error) in enumerate(outcomes, start=1):
        progress = f"{number}/{len(to_do)} {run.name} seed {run.seed}"
        if error:
            failures += 1
            console.print(f"[red]failed[/] {escape(progress)}\n{escape(error)}", soft_wrap=True)
            continue
        record = RunRecord.load(run.record)
        reported = zoo.design(run.name).reported.get("test_accuracy")
        beside = "" if reported is None else f", reported {reported:.2%}"
        console.print(
            f"[green]done[/]   {escape(progress)}: {record.test_accuracy:.2%}{beside}, "
            f"{len(record.history['loss'])} epochs, {record.seconds:.0f} s"
        )
    raise typer.Exit(FAILURE if failures else 0)


def _print_progress(progress: list[Any], states: Any, console: Console) -> None:
    """Show runs as a table, and how long the rest takes at the speed measured so far."""
    from rich.table import Table

    from course_utils.reproduction import STATUSES, measured_speed

    speed = measured_speed(states, [each.run for each in progress])
    table = Table("network", "seed", "status", "epochs", "TFLOP left", "hours left, one process")
    for each in progress:
        hours = f"{each.flops / speed / 3600:.1f}" if speed and each.flops else ""
        flops = f"{each.flops / 1e12:,.0f}" if each.flops else ""
        epochs = f"{each.epochs}/{each.of_epochs}"
        name, seed = escape(each.run.name), str(each.run.seed)
        table.add_row(name, seed, each.status, epochs, flops, hours)
    console.print(table)
    counts = Counter(each.status for each in progress)
    told = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    left = sum(each.flops for each in progress)
    estimate = f", {left / speed / 3600:.0f} hours of one process" if speed and left else ""
    paused = "; paused" if states.pause.exists() else ""
    console.print(f"{', '.join(told)}; {left / 1e12:,.0f} TFLOP left{estimate}{paused}.")


@zoo_app.command("import")
def zoo_import(
    folder: Annotated[Path, typer.Argument(help="Records that another checkout has written.")],
) -> None:
    """Check the run records of another checkout, and copy the valid ones into the book's.

    Exits with 1 if none was copied.
    """
    _zoo()
    from course_utils.reproduction import import_records

    console = _console()
    imported, refused = import_records(folder)
    for path in imported:
        console.print(f"imported {escape(path.name)}", highlight=False, soft_wrap=True)
    for sentence in refused:
        console.print(f"left out {escape(sentence)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if imported else FAILURE)


AssignmentArgument = Annotated[str, typer.Argument(help="Such as a2-cnn.")]


@assignment_app.command("check")
def assignment_check(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Look for what is wrong with assignments: gaps, rubrics, points, leaks."""
    from course_utils.grading import course as grading
    from course_utils.grading.questions import assignments, course_folder, questions

    course, console = course_folder(), _console()
    problems = []
    for name in names or assignments(course):
        found = grading.check(course, name)
        asked = questions(course, name)
        points = sum(question.points for question in asked)
        state = "[red]wrong[/]" if found else "[green]ok[/]   "
        console.print(f"{state} {name}: {len(asked)} graded cells, {points:g} points")
        problems += found
    for problem in problems:
        console.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(FAILURE if problems else 0)


@assignment_app.command("build")
def assignment_build(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Check assignments and make the version that students get."""
    from course_utils.grading import course as grading
    from course_utils.grading.questions import assignments, course_folder

    course = course_folder()
    for name in names or assignments(course):
        _console().print(f"built {grading.build(course, name)}", highlight=False, soft_wrap=True)


@assignment_app.command("report")
def assignment_report(name: AssignmentArgument) -> None:
    """Write a page about the class: points, accuracies, hard questions, what to look at."""
    from course_utils.runtime import import_keras

    import_keras()
    from course_utils.grading.class_report import write_class_report
    from course_utils.grading.questions import course_folder

    page = write_class_report(course_folder(), name)
    _console().print(f"written {page}", highlight=False, soft_wrap=True)


def _zoo() -> Any:
    """Return the zoo, imported on a backend that starts without a word."""
    from course_utils.doctor import quiet_setup

    quiet_setup()
    from course_utils import zoo

    return zoo


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def _typed(pairs: list[str] | None) -> dict[str, Any]:
    """Return parameters with the types that papermill's own command line gives them."""
    if not pairs:
        return {}
    from papermill.cli import _resolve_type

    split = (pair.partition("=") for pair in pairs)
    return {name: _resolve_type(value) for name, _, value in split}


def _prepare_data(path: str | None, console: Console) -> None:
    """Load the data once: a download or a first decoding is seen here, and not per chapter."""
    from course_utils.data import load_cifar10, load_mnist

    sources = [load_cifar10(path).source]
    if path is None:
        sources.append(load_mnist().source)
    console.print(f"Data: {', '.join(source.name for source in sources)}", highlight=False)


def _exit_code(report: Report) -> int:
    from course_utils.batch.results import NOT_RUN

    if any(outcome.status == NOT_RUN for outcome in report.notebooks):
        return INTERRUPTED
    return 0 if report.passed else FAILURE


if __name__ == "__main__":
    app()
