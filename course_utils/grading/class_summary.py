"""The summary that is printed after a class has been graded."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table

from course_utils.colours import BAD, WARNING
from course_utils.grading.class_grading import FAILED, Outcome
from course_utils.grading.gradebook import Result
from course_utils.printable import escape


def print_summary(outcomes: list[Outcome], results: list[Result], console: Console) -> None:
    """Print the scores, the grades to review, and the reasons why submissions failed."""
    table = Table("student", "score", "late penalty", "waiting for you", "notes")
    for result in results:
        table.add_row(
            escape(result.student),
            result.standing,
            f"{result.late_penalty:.2f}",
            str(result.waiting),
            escape("\n".join(result.notes)),
        )
    console.print(table)
    for result in results:
        for review in result.reviews:
            console.print(
                f"[{WARNING}]To look at:[/] {escape(result.student)}, {escape(review)}",
                soft_wrap=True,
                highlight=False,
            )
    states = Counter(outcome.state for outcome in outcomes)
    console.print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    for outcome in outcomes:
        if outcome.state == FAILED:
            student, reason = escape(outcome.student), escape(outcome.reason)
            console.print(f"[{BAD}]{student} could not be graded:[/] {reason}", soft_wrap=True)
