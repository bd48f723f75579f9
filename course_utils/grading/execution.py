"""Executing one submission: within limits, in a sandbox, with its tests carried out outside."""

from __future__ import annotations

import ast
import contextlib
import copy
import hashlib
import json
import os
import re
import stat
import symtable
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode
from nbformat.v4 import new_notebook, new_output
from nbgrader import utils
from nbgrader.preprocessors import Execute
from traitlets import Dict, Int

from course_utils.errors import AssignmentError, SandboxError
from course_utils.grading import gpus
from course_utils.grading.examination import ENDED, Examination
from course_utils.grading.kernels import PROVISIONER
from course_utils.grading.provenance import provenance
from course_utils.grading.scan import SECRETS
from course_utils.submission.settings import AHEAD, ANSWER_MIME, RETRAIN

# An answer, or an output, of more is dropped, with the connection it came by. Read, the same JSON
# can take fifty times the memory.
MAX_MESSAGE_BYTES = 16 * 2**20
# Of all files that were handed in: less than a sandbox has room for.
MAX_FILES_BYTES = 200 * 2**20
# To hand a message to a kernel. A connection that was dropped takes none, and says nothing of it.
SEND_SECONDS = 10
# A kernel is ended so long after its time: one that goes on sending keeps its client from looking.
LAST_SECONDS = 5
ANSWERS = "course_utils.submission.answers"


@dataclass(frozen=True)
class Job:
    """All that a submission's result depends on; any machine can do it.

    Attributes
    ----------
    cells : list of NotebookNode
        Of the student's notebook, put right.
    given : list of str
        The lecturer's cells that the tests stand on.
    files : dict of bytes
        What was handed in beside the notebook: name in the folder -> content.
    timeout, total_timeout : int
        Seconds for one cell, or one test; and for all.
    retrain : bool
        Whether the networks are trained again, for comparison.
    """

    cells: list[NotebookNode]
    given: list[str]
    files: dict[str, bytes]
    timeout: int
    total_timeout: int
    retrain: bool

    @cached_property
    def digest(self) -> str:
        """Name the job: 64 hexadecimal digits, others if anything in it is different."""
        return hashlib.sha256(json.dumps(self.provenance(), sort_keys=True).encode()).hexdigest()

    def provenance(self) -> dict[str, Any]:
        """Return what a score of this submission stands on: digests and versions."""
        cells = [[cell.cell_type, cell.source, cell.metadata] for cell in self.cells]
        settings = [self.given, self.timeout, self.total_timeout, self.retrain]
        return provenance(json.dumps(cells), json.dumps(settings), self.files)


@dataclass(frozen=True)
class Examined:
    """A submission whose tests were carried out.

    Attributes
    ----------
    cells : list of NotebookNode
        With their outputs; those of the tests are the examiner's.
    notes : list of tuple
        What went wrong: a sentence for the student, one for the lecturer.
    provenance : dict
        From `Job.provenance`.
    """

    cells: list[NotebookNode]
    notes: list[tuple[str, str]]
    provenance: dict[str, Any]


def examine(job: Job, on_test: Callable[[str], None] = lambda name: None) -> Examined:
    """Execute a submission and carry out its tests.

    Parameters
    ----------
    job : Job
    on_test : callable
        Is told the name of each test that begins.

    Raises
    ------
    SandboxError
        Where there is no sandbox to be had, or no kernel starts in it.
    AssignmentError
        Where the lecturer's own cells do not run.
    """
    with gpus.one() as gpu:
        return _Execution(job, on_test, gpu).run()


def read_files(folder: Path, ignored: list[str]) -> tuple[dict[str, bytes], list[str]]:
    """Read a submission's files, without notebooks (they may hold the hidden tests).

    Parameters
    ----------
    folder : Path
    ignored : list of str
        nbgrader's patterns of names that it leaves out.

    Returns
    -------
    files : dict of bytes
        Name in the folder -> content.
    too_large : list of str
        The names of those that are not read: a sandbox has no room for them.
    """
    kept = set(utils.find_all_files(str(folder), [*ignored, "*.ipynb"]))
    paths = [
        path
        for path in plain_files(folder)
        if str(path) in kept and path.name not in ("timestamp.txt", AHEAD)
    ]
    files, too_large, size = {}, [], 0
    for path in sorted(paths, key=lambda path: (path.stat().st_size, path)):
        name = str(path.relative_to(folder))
        size += path.stat().st_size
        if size <= MAX_FILES_BYTES:
            files[name] = path.read_bytes()
        else:
            too_large.append(name)
    return files, too_large


def plain_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are neither links nor devices, in order."""
    return sorted(
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if stat.S_ISREG((Path(place) / name).lstat().st_mode)
    )


@contextlib.contextmanager
def staged(files: dict[str, bytes]) -> Iterator[Path]:
    """Write a submission's files into a new folder, for everybody to read."""
    with tempfile.TemporaryDirectory(prefix="handed-in-") as place:
        os.chmod(place, 0o755)
        (Path(place) / AHEAD).mkdir()
        for name, content in files.items():
            path = Path(place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(place)


def is_test(cell: NotebookNode) -> bool:
    """Tell whether a cell is an automatic test."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


class BoundedExecute(Execute):
    """Executes a notebook within a total time and a bounded output, whatever its cells do.

    Attributes
    ----------
    notes : list of tuple
        What went wrong, for the student and for the lecturer.
    """

    total_timeout = Int(600, help="Seconds that one submission may take.").tag(config=True)
    max_output = Int(2**20, help="Characters that one cell may print.").tag(config=True)
    max_outputs = Int(20 * 2**20, help="Characters of all cells together.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> Any:
        self._deadline = time.monotonic() + self.total_timeout
        self._printed: Counter[int] = Counter()
        self.notes: list[tuple[str, str]] = []
        self._has_started = False
        self.on_notebook_start = self._remember_start
        try:
            super().preprocess(nb, resources, km)
        except (_TimeIsUp, CellTimeoutError):
            self._note(
                f"The notebook was stopped: one cell may run for {self.timeout} seconds, all of "
                f"them for {self.total_timeout}. The cells after that were not run.",
                "Stopped: a cell that did not end, or a notebook that took too long.",
            )
        except Exception as error:
            # None of its cells has run: that says nothing about the submission.
            if not self._has_started:
                raise SandboxError(f"No kernel could be started: {error}") from error
            self._note(
                "The notebook's program ended before its last cell; the cells after that were "
                "not run.",
                f"The kernel ended: {type(error).__name__}: {str(error)[:200]}",
            )
        return nb, resources

    def _remember_start(self, notebook: NotebookNode) -> None:
        self._has_started = True

    def _note(self, for_student: str, for_lecturer: str) -> None:
        self.log.warning(for_lecturer)
        self.notes.append((for_student, for_lecturer))

    def _get_timeout(self, cell: NotebookNode | None) -> float | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _TimeIsUp
        return min(left, self.timeout) if self.timeout else left

    def process_message(self, msg: Any, cell: NotebookNode, cell_index: int) -> Any:
        before = self._may_print(cell_index)
        self._printed[cell_index] += self._size(msg)
        if not self._may_print(cell_index):
            if before:
                self._stop_printing(cell)
            # That a cell is done is heard all the same.
            return super().process_message(msg, cell, cell_index) if _is_state(msg) else None
        return super().process_message(msg, cell, cell_index)

    def handle_comm_msg(self, outs: list, msg: Any, cell_index: int) -> None:
        """Keep no state of widgets: nobody sees them."""

    def _may_print(self, cell_index: int) -> bool:
        return (
            self._printed[cell_index] <= self.max_output
            and self._printed.total() <= self.max_outputs
        )

    def _size(self, msg: Any) -> int:
        """Count the characters of a message, in each place that it will come to."""
        if _is_state(msg):
            return 0
        content = msg["content"]
        shown = self._display_id_map.get(content.get("transient", {}).get("display_id"), {})
        places = 1 + sum(map(len, shown.values()))
        return places * len(json.dumps(content, default=str))

    def _stop_printing(self, cell: NotebookNode) -> None:
        cell.outputs.append(
            new_output("stream", name="stdout", text="\n... too much output, stopped here ...\n")
        )
        self._note(
            f"A cell printed more than {self.max_output:,} characters, or all of them more than "
            f"{self.max_outputs:,}, and was stopped.",
            f"Endless output in a cell that starts: {cell.source[:60]!r}",
        )
        self.km.interrupt_kernel()


class _TimeIsUp(Exception):
    pass


def _is_state(msg: Any) -> bool:
    return msg["msg_type"] == "status"


class SandboxKernelManager(AsyncKernelManager):
    """Starts kernels in sandboxes, and takes no message from them that is too large.

    Attributes
    ----------
    environment : dict of str
        Added to what the kernels get.
    """

    environment = Dict()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.kernel_spec.metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER}

    def client(self, **settings: Any) -> Any:
        client = super().client(**settings)
        client.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        client.context.setsockopt(zmq.SNDTIMEO, SEND_SECONDS * 1000)
        return client


class _Execution(BoundedExecute):
    """Executes one job's cells in a sandbox, and carries out the tests outside of it.

    What a test cell did in the student's process counts for nothing: its outputs, and with them
    its grade, are the examiner's.
    """

    shutdown_kernel = "immediate"

    def __init__(self, job: Job, on_test: Callable[[str], None], gpu: dict[str, str]) -> None:
        super().__init__(
            timeout=job.timeout,
            total_timeout=job.total_timeout,
            kernel_manager_class=SandboxKernelManager,
        )
        self._job, self._on_test, self._gpu = job, on_test, gpu
        self._outcomes: list[tuple[NotebookNode, list[NotebookNode]]] = []
        # Names that hidden tests define: no student's cell gives them a meaning, at any time.
        self._hidden = _hidden_names(filter(is_test, job.cells))

    def run(self) -> Examined:
        """Do it, whatever the submission is.

        Raises
        ------
        SandboxError
            Where no kernel starts.
        AssignmentError
            Where the lecturer's own cells do not run.
        """
        nb = new_notebook(cells=copy.deepcopy(self._job.cells))
        environment = self._gpu | ({RETRAIN: "1"} if self._job.retrain else {})
        with staged(self._job.files) as handed_in, contextlib.ExitStack() as examinations:

            def begin() -> Examination:
                examination = Examination(handed_in, environment)
                examinations.callback(examination.close)
                problem = examination.prepare(self._job.given, self.total_timeout)
                if problem:
                    raise AssignmentError(f"The assignment's own cells do not run: {problem}")
                return examination

            self._examination = begin()
            in_time = self._examination.predict(handed_in / AHEAD, self.total_timeout)
            if not in_time:
                # What needs no network is examined all the same.
                self._examination.close()
                for network in handed_in.glob("*.keras"):
                    network.unlink()
                self._examination = begin()
            self.preprocess(nb, {"metadata": {"path": str(handed_in)}})
            if not in_time:
                self._note(
                    f"Your networks did not predict within {self.total_timeout} seconds, and "
                    "were left out.",
                    f"Left out: networks that take more than {self.total_timeout} seconds.",
                )
            examined = [cell for cell, _ in self._outcomes]
            for cell in nb.cells:
                if is_test(cell) and not any(cell is other for other in examined):
                    self._examine(cell, lambda request: {"ended": ENDED})
        for cell, outputs in self._outcomes:
            cell.outputs = outputs
        return Examined(nb.cells, self.notes, self._job.provenance())

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> Any:
        end = threading.Timer(self.total_timeout + LAST_SECONDS, self._end_kernel)
        end.daemon = True
        end.start()
        try:
            return super().preprocess(nb, resources, km)
        finally:
            end.cancel()

    def create_kernel_manager(self) -> SandboxKernelManager:
        manager = super().create_kernel_manager()
        manager.environment = self._gpu
        return manager

    def _end_kernel(self) -> None:
        if self.km is not None and self.km.provisioner is not None:
            self.km.provisioner.sandbox.close()

    def preprocess_cell(self, cell: NotebookNode, resources: Any, index: int) -> Any:
        if cell.cell_type != "code":
            return cell, resources
        if not is_test(cell):
            super().preprocess_cell(cell, resources, index)
            self._examination.forget(sorted(set(_names_assigned(cell.source)) - self._hidden))
            return cell, resources
        source, shown = cell.source, SECRETS.sub("", cell.source)
        # The student's own copy counts for nothing, but a cell after it may use what it defines.
        if self._is_used_later(_names_assigned(shown), index):
            cell.source = shown
            try:
                super().preprocess_cell(cell, resources, index)
            finally:
                cell.source = source
        self._examine(cell, self._ask)
        return cell, resources

    def _is_used_later(self, names: list[str], index: int) -> bool:
        later = (cell for cell in self.nb.cells[index + 1 :] if cell.cell_type == "code")
        texts = [cell.source for cell in later if not is_test(cell)]
        return any(re.search(rf"\b{name}\b", text) for text in texts for name in names)

    def _examine(self, cell: NotebookNode, ask: Any) -> None:
        self._on_test(cell.metadata["nbgrader"]["grade_id"])
        outputs = self._examination.examine(cell.source, ask, self.timeout)
        self._outcomes.append((cell, outputs))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Pass a question on to the notebook's program, and return its answer."""
        if request["name"] in self._hidden:
            return {}
        asked = json.dumps(json.dumps(request))
        expression = f"__import__('{ANSWERS}', fromlist=['answer']).answer({asked})"
        try:
            number = self.kc.execute(
                "", silent=True, store_history=False, user_expressions={"answer": expression}
            )
            reply = self.wait_for_reply(number)
            return reply["content"]["user_expressions"]["answer"]["data"][ANSWER_MIME]
        except Exception as error:
            # Where the time is up the test goes on without the notebook: it may need it no more.
            return {"ended": f"{ENDED} ({type(error).__name__})"}


def _hidden_names(tests: Iterable[NotebookNode]) -> set[str]:
    """Return the names that only hidden parts of tests define."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for cell in tests:
        defined = (s for s in _symbols(cell.source) if s.is_assigned() or s.is_imported())
        hidden |= {symbol.get_name() for symbol in defined}
        shown |= {symbol.get_name() for symbol in _symbols(SECRETS.sub("", cell.source))}
    return hidden - shown


def _symbols(source: str) -> list[symtable.Symbol]:
    """Return the names that a cell itself uses, without those inside its functions."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return symtable.symtable(source, "<cell>", "exec").get_symbols()
    return []


def _names_assigned(source: str) -> list[str]:
    """Return the names that a cell gives a new meaning; none where it is no Python."""
    names = []
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        for statement in ast.parse(source).body:
            for node in ast.walk(statement):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    names.append(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.append(node.id)
    return names
