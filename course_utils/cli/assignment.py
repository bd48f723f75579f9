"""``course assignment``: check, build and report on assignments."""

from __future__ import annotations

from typing import Annotated

import typer

from course_utils.cli.app import FAILURE, app, new_console
from course_utils.cli.grade import AssignmentArgument
from course_utils.colours import BAD, GOOD
from course_utils.errors import AssignmentError

assignment_app = typer.Typer(
    no_args_is_help=True, help="Assignments: shortcuts to nbgrader, and a class report."
)
app.add_typer(assignment_app, name="assignment")


@assignment_app.command("check")
def assignment_check(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Check assignments for mistakes: gaps, rubrics, points, leaks, tests that nobody passes."""
    from course_utils.grading.assignment.check import check
    from course_utils.grading.assignment.course import assignments, course_folder, source_repairs
    from course_utils.grading.assignment.questions import questions
    from course_utils.grading.database import differences_from_release, has_gradebook
    from course_utils.grading.nbgrader_steps.release import failing_tests

    course, console = course_folder(), new_console()
    problems = []
    for name in names or assignments(course):
        found = check(course, name) or failing_tests(course, name)
        for notebook, repairs in source_repairs(course, name).items():
            found.append(f"{name}: save {notebook}.ipynb again from Jupyter: {repairs}")
        changed = differences_from_release(course, name) if has_gradebook(course) else []
        if changed:
            found.append(
                f"{name}: source and release differ in {', '.join(changed)}: "
                f"`course assignment build {name}` releases the source"
            )
        asked = questions(course, name)
        points = sum(question.points for question in asked)
        state = f"[{BAD}]wrong[/]" if found else f"[{GOOD}]ok[/]   "
        console.print(f"{state} {name}: {len(asked)} graded cells, {points:g} points")
        problems += found
    for problem in problems:
        console.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(FAILURE if problems else 0)


@assignment_app.command("build")
def assignment_build(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Check assignments and build the versions for students."""
    from course_utils.grading.assignment.build import build
    from course_utils.grading.assignment.check import check_source
    from course_utils.grading.assignment.course import assignments, course_folder
    from course_utils.grading.nbgrader_steps.release import failing_tests

    course = course_folder()
    for name in names or assignments(course):
        if problems := check_source(course, name) or failing_tests(course, name):
            raise AssignmentError("\n".join(problems))
        for path in build(course, name):
            new_console().print(f"built {path}", highlight=False, soft_wrap=True)


@assignment_app.command("report")
def assignment_report(name: AssignmentArgument) -> None:
    """Write a page about the class: points, accuracies, difficult questions, things to review."""
    from course_utils.runtime import import_keras

    import_keras()
    from course_utils.grading.assignment.course import course_folder
    from course_utils.grading.class_report import write_class_report

    page = write_class_report(course_folder(), name)
    new_console().print(f"written {page}", highlight=False, soft_wrap=True)
