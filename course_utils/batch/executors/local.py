"""The executor for this machine.

Each thread of a pool waits for one `NotebookProcess`, as a thread of a Dask worker does. A Dask
cluster on this machine would do the same, but would take seconds to start.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from course_utils.batch.child_process import NotebookProcess
from course_utils.batch.executors.protocol import Execution, Executions, Job, OnCell
from course_utils.runtime import available_cores


def default_jobs() -> int:
    """Return how many notebooks to run at the same time: two, or one where two are not faster.

    A notebook leaves cores idle while it imports, draws and evaluates, and another notebook can
    use them. On a single core, or where notebooks would share a GPU's memory, they run one by one.
    """
    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    return 1 if has_gpu else min(2, available_cores())


class LocalExecutor:
    """Executes notebooks in child processes of this one.

    Parameters
    ----------
    at_once : int, optional
        How many notebooks run at the same time; they share the cores. Default: `default_jobs`.
    """

    def __init__(self, at_once: int | None = None) -> None:
        self._at_once = at_once or default_jobs()

    def execute(self, jobs: list[Job], on_cell: OnCell) -> Executions:
        """See `Executor.execute`."""
        share = min(self._at_once, len(jobs))
        processes = {job.name: NotebookProcess(job, share) for job in jobs}
        stopped = threading.Event()

        def execute(name: str) -> tuple[str, Execution]:
            if stopped.is_set():
                return name, Execution(error="stopped")
            return name, processes[name].run(functools.partial(on_cell, name))

        with ThreadPoolExecutor(self._at_once) as pool:
            futures = [pool.submit(execute, name) for name in processes]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                stopped.set()
                for process in processes.values():
                    process.kill()
