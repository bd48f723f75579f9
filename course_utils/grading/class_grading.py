"""Grading a whole class: many submissions at once, one writer, nothing twice, nothing lost."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import json
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, Future, KilledWorker, as_completed, get_worker
from nbgrader.api import MissingEntry

from course_utils import env
from course_utils.dask_client import connected
from course_utils.errors import AssignmentError
from course_utils.files import write_atomically
from course_utils.grading.assignment.course import complete, submissions
from course_utils.grading.examine import store as examined
from course_utils.grading.examine.job import Examined, Job
from course_utils.grading.examine.submission import examine
from course_utils.grading.gradebook import Writer, open_gradebook
from course_utils.grading.nbgrader_steps.notes import printable
from course_utils.grading.sandbox import gpus
from course_utils.grading.sandbox.bubblewrap import close_all, require_sandbox
from course_utils.grading.sandbox.limits import Limits
from course_utils.progress import Progress
from course_utils.runtime import available_cores

GRADED, UNCHANGED, FAILED = "graded", "unchanged", "failed"

# Jobs under way for each thread of the workers: the next one is there when a thread is free, and
# not all of a class' files are in memory.
UNDER_WAY = 2

# What a submission's processes take together; the course's own take half of it.
USUAL_MEMORY = 2**30

LOOPBACK = "127.0.0.1:0"


@dataclass
class Outcome:
    """What became of one submission.

    Attributes
    ----------
    student, state : str
    seconds : float
        Of its examination, where there was one.
    reason : str
        Why it could not be graded.
    """

    student: str
    state: str = GRADED
    seconds: float = 0.0
    reason: str = ""


def grade_class(
    course: Path,
    assignment: str,
    *,
    only: str | None = None,
    again: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    retrain: float | None = None,
    with_my_rights: bool = False,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Grade what was handed in for an assignment, and write the feedback.

    A call that was killed, at any moment, is made good by the next one: what was examined is not
    examined again, and a submission is in the gradebook as a whole or not at all. A submission
    that cannot be graded stops no other.

    Parameters
    ----------
    course : Path
    assignment : str
    only : str, optional
        This student.
    again : bool
        Examine what is unchanged, too.
    jobs : int, optional
        Submissions at a time on this machine; default: `at_a_time`.
    scheduler : str, optional
        The address of a Dask scheduler, whose workers examine the submissions instead.
    retrain : float, optional
        Fraction of the submissions, 0 to 1, whose networks are trained again.
    with_my_rights : bool
        Run submissions with your rights, without a sandbox.
    progress : Progress, optional

    Returns
    -------
    list of Outcome
        By student.

    Raises
    ------
    AssignmentError
        Where nothing was handed in, or submissions cannot be run in a sandbox here.
    RunError
        Where the scheduler cannot be reached, or has no workers.
    """
    folders = submissions(course, assignment, only)
    with_my_rights = with_my_rights or env.WITH_MY_RIGHTS.is_on
    require_sandbox(with_my_rights)
    jobs = jobs or at_a_time()
    # A worker on another machine knows its own cores.
    threads = None if scheduler else int(env.THREADS.value or max(1, available_cores() // jobs))
    settings: dict[str, Any] = {"with_my_rights": with_my_rights}
    settings |= {} if retrain is None else {"retrain": retrain}
    for folder in folders:
        complete(folder)
    progress = progress or Progress()
    progress.begin(len(folders))
    queue = _Queue(Writer(course, assignment, settings), course, assignment, again, threads)
    # All that is imported stays: nobody looks through it for garbage again.
    gc.freeze()
    outcomes = []
    with _workers(scheduler, jobs) as client:
        for outcome in queue.run(client, [folder.parent.name for folder in folders], progress):
            progress.end(
                outcome.student,
                outcome.state,
                failed=outcome.state == FAILED,
                seconds=outcome.seconds,
                reason=outcome.reason,
            )
            outcomes.append(outcome)
    return sorted(outcomes, key=lambda outcome: outcome.student)


def at_a_time() -> int:
    """Return how many submissions this machine can examine side by side.

    One for each GPU. Where there is none, one more than there are cores (each waits a little for
    its own processes), as long as there is memory: for one submission that takes all it may, and
    for others as is usual.
    """
    if gpus.visible():
        return len(gpus.visible())
    beside_one = (psutil.virtual_memory().available - Limits().memory) // USUAL_MEMORY
    return max(1, min(available_cores() + 1, 1 + beside_one))


class _Queue:
    """Reads submissions, has them examined, and writes what comes back, one after the other."""

    def __init__(
        self, writer: Writer, course: Path, assignment: str, again: bool, threads: int | None
    ) -> None:
        self._writer, self._course, self._assignment = writer, course, assignment
        self._again, self._threads = again, threads
        self._jobs: dict[Future, tuple[str, Job]] = {}

    def run(self, client: Client, students: list[str], progress: Progress) -> Iterator[Outcome]:
        """Grade submissions; yield each when it is done."""
        topic = f"course-{uuid.uuid4().hex}"
        client.subscribe_topic(topic, lambda event: progress.step(*event[1]))
        room = UNDER_WAY * sum(client.nthreads().values())
        waiting = as_completed(loop=client.loop)
        for student in students:
            if len(self._jobs) >= room:
                yield self._finish(next(waiting))
            job = self._begin(student)
            if isinstance(job, Outcome):
                yield job
                continue
            # Not pure: a key of its own for each, however alike two submissions are.
            future = client.submit(
                _examine_on_worker, job, student, topic, self._threads, pure=False
            )
            self._jobs[future] = student, job
            waiting.add(future)
        for future in waiting:
            yield self._finish(future)

    def _begin(self, student: str) -> Job | Outcome:
        """Read a submission; return its job, or its outcome where nothing has to be examined."""
        try:
            job = self._writer.job(student)
            if job is None:
                return self._write(student, "nothing to run", 0.0)
            if not self._again:
                if self._is_current(student, job.digest):
                    return Outcome(student, UNCHANGED)
                if examined.load(job, self._course):
                    return self._write(student, job.digest, 0.0)
            return job
        except Exception as error:
            return _failed(student, error)

    def _finish(self, future: Future) -> Outcome:
        """Write what a worker has found."""
        student, job = self._jobs.pop(future)
        try:
            found, seconds = future.result()
            examined.save(job, found, self._course)
            return self._write(student, job.digest, seconds)
        except KilledWorker:
            return _failed(student, AssignmentError("Every worker that examined it was killed."))
        except Exception as error:
            return _failed(student, error)

    def _write(self, student: str, digest: str, seconds: float) -> Outcome:
        said = self._writer.write(student)
        logs = self._course / examined.FOLDER / "logs" / student
        write_atomically(logs / f"{self._assignment}.log", said)
        self._writer.write_feedback(student)
        # Last: a call that was killed before does all of this again.
        write_atomically(self._marker(student), json.dumps(digest))
        return Outcome(student, GRADED, seconds)

    def _is_current(self, student: str, digest: str) -> bool:
        """Tell whether the gradebook holds what this submission earns."""
        try:
            if json.loads(self._marker(student).read_text(encoding="utf-8")) != digest:
                return False
            with open_gradebook(self._course) as gradebook:
                gradebook.find_submission(self._assignment, student)
        except (OSError, ValueError, MissingEntry):
            return False
        return True

    def _marker(self, student: str) -> Path:
        return self._course / examined.FOLDER / "graded" / student / f"{self._assignment}.json"


def _examine_on_worker(
    job: Job, student: str, topic: str, threads: int | None
) -> tuple[Examined, float]:
    worker, started = get_worker(), time.monotonic()
    # Nothing of the caller's context, in which an event loop may run: each has one of its own.
    context = contextvars.Context()
    found = context.run(
        examine, job, lambda test: worker.log_event(topic, (student, test)), threads
    )
    return found, time.monotonic() - started


@contextlib.contextmanager
def _workers(scheduler: str | None, jobs: int) -> Iterator[Client]:
    """Give a client of the scheduler, or of threads of this process that work as its workers do."""
    settings = {
        # Submissions bring their files along.
        "distributed.admin.large-graph-warning-threshold": "1TB",
        # Nobody reads what this process's own worker would find out, a hundred times a second.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "1s",
    }
    with dask.config.set(settings):
        if scheduler:
            with connected(scheduler) as client:
                yield client
            return
        logging.getLogger("distributed").setLevel(logging.ERROR)
        pages = {"dashboard_address": LOOPBACK, "worker_dashboard_address": LOOPBACK}
        with Client(processes=False, n_workers=1, threads_per_worker=jobs, **pages) as client:
            try:
                yield client
            except BaseException:
                # Threads cannot be ended; with the programs they wait for, they end by themselves.
                close_all()
                raise


def _failed(student: str, error: Exception) -> Outcome:
    return Outcome(student, FAILED, reason=printable(str(error)) or type(error).__name__)
