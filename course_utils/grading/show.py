"""What the lecturer sees while a class is graded, and the summary at the end."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from course_utils.grading.course import Result
from course_utils.grading.queue import FAILED, Outcome, Progress

STYLES = {FAILED: "red"}
REFRESH_A_SECOND = 2


def progress_on(console: Console) -> PlainProgress:
    """Return a table that changes on a terminal; elsewhere, and in CI, a line for each event."""
    live = console.is_terminal and not os.environ.get("CI")
    return LiveProgress(console) if live else PlainProgress(console)


class PlainProgress(Progress):
    """One line for each test that begins and each submission that ends.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ended: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._total = 0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, total: int) -> None:
        self._total, self._start = total, time.monotonic()

    def test(self, student: str, name: str) -> None:
        self._began.setdefault(student, time.monotonic())
        self._console.print(f"{student}: {name}", markup=False, highlight=False)

    def end(self, outcome: Outcome) -> None:
        self._ended[outcome.state] += 1
        self._began.pop(outcome.student, None)
        done = self._ended.total()
        seconds = f", {outcome.seconds:.1f} s" if outcome.seconds else ""
        style = STYLES.get(outcome.state, "green")
        self._console.print(
            f"[{style}]\\[{done}/{self._total}][/] {escape(outcome.student)}: "
            f"{outcome.state}{seconds}{self._estimate(done)}",
            highlight=False,
        )
        if outcome.reason:
            self._console.print(f"    {escape(outcome.reason)}", soft_wrap=True)

    def _estimate(self, done: int) -> str:
        """Tell how long the others will take, if they take as long as those before."""
        left = (time.monotonic() - self._start) / done * (self._total - done)
        return f", about {left:.0f} s left" if left >= 1 else ""


class LiveProgress(PlainProgress):
    """A table of the submissions that are being examined; a line for each that is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._tests: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = Live(
            console=console, get_renderable=self._table, refresh_per_second=REFRESH_A_SECOND
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def test(self, student: str, name: str) -> None:
        with self._lock:
            self._began.setdefault(student, time.monotonic())
            self._tests[student] = name

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            self._tests.pop(outcome.student, None)
        super().end(outcome)

    def _table(self) -> Table:
        table = Table("student", "question", "seconds", box=None, pad_edge=False)
        with self._lock:
            for student, test in sorted(self._tests.items()):
                seconds = time.monotonic() - self._began[student]
                table.add_row(escape(student), escape(test), f"{seconds:.0f}")
        return table


def print_summary(outcomes: list[Outcome], results: list[Result], console: Console) -> None:
    """Print scores, what waits for the lecturer, and what could not be graded and why."""
    table = Table("student", "score", "late penalty", "waiting for you", "notes")
    for result in results:
        table.add_row(
            escape(result.student),
            f"{result.score:.2f} of {result.points:g}",
            f"{result.late_penalty:.2f}",
            str(result.waiting),
            escape("\n".join(result.notes)),
        )
    console.print(table)
    for result in results:
        for review in result.reviews:
            console.print(
                f"[yellow]To look at:[/] {escape(result.student)}, {escape(review)}",
                soft_wrap=True,
                highlight=False,
            )
    states = Counter(outcome.state for outcome in outcomes)
    console.print(", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    for outcome in outcomes:
        if outcome.state == FAILED:
            console.print(
                f"[red]{escape(outcome.student)} could not be graded:[/] {escape(outcome.reason)}",
                soft_wrap=True,
            )
