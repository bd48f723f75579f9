"""Executing one notebook in its own process, and reliably ending that process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import psutil

from course_utils import env
from course_utils.batch.executors.protocol import Execution, Job
from course_utils.children import child_environment, start_child
from course_utils.runtime import available_cores

SECONDS_TO_DIE = 10


class NotebookProcess:
    """A child process that executes one notebook.

    Parameters
    ----------
    job : Job
    at_once : int
        How many such processes share the machine's cores.
    settings : mapping, optional
        Environment variables that replace this process's own in the child.
    """

    def __init__(self, job: Job, at_once: int, settings: Mapping[str, str] | None = None) -> None:
        self._job = job
        self._environment = _environment(at_once) | dict(settings or {})
        self._process: psutil.Popen | None = None
        self._known: list[list[float]] = []
        self._killed = threading.Event()

    def run(self, on_cell: Callable[[dict[str, Any]], None]) -> Execution:
        """Execute the notebook; call `on_cell` with the position of each cell that starts."""
        result = Execution(error="the process that ran it was ended")
        started = time.monotonic()
        self._job.log.parent.mkdir(parents=True, exist_ok=True)
        with self._job.log.open("w") as log:
            process = self._start(log)

        try:
            with self._deadline(result):
                for line in process.stdout:
                    self._take(json.loads(line), result, on_cell)
        finally:
            self.kill()
        result.seconds = time.monotonic() - started
        return result

    @contextlib.contextmanager
    def _deadline(self, result: Execution) -> Iterator[None]:
        """Kill the child if the block takes longer than the job's timeout."""

        def out_of_time() -> None:
            result.timed_out = True
            self.kill()

        if self._job.timeout is None:
            yield
            return
        timer = threading.Timer(self._job.timeout, out_of_time)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _start(self, log: TextIO) -> psutil.Popen:
        self._process = process = start_child(
            "course_utils.batch.child",
            self._job.orders,
            environment=self._environment,
            stdout=subprocess.PIPE,
            stderr=log,
            # Ctrl-C in the terminal reaches only the parent, which then ends its children.
            start_new_session=True,
        )
        if self._killed.is_set():  # `kill` was called before there was a process.
            self.kill()
        return process

    def _take(
        self,
        event: dict[str, Any],
        result: Execution,
        on_cell: Callable[[dict[str, Any]], None],
    ) -> None:
        """Record an event of the child in the result."""
        kind = event.pop("event")
        if kind == "cell":
            self._known = event.pop("processes")
            result.position = event
            on_cell(event)
        elif kind == "done":
            result.error = ""
        elif kind == "failed":
            result.error = event["error"]

    def kill(self) -> None:
        """Kill the child, its kernel and all processes that they started."""
        self._killed.set()
        if self._process is None:
            return
        doomed = [self._process, *_children(self._process), *self._known_processes()]
        for process in doomed:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        psutil.wait_procs(doomed[1:], timeout=SECONDS_TO_DIE)

    def _known_processes(self) -> list[psutil.Process]:
        """Return the kernel and its children, even if the child that started them has died."""
        found = []
        for pid, created in self._known:
            try:
                process = psutil.Process(int(pid))
                if process.create_time() == created:
                    found += [process, *_children(process)]
            except psutil.NoSuchProcess:
                continue
        return found


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _environment(at_once: int) -> dict[str, str]:
    """Return the environment of a child and its kernel, with their share of the cores."""
    environment = child_environment()
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if at_once > 1:
        share = str(max(1, available_cores() // at_once))
        for name in (env.THREADS.name, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment.setdefault(name, share)
    return environment
