"""The definition of an executor: what it takes, what it yields, and how it is stopped.

To add an executor, write a file with a class that has the method of `Executor`, and choose it in
`course_utils.batch.run.choose_executor`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass
class Execution:
    """The result of executing one notebook.

    Attributes
    ----------
    error : str
        What went wrong; empty after success.
    timed_out : bool
        Whether the notebook took longer than its job's timeout.
    position : dict
        The cell that was started last: ``number`` and ``count`` (from 1), and ``cell`` (its id).
        Empty if no cell was started.
    seconds : float
        Wall-clock time, including the start of the kernel.
    """

    error: str = ""
    timed_out: bool = False
    position: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One notebook to execute, on any machine.

    Attributes
    ----------
    name : str
        The notebook's name in the run, as in `Outcome`.
    orders : dict
        The orders for `course_utils.batch.child`, as JSON values: ``notebook`` (the source),
        ``partial`` (the file to write), ``folder`` (the working directory), ``parameters`` and
        ``stamp``.
    log : Path
        The file that receives everything the child process prints.
    timeout : float or None
        Seconds; None means no limit.
    """

    name: str
    orders: dict[str, Any]
    log: Path
    timeout: float | None


# Called when a notebook starts a cell, with the notebook's name and the cell's position.
OnCell = Callable[[str, dict[str, Any]], None]

# Pairs of a notebook's name and its result, in the order in which the notebooks end.
Executions = Generator[tuple[str, Execution], None, None]


class Executor(Protocol):
    """Executes notebooks: in child processes of this one, on a cluster, or elsewhere.

    Whatever machine it chooses, each notebook runs there as a `NotebookProcess`, so outputs, logs
    and time limits are the same everywhere.
    """

    def execute(self, jobs: list[Job], on_cell: OnCell) -> Executions:
        """Execute notebooks, and yield each result as soon as the notebook has ended.

        Closing the generator, before or after its end, ends every notebook that still runs.

        Parameters
        ----------
        jobs : list of Job
            Notebooks with different names; there may be none.
        on_cell : callable
            Called whenever a notebook starts a cell, from any thread.

        Yields
        ------
        name : str
            The name of the job.
        execution : Execution

        Raises
        ------
        RunError
            If the executor itself fails. A notebook that fails is a result, not an exception.
        """
        ...
