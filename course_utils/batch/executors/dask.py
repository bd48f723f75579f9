"""Executing notebooks on the workers of a Dask scheduler.

A worker runs what this machine would: one `NotebookProcess` per notebook. It reads the source and
writes what it made under the caller's own paths, so all machines share a file system; Dask carries
no more than the orders, the progress and how it ended. Dask gives the notebooks of a dead worker
to another one; a worker whose notebook nobody waits for any longer ends its process by itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from distributed import Future, KilledWorker, Reschedule, Worker, as_completed, get_worker
from distributed.core import Status
from distributed.utils import sync

from course_utils.batch.child_process import NotebookProcess
from course_utils.batch.executors.protocol import Execution, Executions, Job, OnCell
from course_utils.dask_client import connected
from course_utils.errors import RunError

SECONDS_BETWEEN_LOOKS = 0.2

# What the key of the outputs counts: the caller's, whatever a worker was started with.
SETTINGS = ("KERAS_BACKEND", "COURSE_DATA", "COURSE_OFFLINE")


def execute_on_workers(jobs: list[Job], scheduler: str, on_cell: OnCell) -> Executions:
    """Execute notebooks, one per thread of the workers, and yield each as it ends.

    Parameters
    ----------
    jobs : list of Job
    scheduler : str
        Its address.
    on_cell : callable
        Called, in any thread, with a notebook's name and the position of each cell it starts.

    Raises
    ------
    RunError
        If the scheduler cannot be reached, has no workers, or is lost.
    """
    settings = {name: os.environ.get(name, "") for name in SETTINGS}
    topic = f"course-{uuid.uuid4().hex}"
    with connected(scheduler) as client:
        client.subscribe_topic(topic, lambda event: on_cell(*event[1]))
        # Not pure: a key of its own for each, however alike another run's orders are.
        names = {client.submit(execute, job, topic, settings, pure=False): job.name for job in jobs}
        try:
            for future in as_completed(names, loop=client.loop):
                yield names[future], _result(future, scheduler)
        finally:
            client.cancel(list(names))


def _result(future: Future, scheduler: str) -> Execution:
    try:
        return future.result()
    except KilledWorker:
        return Execution(error="every worker that tried it died; often the memory is full")
    except Exception as error:  # of the worker, not of the notebook: another version, a full disk
        if future.status == "error":
            return Execution(error=f"its worker had a {type(error).__name__}: {error}")
        raise RunError(
            f"The scheduler at {scheduler} was lost: start it again, and run the same command, "
            "which goes on where this one was."
        ) from error


def execute(job: Job, topic: str, settings: Mapping[str, str]) -> Execution:
    """Execute a notebook in a thread of a Dask worker.

    Parameters
    ----------
    job : Job
    topic : str
        Under which the caller hears of each cell that starts.
    settings : mapping
        Environment variables of the caller.
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
        raise Reschedule  # heard only if Dask meanwhile wants it again
    return execution


def _notebooks_at_once(worker: Worker) -> int:
    """Return how many notebooks the workers on this machine run at the same time."""
    workers = sync(worker.loop, worker.scheduler.identity)["workers"].values()
    return sum(each["nthreads"] for each in workers if each["host"] == worker.host)


@contextlib.contextmanager
def _while_wanted(worker: Worker, key: str, process: NotebookProcess) -> Iterator[threading.Event]:
    """Kill the process if the worker is told to stop, or the caller interrupted, killed or lost.

    Dask only marks such a task: a thread cannot be ended from outside.
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
