"""``course zoo``: list, show, train and reproduce networks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from course_utils.cli.app import FAILURE, DataOption, app, new_console
from course_utils.colours import BAD, GOOD
from course_utils.errors import RunError
from course_utils.printable import escape

if TYPE_CHECKING:
    from course_utils.checkpoint import States
    from course_utils.reproduction import RunProgress

zoo_app = typer.Typer(no_args_is_help=True, help="The networks: their layers and recipes.")
app.add_typer(zoo_app, name="zoo")

NetworkArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A network of `course zoo list`.")
]


@zoo_app.command("list")
def zoo_list() -> None:
    """List the networks."""
    from rich.table import Table

    zoo = quiet_zoo()
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
    new_console().print(table)


@zoo_app.command("show")
def zoo_show(name: NetworkArgument) -> None:
    """Show a network: its source, its layers and its recipe."""
    zoo = quiet_zoo()
    design = zoo.design(name)
    console = new_console()
    for text in (f"{name}: {design.summary}", *design.remarks):
        console.print(text, markup=False, highlight=False)
    for measure, value in design.reported.items():
        shown = f"{100 * value:.2f}%" if measure.endswith("accuracy") else f"{value:,}"
        console.print(f"reported {measure.replace('_', ' ')}: {shown}")
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
    seed: Annotated[int, typer.Option(help="Seed of weights, image order and dropout.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: the recipe's number of epochs.")
    ] = None,
    data: DataOption = None,
    limit: Annotated[
        int | None, typer.Option(min=5, help="The largest number of training images.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the record to this file.")] = None,
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
    # Keras may be imported only after `setup` has chosen its backend.
    from course_utils.experiment import run_by_name

    made = run_by_name(
        name,
        runtime=runtime,
        seed=seed,
        epochs=epochs,
        data=data,
        limit=limit,
        record=record,
        resume=resume,
    )
    low, high = made.test_interval
    print(f"test accuracy {made.test_accuracy:.2%} (95%: {low:.2%} to {high:.2%})")
    if record:
        print(f"written {record}")


@zoo_app.command("reproduce")
def zoo_reproduce(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN...", help="Networks, such as 'dl/*'. Default: all documents'."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each network.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at a time. Default: 1; with --missing, one per core."),
    ] = None,
    data: DataOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the records. Default: course_utils/zoo/records/networks."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat recorded runs too.")] = False,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Cheapest networks first, one process per core, at the lowest priority.",
        ),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show finished, running and waiting runs; start none.")
    ] = False,
    pause: Annotated[
        bool | None,
        typer.Option(
            "--pause/--unpause",
            help="Make running trainings wait, or let them continue; start none.",
        ),
    ] = None,
) -> None:
    """Train the documents' networks, and keep a record of each run.

    Recorded runs are not repeated, and a training that was stopped continues after its last epoch,
    so the command can be killed at any time. Its trainings end with it.
    """
    zoo = quiet_zoo()
    from course_utils import reproduction
    from course_utils.checkpoint import States
    from course_utils.data import load_cifar10
    from course_utils.records import RunRecord
    from course_utils.runtime import available_cores

    console, states = new_console(), States()
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
            "The book's records are of real images, and none are available: name another folder "
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
        console.print("Trainings are paused: `course zoo reproduce --unpause` continues them.")
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
            console.print(f"[{BAD}]failed[/] {escape(progress)}\n{escape(error)}", soft_wrap=True)
            continue
        record = RunRecord.load(run.record)
        reported = zoo.design(run.name).reported.get("test_accuracy")
        beside = "" if reported is None else f", reported {reported:.2%}"
        console.print(
            f"[{GOOD}]done[/]   {escape(progress)}: {record.test_accuracy:.2%}{beside}, "
            f"{len(record.history['loss'])} epochs, {record.seconds:.0f} s"
        )
    raise typer.Exit(FAILURE if failures else 0)


def _print_progress(progress: list[RunProgress], states: States, console: Console) -> None:
    """Print a table of runs, and the time that the rest will take at the speed measured so far."""
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
    folder: Annotated[Path, typer.Argument(help="Folder of records of another checkout.")],
) -> None:
    """Check the run records of another checkout, and copy the valid ones into this book.

    Exits with 1 if none was copied.
    """
    quiet_zoo()
    from course_utils.reproduction import import_records

    console = new_console()
    imported, refused = import_records(folder)
    for path in imported:
        console.print(f"imported {escape(path.name)}", highlight=False, soft_wrap=True)
    for sentence in refused:
        console.print(f"left out {escape(sentence)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if imported else FAILURE)


def quiet_zoo() -> ModuleType:
    """Import the zoo without the line that `setup` prints."""
    from course_utils.doctor import quiet_setup

    quiet_setup()
    from course_utils import zoo

    return zoo
