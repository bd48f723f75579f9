"""The executor for the workers of a Dask scheduler.

A worker does what this machine would do: it runs one `NotebookProcess` per notebook. It reads the
source and writes the outputs under the caller's own paths, so all machines must share a file
system; Dask carries only the orders, the progress and the results. Dask hands the notebooks of a
dead worker to another one. A worker ends a notebook's process by itself as soon as nobody waits
for the notebook any longer.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from dask.typing import Key
from distributed import Future, KilledWorker, Reschedule, Worker, as_completed, get_worker
from distributed.core import Status
from distributed.utils import sync

from course_utils import env
from course_utils.batch.child_process import NotebookProcess
from course_utils.batch.executors.protocol import Execution, Executions, Job, OnCell
from course_utils.dask_client import connected
from course_utils.errors import RunError

SECONDS_BETWEEN_LOOKS = 0.2

# Environment variables that are part of the key of a notebook's outputs. The caller's values hold,
# whatever values a worker was started with.
SETTINGS = (env.BACKEND, env.DATA, env.OFFLINE)


class DaskExecutor:
    """Executes notebooks on the workers of a Dask scheduler, one per thread of a worker.

    Parameters
    ----------
    scheduler : str
        The scheduler's address, such as ``"tcp://host:8786"``.
    """

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler

    def execute(self, jobs: list[Job], on_cell: OnCell) -> Executions:
        """See `Executor.execute`.

        Raises
        ------
        RunError
            If the scheduler cannot be reached, has no workers, or is lost.
        """
        settings = {setting.name: setting.value or "" for setting in SETTINGS}
        topic = f"course-{uuid.uuid4().hex}"
        with connected(self._scheduler) as client:
            client.subscribe_topic(topic, lambda event: on_cell(*event[1]))
            # With pure=False, each task has its own key, even if another run's orders are equal.
            names = {
                client.submit(execute_here, job, topic, settings, pure=False): job.name
                for job in jobs
            }
            try:
                for future in as_completed(names, loop=client.loop):
                    yield names[future], _result(future, self._scheduler)
            finally:
                client.cancel(list(names))


def _result(future: Future, scheduler: str) -> Execution:
    """Return a finished task's result; a worker that failed becomes a failed execution."""
    try:
        return future.result()
    except KilledWorker:
        return Execution(error="every worker that tried it died; often the memory is full")
    except Exception as error:  # The worker failed, not the notebook: old version, full disk ...
        if future.status == "error":
            return Execution(error=f"its worker had a {type(error).__name__}: {error}")
        raise RunError(
            f"The scheduler at {scheduler} was lost: start it again, and run the same command, "
            "which continues where this one stopped."
        ) from error


def execute_here(job: Job, topic: str, settings: Mapping[str, str]) -> Execution:
    """Execute a notebook in a thread of the Dask worker that calls this function.

    Parameters
    ----------
    job : Job
    topic : str
        The Dask topic on which the caller learns about each cell that starts.
    settings : mapping
        Environment variables of the caller.

    Returns
    -------
    Execution
    """
    worker = get_worker()
    for path in (job.orders["notebook"], Path(job.orders["partial"]).parent):
        if not Path(path).exists():
            return Execution(
                error=f"the worker at {worker.address} sees no {path}: workers and caller must "
                "share these files, under the same paths"
            )
    process = NotebookProcess(job, _notebooks_at_once(worker), settings)
    with _while_wanted(worker, worker.get_current_task(), process) as unwanted:
        execution = process.run(lambda position: worker.log_event(topic, (job.name, position)))
    if unwanted.is_set():
        raise Reschedule  # This has an effect only if Dask wants the task again by now.
    return execution


def _notebooks_at_once(worker: Worker) -> int:
    """Return how many notebooks the workers on this machine run at the same time."""
    workers = sync(worker.loop, worker.scheduler.identity)["workers"].values()
    return sum(each["nthreads"] for each in workers if each["host"] == worker.host)


@contextlib.contextmanager
def _while_wanted(worker: Worker, key: Key, process: NotebookProcess) -> Iterator[threading.Event]:
    """Kill the process if the worker is told to stop, or the caller is interrupted or lost.

    Dask itself only marks such a task, because a thread cannot be ended from outside.
    """
    ended, unwanted = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            task = worker.state.tasks.get(key)
            alive = worker.status in (Status.running, Status.paused)
            if not alive or task is None or task.state != "executing":
                unwanted.set()
                process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield unwanted
    finally:
        ended.set()
        watcher.join()
