"""A class of 40: stock ``nbgrader autograde`` against ``course grade``, on the same submissions."""

from __future__ import annotations

import contextlib
import copy
import io
import multiprocessing
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import keras
import nbformat
import numpy as np
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbgrader.api import Gradebook

from benchmarks.grading import ASSIGNMENTS, make_course
from benchmarks.tables import Table
from course_utils import load_cifar10
from course_utils.grading.assignment.course import CONFIG, nbgrader, source_path
from course_utils.grading.class_grading import FAILED, grade_class
from course_utils.grading.examine.kernel import SandboxKernelManager
from course_utils.grading.examine.submission import staged
from course_utils.grading.inside.predictor import predict
from course_utils.grading.sandbox import fork_server
from course_utils.runtime import available_cores, cpu_has_bfloat16, setup

NAME = "a2-cnn"
CLASS = 40
ASKED = 7 if cpu_has_bfloat16() else 4.5
KERNELS = 5
PASSES = 5
NETWORKS = ("a2-q3", "a2-fc")
# nbgrader's own steps: each notebook, with its tests, runs in a new kernel, one after the other.
# Only the step that turns grades into points is the course's.
STOCK = """
from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, Execute, SaveAutoGrades
from course_utils.grading.nbgrader_steps.points import GradeCells

c.Autograde.autograde_preprocessors = [
    Execute, GradeCells, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata
]
c.Execute.timeout = 180
"""
# Pages of the feedback that are empty: nbgrader writes the feedback with another command.
WITHOUT_FEEDBACK = """
from nbconvert.exporters import Exporter

class NoPage(Exporter):
    file_extension = ".html"

    def from_notebook_node(self, nb, resources=None, **settings):
        return "", super().from_notebook_node(nb, resources, **settings)[1]

c.GenerateFeedback.exporter_class = NoPage
c.GenerateFeedback.preprocessors = []
"""

# Points by student and test.
Scores = dict[str, dict[str, float | None]]


def measure() -> Table:
    """Grade in both ways, nbgrader's first; the scores must be the same.

    Neither renders the feedback.
    """
    with tempfile.TemporaryDirectory() as folder:
        stock, queue = Path(folder) / "stock", Path(folder) / "queue"
        make_course(stock, NAME)
        hand_in_a_class(stock, CLASS)
        shutil.copytree(stock, queue)
        for course, settings in ((stock, STOCK), (queue, WITHOUT_FEEDBACK)):
            config = course / CONFIG
            config.write_text(config.read_text() + settings)
        seconds = {}
        start = time.perf_counter()
        nbgrader(stock, "autograde", NAME)
        seconds["stock"] = time.perf_counter() - start
        print(seconds, flush=True)
        start = time.perf_counter()
        outcomes = grade_class(queue, NAME)
        seconds["queue"] = time.perf_counter() - start
        print(seconds, flush=True)
        assert not any(outcome.state == FAILED for outcome in outcomes), outcomes
        start = time.perf_counter()
        grade_class(queue, NAME)
        seconds["again"] = time.perf_counter() - start
        differences = _differences(_scores(stock), _scores(queue))
    ratio = seconds["stock"] / seconds["queue"]
    rows = [
        ["stock `nbgrader autograde`", f"{seconds['stock']:.0f}", "1", ""],
        ["`course grade`", f"{seconds['queue']:.0f}", f"{ratio:.1f}",
         f"at least {ASKED:g}"],
        ["the same again, nothing changed", f"{seconds['again']:.0f}",
         f"{seconds['stock'] / seconds['again']:.0f}", ""],
    ]  # fmt: skip
    networks = _networks_seconds()
    most = seconds["stock"] / (networks * CLASS / available_cores())
    rows += [
        ["the networks alone, on all cores", f"{networks * CLASS / available_cores():.0f}",
         f"{most:.1f}", ""],
        ["a kernel as nbgrader starts it", f"{_kernel_seconds(AsyncKernelManager):.2f}", "", ""],
        ["a kernel as a fork in a sandbox", f"{_kernel_seconds(SandboxKernelManager):.2f}", "", ""],
        ["scores of both", "; ".join(differences) or "the same", "", "the same"],
    ]  # fmt: skip
    headings = [f"{CLASS} submissions of {NAME}", "seconds", "times as fast", "asked"]
    return Table("Grading a class", headings, rows)


def _networks_seconds() -> float:
    """Measure how long a submission's networks take for all images while all cores are busy."""
    cores = available_cores()
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        passes = pool.map(_time_networks, range(cores))
        return statistics.median(seconds for process in passes for seconds in process)


def _time_networks(process: int) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        setup(threads=1)
    data = load_cifar10()
    folder = ASSIGNMENTS / "solutions" / NAME
    models = [keras.models.load_model(folder / f"{name}.keras", compile=False) for name in NETWORKS]
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        for model in models:
            predict(model, data.x_val)
            predict(model, data.x_test)
        seconds.append(time.perf_counter() - start)
    return seconds


def _kernel_seconds(manager: type[AsyncKernelManager]) -> float:
    """Measure how long a kernel takes to start and to import the library."""
    fork_server.shared().wait()
    return statistics.median(_start_kernel(manager) for _ in range(KERNELS))


def _start_kernel(manager: type[AsyncKernelManager]) -> float:
    imports = nbformat.v4.new_code_cell("import course_utils.submission, keras")
    ready: list[float] = []
    with staged({}) as folder:
        client = NotebookClient(
            nbformat.v4.new_notebook(cells=[imports]),
            kernel_manager_class=manager,
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=lambda **_: ready.append(time.perf_counter()),
        )
        start = time.perf_counter()
        client.execute()
    return ready[0] - start


def hand_in_a_class(course: Path, size: int) -> None:
    """Submit the lecturer's answers for each student, with slightly different networks."""
    for number in range(size):
        folder = course / "submitted" / f"student-{number:03}" / NAME
        shutil.copytree(ASSIGNMENTS / "solutions" / NAME, folder)
        notebook = nbformat.read(source_path(ASSIGNMENTS, NAME), as_version=4)
        own = copy.deepcopy(notebook)
        own.cells.append(nbformat.v4.new_markdown_cell(f"Handed in by number {number}."))
        nbformat.write(own, folder / f"{NAME}.ipynb")
        rng = np.random.default_rng(number)
        for name in NETWORKS:
            path = folder / f"{name}.keras"
            model = keras.models.load_model(path, compile=False)
            model.set_weights([w + rng.normal(0, 0.006, w.shape) for w in model.get_weights()])
            model.save(path)


def _differences(stock: Scores, queue: Scores) -> list[str]:
    """Describe the submissions whose scores differ."""
    return [
        f"{student} {stock.get(student)} / {queue.get(student)}"
        for student in sorted(stock | queue)
        if stock.get(student) != queue.get(student)
    ]


def _scores(course: Path) -> Scores:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "image-classification") as gradebook:
        return {
            submission.student.id: {
                grade.name: grade.auto_score
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in gradebook.assignment_submissions(NAME)
        }
