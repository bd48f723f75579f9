"""Grading a whole class: submissions in parallel, one writer, and nothing repeated or lost."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import psutil
from distributed import Client, Future, KilledWorker, as_completed, get_worker
from distributed.gc import disable_gc_diagnosis

from course_utils import env
from course_utils.dask_client import connected
from course_utils.errors import CourseError, InterruptedExaminationError, SandboxError
from course_utils.files import write_atomically
from course_utils.grading.assignment.course import course_directory, submissions_by_student
from course_utils.grading.database import check_gradebook
from course_utils.grading.examine import store as examined
from course_utils.grading.examine.job import Examined, Job
from course_utils.grading.examine.submission import examine
from course_utils.grading.gradebook import Writer
from course_utils.grading.nbgrader_steps.intake import Submission, take_the_course
from course_utils.grading.sandbox import gpus
from course_utils.grading.sandbox.bubblewrap import close_all, require_sandbox
from course_utils.grading.sandbox.limits import Limits
from course_utils.printable import printable
from course_utils.progress import Progress
from course_utils.runtime import available_cores, require_cache

GRADED, UNCHANGED, FAILED = "graded", "unchanged", "failed"
# Only the page of the feedback was written, with what the lecturer has entered.
RENEWED = "feedback renewed"

# Jobs under way for each thread of the workers. The next job is ready when a thread becomes free,
# but the files of the whole class are not in memory at once.
UNDER_WAY = 2

# Memory in bytes that the processes of one submission usually take together. Submissions to the
# course's own assignments take half of it.
USUAL_MEMORY = 2**30

# Mask of the rights of new files, if the lecturers of a group share the course.
FOR_THE_GROUP = 0o002

# Address of the workers' status pages: any free port, visible on this machine only.
LOOPBACK = "127.0.0.1:0"


@dataclass
class Outcome:
    """Outcome of grading one submission.

    Attributes
    ----------
    student, state : str
    seconds : float
        Duration of the examination; 0 if there was none.
    reason : str
        Why the submission could not be graded; empty if it was.
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
    """Grade all submissions of an assignment and write the feedback.

    If a call is killed at any moment, the next call completes its work: a submission that has been
    examined is not examined again, and the gradebook contains a submission completely or not at
    all. A submission that cannot be graded does not stop the others. If one of its programs was
    ended from outside, it is examined once more, alone; if that happens again, it is not graded.
    If another call grades in the same course, this one waits.

    Parameters
    ----------
    course : Path
    assignment : str
    only : str, optional
        The only student whose submission is graded.
    again : bool
        Whether unchanged submissions are examined again.
    jobs : int, optional
        Number of submissions that this machine examines in parallel; default: `at_a_time`.
    scheduler : str, optional
        Address of a Dask scheduler whose workers examine the submissions instead.
    retrain : float, optional
        Fraction of the submissions, 0 to 1, whose networks are trained again.
    with_my_rights : bool
        Whether submissions run with your rights, without a sandbox.
    progress : Progress, optional
        Display of the progress.

    Returns
    -------
    list of Outcome
        Outcomes, sorted by student.

    Raises
    ------
    AssignmentError
        If nothing was handed in.
    SandboxError
        If no sandbox is available.
    CacheError
        If the cache folder cannot be written.
    RunError
        If the scheduler cannot be reached, or has no workers.
    """
    students = list(submissions_by_student(course, assignment, only))
    with_my_rights = with_my_rights or env.WITH_MY_RIGHTS.is_on
    require_sandbox(with_my_rights)
    require_cache()
    jobs = jobs or at_a_time()
    # Workers on other machines choose the number of threads by their own cores.
    threads = None if scheduler else int(env.THREADS.number or max(1, available_cores() // jobs))
    settings: dict[str, Any] = {"with_my_rights": with_my_rights}
    retrain = env.RETRAIN.number if retrain is None else retrain
    settings |= {} if retrain is None else {"retrain": retrain}
    progress = progress or Progress()
    coursedir = course_directory(course)
    root = Path(coursedir.root)
    if coursedir.groupshared:
        os.umask(FOR_THE_GROUP)
    lock = take_the_course(coursedir, progress.say)
    try:
        check_gradebook(course)
        progress.begin(len(students))
        writer = Writer(course, assignment, settings)
        queue = _Queue(writer, root, assignment, again, threads, is_local=scheduler is None)
        # Imported modules stay in memory, so the garbage collector need not search them again.
        gc.freeze()
        outcomes = _outcomes(queue, students, progress, scheduler, jobs)
        return sorted(outcomes, key=lambda outcome: outcome.student)
    finally:
        lock.release()


def _outcomes(
    queue: _Queue, students: list[str], progress: Progress, scheduler: str | None, jobs: int
) -> Iterator[Outcome]:
    """Yield each outcome after it was shown."""
    with _workers(scheduler, jobs) as client:
        for outcome in queue.run(client, students, progress):
            progress.end(
                outcome.student,
                outcome.state,
                failed=outcome.state == FAILED,
                seconds=outcome.seconds,
                reason=outcome.reason,
            )
            yield outcome


def at_a_time() -> int:
    """Return how many submissions this machine can examine in parallel.

    With GPUs, the number is that of the GPUs. Without, it is one more than the number of cores,
    because each submission waits a little for its own processes. Memory limits the number further:
    it must suffice for one submission that takes all it may, and for others of the usual size.
    """
    if gpus.visible():
        return len(gpus.visible())
    beside_one = (psutil.virtual_memory().available - Limits().memory) // USUAL_MEMORY
    return max(1, min(available_cores() + 1, 1 + beside_one))


@dataclass(frozen=True)
class _Received:
    """A submission, and what of it has to be examined."""

    student: str
    notebooks: list[Submission]
    jobs: list[Job]


class _Queue:
    """Reads submissions, has them examined, and writes the results one after the other."""

    def __init__(
        self,
        writer: Writer,
        course: Path,
        assignment: str,
        again: bool,
        threads: int | None,
        is_local: bool,
    ) -> None:
        self._writer, self._course, self._assignment = writer, course, assignment
        self._again, self._threads, self._is_local = again, threads, is_local
        self._under_way: dict[Future, _Received] = {}
        self._interrupted: list[_Received] = []

    def run(self, client: Client, students: list[str], progress: Progress) -> Iterator[Outcome]:
        """Grade submissions; yield each outcome as soon as it is known."""
        for outcome in self._run(client, students, progress):
            self._writer.discard(outcome.student)
            yield outcome

    def _run(self, client: Client, students: list[str], progress: Progress) -> Iterator[Outcome]:
        topic = f"course-{uuid.uuid4().hex}"
        client.subscribe_topic(topic, lambda event: progress.step(*event[1]))
        room = UNDER_WAY * sum(client.nthreads().values())
        waiting = as_completed(loop=client.loop)
        for student in students:
            if len(self._under_way) >= room:
                yield from self._finish(next(waiting))
            begun = self._begin(student)
            if isinstance(begun, Outcome):
                yield begun
                continue
            waiting.add(self._submit(client, begun, topic))
        for future in waiting:
            yield from self._finish(future)
        # Interrupted submissions are examined once more, one at a time.
        for received in self._interrupted:
            future = self._submit(client, received, topic)
            yield from self._finish(future, is_last_try=True)

    def _submit(self, client: Client, received: _Received, topic: str) -> Future:
        jobs: Any = received.jobs
        if self._is_local:
            # Dask keeps the arguments of calls, and these hold the submission's files. What is
            # scattered is given up after its call, but would be lost with a worker that is killed.
            jobs = client.scatter(jobs, hash=False)
        # A job that is not pure has its own key, even if two submissions are identical.
        future = client.submit(
            _examine_on_worker, jobs, received.student, topic, self._threads, pure=False
        )
        self._under_way[future] = received
        return future

    def _begin(self, student: str) -> _Received | Outcome:
        """Receive a submission; return its outcome if nothing has to be examined."""
        try:
            notebooks = self._writer.receive(student)
            before = self._before(student, notebooks)
            if before and not self._again:
                return self._keep(student, notebooks, before)
            jobs = [notebook.job for notebook in notebooks if notebook.job]
            if not self._again:
                jobs = [job for job in jobs if not examined.load(job, self._course)]
            received = _Received(student, notebooks, jobs)
            if not jobs:
                return self._write(received, 0.0)
            if not before:
                # The points of an earlier one must not stay if this call is interrupted.
                self._forget(student)
            return received
        except (Exception, SystemExit) as error:
            return self._failed(student, error)

    def _finish(self, future: Future, is_last_try: bool = False) -> Iterator[Outcome]:
        """Write the result that a worker returns, and yield it, unless it was interrupted."""
        received = self._under_way.pop(future)
        student = received.student
        try:
            returned = future.result()
            if isinstance(returned, CourseError):
                raise returned
            results, seconds = returned
            for job, result in zip(received.jobs, results, strict=True):
                examined.save(job, result, self._course)
            yield self._write(received, seconds)
        except InterruptedExaminationError as error:
            if is_last_try:
                yield self._failed(student, error, received.notebooks)
            else:
                self._interrupted.append(received)
        except KilledWorker:
            killed = InterruptedExaminationError("Every worker that examined it was killed.")
            yield self._failed(student, killed, received.notebooks)
        except (Exception, SystemExit) as error:
            yield self._failed(student, error, received.notebooks)

    def _write(self, received: _Received, seconds: float) -> Outcome:
        student = received.student
        self._marker(student).unlink(missing_ok=True)
        said = self._writer.write(received.notebooks) + self._writer.write_feedback(student)
        logs = self._course / examined.FOLDER / "logs" / student
        write_atomically(logs / f"{self._assignment}.log", said)
        self._mark(student, received.notebooks)
        return Outcome(student, GRADED, seconds)

    def _keep(self, student: str, notebooks: list[Submission], before: dict[str, Any]) -> Outcome:
        """Leave a result as it is; write the feedback if it is missing, or its text has changed."""
        saved = self._writer.saved(student) or {}
        if self._writer.has_feedback(student) and before.get("by hand") == saved.get("by hand"):
            return Outcome(student, UNCHANGED)
        self._writer.write_feedback(student)
        self._mark(student, notebooks)
        return Outcome(student, RENEWED)

    def _mark(self, student: str, notebooks: list[Submission]) -> None:
        """Store what the result depends on, and the result, to compare them at the next call.

        The marker is written last: if this call is killed before that, the next one repeats all.
        """
        inputs = {"inputs": self._writer.inputs(student, notebooks)}
        saved = self._writer.saved(student) or {}
        write_atomically(self._marker(student), json.dumps(inputs | saved))

    def _failed(
        self, student: str, error: BaseException, notebooks: list[Submission] | None = None
    ) -> Outcome:
        """Return the outcome of a submission that cannot be graded, and so has no points.

        An earlier result stays if it is that of these notebooks, and the cause is the machine.
        """
        reason = printable(str(error)) or type(error).__name__
        try:
            is_the_machines = isinstance(error, SandboxError | InterruptedExaminationError)
            if is_the_machines and notebooks and self._before(student, notebooks):
                reason += " Its earlier result stays: the submission has not changed."
            else:
                self._forget(student)
        except Exception as second:
            reason += f" Its earlier result could not be removed: {printable(str(second))}"
        return Outcome(student, FAILED, reason=reason)

    def _forget(self, student: str) -> None:
        """Remove the result of an earlier submission, or of one that cannot be graded."""
        self._marker(student).unlink(missing_ok=True)
        self._writer.forget(student)

    def _before(self, student: str, notebooks: list[Submission]) -> dict[str, Any] | None:
        """Return the marker of an earlier call if its result is there and still right."""
        try:
            marker = json.loads(self._marker(student).read_text(encoding="utf-8"))
            inputs, automatic = marker["inputs"], marker["automatic"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        saved = self._writer.saved(student)
        is_current = (
            saved is not None
            and automatic == saved["automatic"]
            and inputs == self._writer.inputs(student, notebooks)
            and self._writer.has_results(student)
        )
        return marker if is_current else None

    def _marker(self, student: str) -> Path:
        return self._course / examined.FOLDER / "graded" / student / f"{self._assignment}.json"


def _examine_on_worker(
    jobs: list[Job], student: str, topic: str, threads: int | None
) -> tuple[list[Examined], float] | CourseError:
    """Examine a submission, and return the results and the seconds that it took.

    An error with a sentence for the user is returned: Dask logs one that is raised with its stack.
    """
    worker, started = get_worker(), time.monotonic()
    # Each examination runs its own event loop, so it must not inherit the caller's context, where
    # another loop may be running.
    context = contextvars.Context()
    try:
        found = [
            context.run(
                examine, job, lambda test: worker.log_event(topic, (student, test)), threads
            )
            for job in jobs
        ]
    except CourseError as error:
        return error
    return found, time.monotonic() - started


@contextlib.contextmanager
def _workers(scheduler: str | None, jobs: int) -> Iterator[Client]:
    """Yield a client of the scheduler, or of worker threads in this process."""
    settings = {
        # Jobs contain the submissions' files, so they are large on purpose.
        "distributed.admin.large-graph-warning-threshold": "1TB",
        # Profiles, taken a hundred times a second, and frequent ticks are of no use here.
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
            # It would call Python code whenever garbage is searched for, also while Python builds a
            # syntax tree, and only one thread may do that at a time: see `cells.parse`.
            disable_gc_diagnosis(force=True)
            try:
                yield client
            except BaseException:
                # Threads cannot be killed, but they end when the programs they wait for have ended.
                close_all()
                raise
