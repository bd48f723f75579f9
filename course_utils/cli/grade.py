"""``course grade``: grade the submissions of an assignment."""

from __future__ import annotations

from typing import Annotated

import typer

from course_utils.cli.app import FAILURE, SchedulerOption, app, new_console
from course_utils.colours import WARNING
from course_utils.printable import escape

AssignmentArgument = Annotated[str, typer.Argument(help="An assignment, such as a2-cnn.")]


@app.command()
def grade(
    name: AssignmentArgument,
    only: Annotated[str | None, typer.Option(metavar="STUDENT", help="Only this student.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Unchanged submissions too.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Submissions at a time. Default: as many as fit.")
    ] = None,
    scheduler: SchedulerOption = None,
    retrain: Annotated[
        float, typer.Option(min=0, max=1, help="The fraction of the networks to train again.")
    ] = 0.0,
    with_my_rights: Annotated[
        bool,
        typer.Option(
            "--run-submissions-with-my-rights",
            help="Without a sandbox: every submission can do whatever you can.",
        ),
    ] = False,
) -> None:
    """Grade submissions, many at the same time, and write the feedback.

    Unchanged submissions are not graded again; after an interruption, the same command continues.
    """
    from course_utils.grading.assignment.course import course_folder, overlooked
    from course_utils.grading.class_grading import FAILED, grade_class
    from course_utils.grading.class_summary import print_summary
    from course_utils.grading.database import differences_from_release
    from course_utils.grading.gradebook import results
    from course_utils.printable import listed
    from course_utils.progress import progress_on

    course, console = course_folder(), new_console()
    if changed := differences_from_release(course, name):
        console.print(
            f"[{WARNING}]Source and release differ[/] in {escape(', '.join(changed))}. Submissions "
            f"are graded by what was released. To grade by the source, call `course assignment "
            f"build {escape(name)}` first.",
            soft_wrap=True,
            highlight=False,
        )
    if places := overlooked(course, name):
        console.print(
            f"[{WARNING}]These are not graded[/], because each student needs a folder with another "
            f"one in it that is called {escape(name)}: {escape(listed(places))}.",
            soft_wrap=True,
            highlight=False,
        )
    with progress_on(console) as progress:
        outcomes = grade_class(
            course,
            name,
            only=only,
            again=again,
            jobs=jobs,
            scheduler=scheduler,
            retrain=retrain or None,
            with_my_rights=with_my_rights,
            progress=progress,
        )
    print_summary(outcomes, results(course, name), console)
    failed = any(outcome.state == FAILED for outcome in outcomes)
    raise typer.Exit(FAILURE if failed else 0)
