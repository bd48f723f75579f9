"""What is shown while many jobs run: bars on a terminal, elsewhere one line for each event."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """Is told what happens while jobs run. This base class shows nothing."""

    def begin(self, total: int) -> None:
        """Expect this many jobs."""

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        """Show what a job is doing; called in any thread.

        Parameters
        ----------
        name : str
            The job.
        text : str
            What it is doing.
        done, total : int, optional
            Finished steps of the job, and all of them.
        """

    def end(
        self, name: str, state: str, *, failed: bool = False, seconds: float = 0.0, reason: str = ""
    ) -> None:
        """Show how a job ended.

        Parameters
        ----------
        name, state : str
            The job, and how it ended.
        failed : bool
        seconds : float
            Its duration; 0 if nothing ran.
        reason : str
            Why it failed.
        """


class PlainProgress(Progress):
    """Prints one line for each step and for each job that ends.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ended = self._total = 0
        self._start = time.monotonic()

    def begin(self, total: int) -> None:
        self._total, self._start = total, time.monotonic()

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        self._console.print(f"{name}: {text}", markup=False, highlight=False)

    def end(
        self, name: str, state: str, *, failed: bool = False, seconds: float = 0.0, reason: str = ""
    ) -> None:
        self._ended += 1
        style = "red" if failed else "green"
        duration = f", {seconds:.1f} s" if seconds else ""
        self._console.print(
            f"[{style}]\\[{self._ended}/{self._total}][/] {escape(name)}: "
            f"{state}{duration}{self._estimate()}",
            highlight=False,
        )
        if reason:
            self._console.print(f"    {escape(reason)}", highlight=False, soft_wrap=True)

    def _estimate(self) -> str:
        """Tell how long the remaining jobs will take, if they take as long as the finished ones."""
        left = (time.monotonic() - self._start) / self._ended * (self._total - self._ended)
        return f", about {left:.0f} s left" if left >= 1 else ""


class LiveProgress(PlainProgress):
    """Shows a bar for each running job, and a line for each that has ended."""

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
    """Give bars on a terminal, and plain lines elsewhere and in CI."""
    if not console.is_terminal or os.environ.get("CI"):
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
