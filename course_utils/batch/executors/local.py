"""Executing notebooks on this machine.

In threads that each wait for a `NotebookProcess`, as a thread of a Dask worker does in `cluster`;
a Dask cluster on this machine would add seconds to the start of every run, and nothing else.
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
    """Return how many notebooks to run at the same time: two, or one where that is not faster.

    A notebook leaves cores idle while it imports, draws and evaluates, which another one can use.
    On a single core, or where notebooks would share a GPU's memory, they run one by one.
    """
    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    return 1 if has_gpu else min(2, available_cores())


def execute_here(jobs: list[Job], at_once: int, on_cell: OnCell) -> Executions:
    """Execute notebooks, some at once, and yield each as it ends.

    Parameters
    ----------
    jobs : list of Job
    at_once : int
    on_cell : callable
        Called, in any thread, with a notebook's name and the position of each cell it starts.
    """
    share = min(at_once, len(jobs))
    processes = {job.name: NotebookProcess(job, share) for job in jobs}
    stopped = threading.Event()

    def execute(name: str) -> tuple[str, Execution]:
        if stopped.is_set():
            return name, Execution(error="stopped")
        return name, processes[name].run(functools.partial(on_cell, name))

    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(execute, name) for name in processes]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            stopped.set()
            for process in processes.values():
                process.kill()
