"""The progress of many jobs: bars in a terminal, and elsewhere one line for each event."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from course_utils import colours, env
from course_utils.printable import escape


class Progress:
    """Receives the events of running jobs; this base class shows nothing."""

    def begin(self, total: int) -> None:
        """Start with this number of jobs."""

    def say(self, text: str) -> None:
        """Show a sentence about all jobs."""

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        """Show a step of a job; may be called from any thread.

        Parameters
        ----------
        name : str
            The name of the job.
        text : str
            A description of the step.
        done, total : int, optional
            The number of finished steps of the job, and the number of all its steps.
        """

    def end(
        self, name: str, state: str, *, failed: bool = False, seconds: float = 0.0, reason: str = ""
    ) -> None:
        """Show the end of a job.

        Parameters
        ----------
        name, state : str
            The name of the job, and a word for its outcome.
        failed : bool
        seconds : float
            The duration of the job; 0 if nothing was executed.
        reason : str
            Why the job failed.
        """


class PlainProgress(Progress):
    """Prints one line for each step and for the end of each job.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ended = self._total = 0
        self._start = time.monotonic()

    def begin(self, total: int) -> None:
        self._total, self._start = total, time.monotonic()

    def say(self, text: str) -> None:
        self._console.print(escape(text), highlight=False, soft_wrap=True)

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        self._console.print(escape(f"{name}: {text}"), highlight=False)

    def end(
        self, name: str, state: str, *, failed: bool = False, seconds: float = 0.0, reason: str = ""
    ) -> None:
        self._ended += 1
        style = colours.BAD if failed else colours.GOOD
        duration = f", {seconds:.1f} s" if seconds else ""
        self._console.print(
            f"[{style}]\\[{self._ended}/{self._total}][/] {escape(name)}: "
            f"{state}{duration}{self._estimate()}",
            highlight=False,
        )
        if reason:
            self._console.print(f"    {escape(reason)}", highlight=False, soft_wrap=True)

    def _estimate(self) -> str:
        """Estimate the remaining time from the mean duration of the jobs that have ended."""
        left = (time.monotonic() - self._start) / self._ended * (self._total - self._ended)
        return f", about {left:.0f} s left" if left >= 1 else ""


class LiveProgress(PlainProgress):
    """Shows a bar for each running job, and a line for each job that has ended.

    Parameters
    ----------
    console : rich.console.Console
    bars : rich.progress.Progress
        The display of the bars.
    """

    def __init__(self, console: Console, bars: Bars) -> None:
        super().__init__(console)
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(escape(name), text="")
            self._bars.update(self._tasks[name], total=total, completed=done, text=escape(text))

    def end(
        self, name: str, state: str, *, failed: bool = False, seconds: float = 0.0, reason: str = ""
    ) -> None:
        with self._lock:
            if name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))
        super().end(name, state, failed=failed, seconds=seconds, reason=reason)


@contextlib.contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """Yield a progress display with bars in a terminal, or with lines elsewhere and in CI."""
    if not console.is_terminal or env.CI.value:
        yield PlainProgress(console)
        return
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        console=console,
    ) as bars:
        yield LiveProgress(console, bars)
