"""Examining a submission: executing its notebook, and running its tests outside the notebook."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock
from nbformat import NotebookNode
from nbformat.v4 import new_notebook, new_output
from nbgrader.utils import determine_grade

from course_utils import env
from course_utils.data.catalogue import SPECS
from course_utils.data.ladder import load
from course_utils.errors import AssignmentError
from course_utils.files import write_atomically
from course_utils.grading.assignment.cells import SECRETS, is_test
from course_utils.grading.examine.endings import check_ending
from course_utils.grading.examine.job import FAILED, LIVE, Examined, Job, Trial
from course_utils.grading.examine.kernel import SandboxKernelManager
from course_utils.grading.examine.names import (
    hidden_names,
    names_assigned,
    names_defined,
    names_in,
    needs_the_kernel,
    texts_in,
)
from course_utils.grading.examine.notebook import BoundedExecute
from course_utils.grading.examine.test_runner import ENDED, TestRunner, test_stopped
from course_utils.grading.sandbox import gpus
from course_utils.grading.sandbox.limits import LAST_SECONDS, MAX_PRINTED, WATCH_SECONDS
from course_utils.grading.sandbox.watch import Clock
from course_utils.notebook_format import grade_id, is_valid
from course_utils.runtime import cache_dir
from course_utils.submission.contract import ANSWER_MIME, ORDINARY, PREDICTIONS_FOLDER
from course_utils.submission.messages import Answer, Question

# Module that answers the examiner's questions in the student's kernel.
ANSWERS = "course_utils.submission.responder"

NO_TRIAL = Trial()


def examine(
    job: Job, on_test: Callable[[str], None] = lambda name: None, threads: int | None = None
) -> Examined:
    """Execute a submission and run its tests.

    Parameters
    ----------
    job : Job
    on_test : callable
        Receives the name of each test before it runs.
    threads : int, optional
        Number of CPU threads of each program; default: that of this process.

    Raises
    ------
    SandboxError
        If no sandbox is available, or no kernel starts in it.
    InterruptedExaminationError
        If a program was ended from outside, so that nothing is known about the submission.
    AssignmentError
        If the lecturer's own cells fail.
    """
    with gpus.one() as gpu:
        given = {} if threads is None else {env.THREADS.name: str(threads)}
        trial = _try_out(job, gpu | given)
        return _Execution(job, on_test, gpu | given, trial).run()


def try_out(job: Job) -> Trial:
    """Run the lecturer's notebook, and return what became of its tests.

    Raises
    ------
    SandboxError, InterruptedExaminationError, AssignmentError
        As for `examine`.
    """
    with gpus.one() as gpu:
        return _try_out(job, gpu)


def _try_out(job: Job, environment: dict[str, str]) -> Trial:
    """Decode the data and run the lecturer's notebook, unless this machine has done so before.

    Afterwards its cache holds what the tests need and compute, and nothing has to write to it while
    a submission is open. It is also known which tests need the notebook's own process.
    """
    for spec in SPECS.values():
        load(spec)
    if not job.lecturers:
        return Trial()
    own = job.lecturers_own
    done = cache_dir() / "filled" / f"{own.digest}.json"
    done.parent.mkdir(parents=True, exist_ok=True)
    if not done.exists():
        with FileLock(f"{done}.lock"):
            if not done.exists():
                trial = _Trial(own, environment).run_and_decide()
                # A notebook that was stopped would be stopped again, once for each submission.
                write_atomically(done, json.dumps(asdict(trial)))
    return Trial(**json.loads(done.read_text(encoding="utf-8")))


@contextlib.contextmanager
def staged(files: dict[str, bytes]) -> Iterator[Path]:
    """Write a submission's files into a temporary folder that every user can read."""
    with tempfile.TemporaryDirectory(prefix="handed-in-") as place:
        os.chmod(place, 0o755)
        (Path(place) / PREDICTIONS_FOLDER).mkdir()
        for name, content in files.items():
            path = Path(place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(place)


class _Execution(BoundedExecute):
    """Executes a job's cells in a sandbox, and runs the tests outside it.

    The results of a test cell in the student's process do not count: its outputs, and with them
    its grade, come from the examiner.
    """

    shutdown_kernel = "immediate"

    def __init__(
        self,
        job: Job,
        on_test: Callable[[str], None],
        environment: dict[str, str],
        trial: Trial = NO_TRIAL,
        fills_cache: bool = False,
    ) -> None:
        super().__init__(
            timeout=job.timeout,
            total_timeout=job.total_timeout,
            kernel_manager_class=SandboxKernelManager,
        )
        self._job, self._on_test, self._environment = job, on_test, environment
        self._fills_cache = fills_cache
        # Tests that run in the notebook's process.
        self._live, self._failed = set(trial.live), sorted(trial.failed)
        self._outcomes: list[tuple[NotebookNode, list[NotebookNode]]] = []
        # Names that only hidden tests define. The student's cells must never define them.
        self._hidden = hidden_names(filter(is_test, job.cells))

    def run(self) -> Examined:
        """Execute the cells and run the tests, whatever the submission contains.

        Raises
        ------
        SandboxError
            If no kernel starts.
        AssignmentError
            If the lecturer's own cells fail.
        """
        nb = new_notebook(cells=copy.deepcopy(self._job.cells))
        again = {env.TRAIN_AGAIN.name: "1"} if self._job.retrain else {}
        environment = self._environment | again
        with staged(self._job.files) as handed_in, contextlib.ExitStack() as runners:
            self._tests = TestRunner(
                handed_in, environment, self._job.with_my_rights, self._fills_cache
            )
            runners.callback(self._tests.close)
            problem = self._tests.prepare(self._job.given, self.total_timeout)
            if problem:
                raise AssignmentError(f"The assignment's own cells fail: {problem}")
            self._predict_in_advance(handed_in / PREDICTIONS_FOLDER)
            self._tests.endings()  # an interruption is reported at once
            self.preprocess(nb, {"metadata": {"path": str(handed_in)}})
            examined = [cell for cell, _ in self._outcomes]
            for cell in nb.cells:
                if is_test(cell) and not any(cell is other for other in examined):
                    self._examine_without_notebook(cell)
            for ending in self._tests.endings():
                sentence = f"{ending[0].upper()}{ending[1:]}."
                self._note(sentence, sentence)
        for cell in nb.cells:
            if cell.cell_type == "code":
                _bring_to_the_schema(cell)
        for cell, outputs in self._outcomes:
            cell.outputs = outputs
            cell.metadata[ORDINARY] = self._is_ordinary(cell)
        about_tests = {LIVE: sorted(self._live), FAILED: self._failed}
        return Examined(nb.cells, self.notes, self._job.provenance() | about_tests)

    def _predict_in_advance(self, folder: Path) -> None:
        """Let the networks that tests ask for predict, while the submission has time for it.

        If the time is up, a test has its network predict when it asks for it.
        """
        left = float(self.total_timeout)
        for question in self._questions_with_networks():
            if left <= 0:
                return
            clock = Clock(self._tests.usage)
            self._tests.predict(question, folder, left)
            left -= clock.seconds()

    def _questions_with_networks(self) -> list[str]:
        """Return the questions whose tests ask for a network that was handed in."""
        tests = [cell.source for cell in self._job.cells if is_test(cell)]
        texts = texts_in([*tests, *self._job.given])
        names = (Path(name) for name in sorted(self._job.files))
        return [path.stem for path in names if path.suffix == ".keras" and path.stem in texts]

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> Any:
        finished = threading.Event()
        threading.Thread(target=self._end_late_kernel, args=(finished,), daemon=True).start()
        try:
            return super().preprocess(nb, resources, km)
        finally:
            finished.set()

    def _end_late_kernel(self, finished: threading.Event) -> None:
        """End a kernel whose time is up: its messages can keep its client from looking."""
        clock = Clock(self._usage)
        while (left := clock.left(self.total_timeout + LAST_SECONDS)) > 0:
            if finished.wait(max(left, WATCH_SECONDS)):
                return
        if self._manager.started is not None:
            self._manager.started.end("it took too long and did not stop sending")

    def create_kernel_manager(self) -> SandboxKernelManager:
        manager = self._manager = super().create_kernel_manager()
        manager.environment = self._environment
        manager.readable = self._tests.readable
        manager.with_my_rights = self._job.with_my_rights
        return manager

    def why_kernel_ended(self) -> str:
        """Return why the kernel has ended, as a phrase; empty if it was still running.

        Raises
        ------
        InterruptedExaminationError
            If it was ended from outside.
        """
        kernel = self._manager.started
        if kernel is None or not kernel.ended_first:
            return kernel.why_ended if kernel else ""
        return check_ending("the notebook's kernel", kernel.sandbox, kernel.pid)

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if cell.cell_type != "code":
            return cell, resources
        if not is_test(cell):
            super().preprocess_cell(cell, resources, index)
            # The notebook may have given these names other values.
            self._tests.forget(sorted(names_in(cell.source) - self._hidden))
            return cell, resources
        self._on_test(cell.metadata["nbgrader"]["grade_id"])
        self._outcomes.append((cell, self._outputs_of_test(cell, resources, index)))
        return cell, resources

    def _outputs_of_test(self, cell: NotebookNode, resources: Any, index: int) -> list:
        if grade_id(cell) in self._live:
            return self._run_live(cell, resources, index)
        self._define(cell, resources, index)
        return self._examine(cell, self._ask)

    def _define(self, cell: NotebookNode, resources: Any, index: int) -> None:
        """Run a test in the notebook's process, too, if later cells there use its names.

        Its result there does not count.
        """
        source, shown = cell.source, SECRETS.sub("", cell.source)
        later = [c for c in self.nb.cells[index + 1 :] if c.cell_type == "code"]
        students = [c.source for c in later if not is_test(c)]
        live = [c.source for c in later if is_test(c) and self._may_run_live(c)]
        # Tests there depend on hidden parts of this one, which that process then sees.
        if self._is_ordinary(cell) and _mention(live, names_defined(source)):
            run = source
        elif _mention(students, names_assigned(shown)):
            run = shown
        else:
            return
        cell.source = run
        try:
            super().preprocess_cell(cell, resources, index)
        finally:
            cell.source = source

    def _may_run_live(self, cell: NotebookNode) -> bool:
        return grade_id(cell) in self._live

    def _is_ordinary(self, cell: NotebookNode) -> bool:
        return grade_id(cell) in self._job.ordinary

    def _run_live(self, cell: NotebookNode, resources: Any, index: int) -> list[NotebookNode]:
        """Run a test in the notebook's process, and return those of its outputs that count."""
        self._status = ""
        super().preprocess_cell(cell, resources, index)
        # The test may have given names of earlier tests other values.
        self._tests.forget(sorted(names_in(cell.source) - self._hidden))
        outputs = [plain for each in cell.outputs if (plain := _plain_output(each))]
        if self._status not in ("ok", "error"):
            outputs.append(test_stopped())
        return outputs

    def on_cell_executed(self, **kwargs: Any) -> None:
        super().on_cell_executed(**kwargs)
        self._status = kwargs["execute_reply"]["content"]["status"]

    def _examine_without_notebook(self, cell: NotebookNode) -> None:
        """Examine a test that was not reached before the notebook's process ended."""
        self._on_test(cell.metadata["nbgrader"]["grade_id"])
        if grade_id(cell) in self._live:
            outputs = [test_stopped()]
        else:
            outputs = self._examine(cell, lambda question: Answer(ended=ENDED))
        self._outcomes.append((cell, outputs))

    def _examine(self, cell: NotebookNode, ask: Callable[[Question], Answer]) -> list[NotebookNode]:
        return self._tests.examine(cell.source, self._is_ordinary(cell), ask, self.timeout)

    def _ask(self, question: Question) -> Answer:
        """Pass a question to the notebook's kernel and return the answer."""
        if question.name in self._hidden:
            return Answer()
        asked = json.dumps(question.model_dump_json())
        expression = f"__import__('{ANSWERS}', fromlist=['answer']).answer({asked})"
        try:
            number = self.kc.execute(
                "", silent=True, store_history=False, user_expressions={"answer": expression}
            )
            reply = self.wait_for_reply(number)
            said = reply["content"]["user_expressions"]["answer"]["data"][ANSWER_MIME]
            return Answer.model_validate(said)
        except Exception as error:
            # If the time is up, the test continues without the notebook, which it may not need.
            return Answer(ended=f"{ENDED} ({type(error).__name__})")


class _Trial(_Execution):
    """Executes the lecturer's notebook, and decides where each ordinary test runs.

    A test runs in the examiner if it makes sense there and the lecturer's answers pass it there.
    """

    def __init__(self, job: Job, environment: dict[str, str]) -> None:
        super().__init__(job, lambda name: None, environment, fills_cache=True)
        answers = [c.source for c in job.cells if c.cell_type == "code" and not is_test(c)]
        self._live = {
            name
            for cell in filter(is_test, job.cells)
            if (name := grade_id(cell)) in job.ordinary and needs_the_kernel(cell.source, answers)
        }

    def run_and_decide(self) -> Trial:
        """Run the notebook and return what became of its tests."""
        failed = {
            cell.metadata["nbgrader"]["grade_id"]: _complaint(cell)
            for cell in filter(is_test, self.run().cells)
            if self._is_ordinary(cell) and not _is_passed(cell, cell.outputs)
        }
        return Trial(sorted(self._live), failed)

    def _outputs_of_test(self, cell: NotebookNode, resources: Any, index: int) -> list:
        name = cell.metadata["nbgrader"]["grade_id"]
        if name in self._live or not self._is_ordinary(cell):
            return super()._outputs_of_test(cell, resources, index)
        outputs = self._examine(cell, self._ask)
        if _is_passed(cell, outputs):
            self._define(cell, resources, index)
            return outputs
        self._live.add(name)
        return self._run_live(cell, resources, index)

    def _may_run_live(self, cell: NotebookNode) -> bool:
        return self._is_ordinary(cell)


def _is_passed(cell: NotebookNode, outputs: list[NotebookNode]) -> bool:
    """Tell whether a test that has no `Grade` earns all of its points by nbgrader's rule."""
    tried = NotebookNode(cell | {"outputs": outputs})
    with contextlib.suppress(ValueError):  # more points than there are
        earned, most = determine_grade(tried)
        return earned == most
    return False


def _complaint(cell: NotebookNode) -> str:
    """Return what a test says that was not passed."""
    for output in cell.outputs:
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}"
        if output.output_type == "stream" and output.name == "stderr":
            return f"it writes to standard error: {output.text.strip()}"
        if output.output_type == "execute_result":
            return f"it returns {output.data.get('text/plain', '')}"
    return "it was not run to its end"


def _mention(texts: Iterable[str], names: Iterable[str]) -> bool:
    return any(re.search(rf"\b{name}\b", text) for text in texts for name in names)


def _plain_output(output: NotebookNode) -> NotebookNode | None:
    """Return an output of a live test without all that only the examiner may say."""
    if not is_valid(output, "output"):
        return None
    if output.output_type == "stream":
        return new_output("stream", name=output.name, text=output.text[:MAX_PRINTED])
    if output.output_type == "error":
        said = {"ename": output.ename, "evalue": output.evalue[:MAX_PRINTED]}
        return new_output("error", **said, traceback=[])
    text = str(output.data.get("text/plain", ""))[:MAX_PRINTED]
    if output.output_type == "execute_result" and text:  # nbgrader refuses one without a text
        return new_output("execute_result", data={"text/plain": text}, execution_count=1)
    return None


def _bring_to_the_schema(cell: NotebookNode) -> None:
    """Drop what a kernel's messages said in a form that no notebook can have."""
    if type(cell.execution_count) is not int or cell.execution_count < 0:
        cell.execution_count = None
    cell.outputs = [output for output in cell.outputs if is_valid(output, "output")]
