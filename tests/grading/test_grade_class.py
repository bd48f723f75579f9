"""`course grade`: a class at once, nothing twice, nothing lost, nothing half written."""

from __future__ import annotations

import gc
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import nbformat
import psutil
import pytest
from grade_and_die import BEFORE, points
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrading import (
    add_assignment,
    autograde,
    copy_of,
    grade,
    hand_in,
    make_course,
    new_gradebook,
    release,
    solved,
    value_cells,
)
from rich.console import Console
from small_notebooks import wait_for

from course_utils import env
from course_utils.grading import class_grading
from course_utils.grading.class_grading import (
    FAILED,
    GRADED,
    UNCHANGED,
    Outcome,
    grade_class,
)
from course_utils.grading.examine import job, store
from course_utils.grading.gradebook import Writer
from course_utils.grading.nbgrader_steps import examine as examine_step
from course_utils.grading.nbgrader_steps import intake
from course_utils.grading.sandbox import bubblewrap, fork_server, gpus
from course_utils.paths import CHECKOUT
from course_utils.progress import PlainProgress, Progress

pytestmark = pytest.mark.sandbox

NAME = "small"
STUDENTS = ("ada", "bob", "cleo")
ANSWERS = {
    "ada": {},
    "bob": {"second": "second = 3"},
    "cleo": {"first": "first = 0", "second": "import time\ntime.sleep(0.5)\nsecond = 2"},
}
EXPECTED = {"ada": [2.0, 3.0], "bob": [2.0, 0.0], "cleo": [0.0, 3.0]}
KILLS = 50
# A lecturer's choice: the notebook is run by nbgrader itself.
NBGRADERS_OWN = """
from nbgrader.preprocessors import Execute, SaveAutoGrades
from course_utils.grading.nbgrader_steps.points import GradeCells

c.Autograde.autograde_preprocessors = [Execute, GradeCells, SaveAutoGrades]
"""


class Heard(Progress):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.total, self.tests, self.ended = 0, [], []

    def begin(self, total: int) -> None:
        self.total = total

    def step(self, name: str, text: str, done: int = 0, total: int | None = None) -> None:
        self.tests.append((name, text))

    def end(self, name: str, state: str, **about: object) -> None:
        self.ended.append(name)


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    """A course that waits to be graded; each test gets a copy."""
    course = make_course(tmp_path_factory.mktemp("handed-in") / "course")
    cells = [*value_cells("first", 1, points=2), *value_cells("second", 2, points=3)]
    add_assignment(course, NAME, cells)
    for student in STUDENTS:
        hand_in(course, student, NAME, solved(course, NAME, ANSWERS[student]))
    return course


course = copy_of("handed_in")


def command(course: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "grade", NAME, *arguments],
        cwd=course, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.student: outcome.state for outcome in outcomes}


def test_settings_of_the_course_and_of_the_command_reach_the_examination(course):
    with (course / "nbgrader_config.py").open("a") as config:
        config.write("c.Examine.timeout = 7\n")
    received = Writer(course, NAME, {"retrain": 1.0}).receive("ada")[0].job
    assert (received.timeout, received.retrain) == (7 * examine_step.RETRAIN_PATIENCE, True)


def test_a_class_is_graded_as_by_nbgrader_and_nothing_twice(course):
    heard = Heard()
    assert states(grade_class(course, NAME, progress=heard)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED
    assert heard.total == 3
    assert sorted(heard.ended) == list(STUDENTS)
    assert sorted(heard.tests) == [(s, f"{t}-test") for s in STUDENTS for t in ("first", "second")]
    for student in STUDENTS:
        assert (course / "feedback" / student / NAME / f"{NAME}.html").is_file()
        log = course / ".examined" / "logs" / student / f"{NAME}.log"
        assert "Autograding" in log.read_text()

    heard = Heard()
    assert states(grade_class(course, NAME, progress=heard)) == dict.fromkeys(STUDENTS, UNCHANGED)
    assert heard.tests == []

    shutil.rmtree(course / "submitted" / "bob")
    hand_in(course, "bob", NAME, solved(course, NAME))
    (course / "submitted" / "bob" / NAME / "extra.txt").write_text("more")
    heard = Heard()
    outcomes = grade_class(course, NAME, progress=heard)
    assert states(outcomes) == dict.fromkeys(STUDENTS, UNCHANGED) | {"bob": GRADED}
    assert {student for student, _ in heard.tests} == {"bob"}
    assert points(course) == EXPECTED | {"bob": [2.0, 3.0]}

    by_queue = points(course)
    (course / "gradebook.db").write_bytes(new_gradebook())
    shutil.rmtree(course / ".examined")
    release(course, NAME)
    grade(course, NAME, again=True)
    assert points(course) == by_queue


def test_only_and_again(course):
    assert states(grade_class(course, NAME, only="ada")) == {"ada": GRADED}
    assert set(points(course)) == {"ada"}
    heard = Heard()
    grade_class(course, NAME, only="ada", again=True, progress=heard)
    assert {student for student, _ in heard.tests} == {"ada"}


def test_one_that_cannot_be_graded_stops_no_other(course):
    hand_in(course, "eve", NAME, solved(course, NAME))
    (course / "autograded").mkdir()
    (course / "autograded" / "eve").write_text("nbgrader needs a folder here")
    done = command(course)
    assert done.returncode == 1, done.stdout + done.stderr
    assert points(course) == EXPECTED
    assert "eve could not be graded" in done.stdout
    assert "3 graded" in done.stdout
    assert "1 failed" in done.stdout


def test_where_no_kernel_starts_nobody_gets_no_points_for_it(course):
    # Python's packages may lie in a place that no sandbox shows.
    with mock.patch.object(bubblewrap, "python_folders", return_value=[]):
        outcomes = grade_class(course, NAME)
    assert states(outcomes) == dict.fromkeys(STUDENTS, FAILED)
    assert all("No kernel could be started" in outcome.reason for outcome in outcomes)
    assert points(course) == {}
    assert states(grade_class(course, NAME)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED


def test_the_next_notebook_does_not_keep_old_points(course):
    grade_class(course, NAME, only="ada")
    assert points(course) == {"ada": EXPECTED["ada"]}
    cell = new_markdown_cell("Nothing.", metadata={"tags": [*map(str, range(1000))]})
    path = course / "submitted" / "ada" / NAME / f"{NAME}.ipynb"
    path.write_text(json.dumps(new_notebook(cells=[cell])))
    assert states(grade_class(course, NAME, only="ada")) == {"ada": GRADED}
    assert points(course) == {"ada": [0.0, 0.0]}


def kill_examiners(monkeypatch, most: int) -> None:
    """Have the first programs that run tests killed from outside, as when memory is out."""
    start, killed = fork_server.ForkServer.start, []

    def start_and_kill(self, program, *arguments):
        pid = start(self, program, *arguments)
        if "examiner" in program and len(killed) < most:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
        return pid

    monkeypatch.setattr(fork_server.ForkServer, "start", start_and_kill)


def test_what_was_ended_from_outside_is_examined_again_alone(course, monkeypatch):
    kill_examiners(monkeypatch, most=3)
    heard = Heard()
    assert states(grade_class(course, NAME, progress=heard)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED
    assert sorted(heard.ended) == list(STUDENTS)


class LooksAtTheCollector(Heard):
    def end(self, *about, **more):
        super().end(*about, **more)
        self.callbacks = [*gc.callbacks]


def test_searching_for_garbage_runs_nothing_in_other_threads(course):
    """Dask would look at each search, and other threads could then disturb one that parses."""
    before, looks = [*gc.callbacks], LooksAtTheCollector()
    assert states(grade_class(course, NAME, progress=looks)) == dict.fromkeys(STUDENTS, GRADED)
    assert looks.callbacks == before


SLOW_START = """
import time
from pathlib import Path
from course_utils.grading.inside import preload

def import_slowly():
    while not Path("go").exists():
        time.sleep(0.1)
    preload.import_everything()
"""


def test_a_slow_start_of_the_fork_server_costs_nobody_a_score(course, tmp_path, monkeypatch, capfd):
    (tmp_path / "slow_start.py").write_text(SLOW_START)
    monkeypatch.chdir(tmp_path)
    go = tmp_path / "go"

    def start() -> fork_server.ForkServer:
        go.unlink(missing_ok=True)
        return fork_server.ForkServer("slow_start:import_slowly")

    def fail_to_grade(again: bool) -> list[str]:
        server = start()
        with monkeypatch.context() as impatient:
            impatient.setitem(fork_server._servers, fork_server.PRELOAD, server)
            impatient.setattr(fork_server, "START_SECONDS", 0.5)
            outcomes = grade_class(course, NAME, again=again)
        server.close()
        assert states(outcomes) == dict.fromkeys(STUDENTS, FAILED)
        return [outcome.reason for outcome in outcomes]

    for reason in fail_to_grade(again=False):
        assert "was not ready within 0 minutes: this machine is too busy" in reason
    assert points(course) == {}
    slow = start()
    monkeypatch.setitem(fork_server._servers, fork_server.PRELOAD, slow)
    threading.Timer(2, go.touch).start()
    assert states(grade_class(course, NAME)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED
    for reason in fail_to_grade(again=True):
        assert "Its earlier result stays: the submission has not changed." in reason
    assert points(course) == EXPECTED
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert "timed out" not in said.out + said.err
    slow.close()


def test_what_was_ended_from_outside_twice_is_not_graded(course, monkeypatch):
    with monkeypatch.context() as killing:
        kill_examiners(killing, most=100)
        outcomes = grade_class(course, NAME)
    assert states(outcomes) == dict.fromkeys(STUDENTS, FAILED)
    assert all("Not graded: the program that runs the tests was ended from outside (SIGKILL)"
               in outcome.reason for outcome in outcomes)  # fmt: skip
    assert points(course) == {}
    assert not list((course / ".examined").glob("*.json"))
    assert states(grade_class(course, NAME)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED


def test_a_notebook_that_ends_its_program_is_graded(course):
    notebook = solved(course, NAME)
    notebook.cells.append(new_code_cell("import os\nos._exit(0)"))
    hand_in(course, "dan", NAME, notebook)
    assert states(grade_class(course, NAME, only="dan")) == {"dan": GRADED}
    assert points(course) == {"dan": [2.0, 3.0]}


def test_a_name_with_brackets_is_no_pattern(course):
    hand_in(course, "eve[1]", NAME, solved(course, NAME))
    (outcome,) = grade_class(course, NAME, only="eve[1]")
    assert outcome.state == GRADED, outcome.reason
    assert points(course) == {"eve[1]": [2.0, 3.0]}
    assert (course / "feedback" / "eve[1]" / NAME / f"{NAME}.html").is_file()


def test_a_folder_without_a_notebook_is_graded_and_left_as_it_is(course):
    folder = course / "submitted" / "eve" / NAME
    folder.mkdir(parents=True)
    assert states(grade_class(course, NAME, only="eve")) == {"eve": GRADED}
    assert points(course) == {"eve": [0.0, 0.0]}
    assert not list(folder.iterdir())


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_a_notebook_that_comes_later_is_graded(course, by):
    folder = course / "submitted" / "eve" / NAME
    folder.mkdir(parents=True)

    def graded() -> list[float]:
        if by == "course":
            grade_class(course, NAME)
        else:
            autograde(course, NAME, again=True)
        return points(course)["eve"]

    assert graded() == [0.0, 0.0]
    assert not list(folder.iterdir())
    nbformat.write(solved(course, NAME), folder / f"{NAME} final.ipynb")
    assert graded() == [2.0, 3.0]
    assert [path.name for path in folder.iterdir()] == [f"{NAME} final.ipynb"]


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_the_lecturers_file_replaces_the_students(course, by):
    """It is part of what is examined, and the submission is examined once."""
    (course / "source" / NAME / "helper.py").write_text("value = 1")
    notebook = solved(course, NAME, {"first": "from helper import value\nfirst = value"})
    folder = hand_in(course, "eve", NAME, notebook)
    (folder / "helper.py").write_text("value = 0")
    if by == "course":
        with mock.patch.object(store, "examine", side_effect=AssertionError):
            assert states(grade_class(course, NAME, only="eve")) == {"eve": GRADED}
    else:
        autograde(course, NAME, student="eve")
    assert points(course) == {"eve": [2.0, 3.0]}


def test_nbgraders_own_step_runs_in_the_folder_of_the_submission(course):
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text() + NBGRADERS_OWN)
    notebook = solved(course, NAME, {"first": "first = int(open('mine.txt').read())"})
    (hand_in(course, "eve", NAME, notebook) / "mine.txt").write_text("1")
    autograde(course, NAME, student="eve")
    assert points(course) == {"eve": [2.0, 3.0]}


def test_a_submission_is_read_and_digested_once(course):
    with (
        mock.patch.object(intake, "read_submission", wraps=intake.read_submission) as read,
        mock.patch.object(examine_step, "read_files", wraps=examine_step.read_files) as files,
        mock.patch.object(job, "digest", wraps=job.digest) as digested,
        mock.patch.object(intake, "cells_as_released", wraps=intake.cells_as_released) as released,
    ):
        (course / "submitted" / "ada" / NAME / "extra.txt").write_text("more")
        grade_class(course, NAME, only="ada")
    assert read.call_count == released.call_count == 1
    read_from = [call.args[0] for call in files.call_args_list]
    assert len([path for path in read_from if ".examined/received-" in str(path)]) == 1
    assert [c.args[0] for c in digested.call_args_list] == [b"more"]


@pytest.mark.parametrize("name", [".DS_Store", "__pycache__/mine.cpython-311.pyc"])
def test_what_nbgrader_leaves_out_is_not_looked_at(course, name):
    path = course / "submitted" / "ada" / NAME / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\0")
    # Otherwise the one writer would find no result for it, and examine it once more.
    with mock.patch.object(store, "examine", side_effect=AssertionError):
        assert states(grade_class(course, NAME, only="ada")) == {"ada": GRADED}


def test_the_lecturer_watches(course):
    done = command(course)
    assert done.returncode == 0, done.stdout + done.stderr
    for what in ("ada: first-test", "[3/3]", "5.00 of 5", "3 graded"):
        assert what in done.stdout
    again = command(course)
    assert again.returncode == 0
    assert "3 unchanged" in again.stdout


@pytest.mark.parametrize(
    ("cores", "gigabytes", "cards", "expected"),
    [(2, 64, 0, 3), (16, 12.5, 0, 9), (4, 5.9, 0, 2), (2, 3, 0, 1), (8, 64, 2, 2)],
)
def test_so_many_at_a_time_as_cores_and_memory_allow(
    monkeypatch, cores, gigabytes, cards, expected
):
    memory = SimpleNamespace(available=int(gigabytes * 2**30))
    monkeypatch.setattr(class_grading.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(class_grading, "available_cores", lambda: cores)
    monkeypatch.setattr(gpus, "visible", lambda: ["0", "1"][:cards])
    assert class_grading.at_a_time() == expected


def test_an_estimate_of_what_is_left():
    shown = io.StringIO()
    progress = PlainProgress(Console(file=shown, width=120))
    progress.begin(3)
    progress._start -= 10
    progress.end("ada", GRADED)
    assert "about 20 s left" in shown.getvalue()
    progress.end("bob", FAILED, failed=True, reason="no [reason]")
    assert "no [reason]" in shown.getvalue()


@pytest.mark.parametrize("by", ["course", "nbgrader"])
def test_without_a_sandbox_nothing_runs(course, tmp_path, by):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "env"):
        (programs / name).symlink_to(shutil.which(name))
    without = {"PATH": str(programs)}
    if by == "course":
        done = command(course, **without)
        assert done.returncode == 2
        said = done.stderr
    else:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", "autograde", NAME],
            cwd=course, env=os.environ | without, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        said = done.stderr
    assert "install bubblewrap" in said
    assert "Traceback" not in said
    assert points(course) == {}


def test_with_my_rights_it_runs_without_a_sandbox(course, monkeypatch):
    monkeypatch.setenv(env.WITH_MY_RIGHTS.name, "1")
    assert states(grade_class(course, NAME)) == dict.fromkeys(STUDENTS, GRADED)
    assert points(course) == EXPECTED


def test_settings_that_cannot_be_read_stop_nbgrader(course):
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text().replace("points.PerDay", "points.NoSuchThing"))
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", NAME],
        cwd=course, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "nbgrader_config.py: AttributeError" in done.stderr
    assert points(course) == {}


def test_killed_at_any_moment_the_gradebook_is_never_half_written(course):
    grade_class(course, NAME)
    driver = CHECKOUT / "tests" / "helpers" / "grade_and_die.py"
    done = subprocess.run(
        [sys.executable, driver, course, NAME, str(KILLS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = Counter()
    # Without real data, the stand-in is announced, too.
    reports = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for line in reports:
        for student, scores in json.loads(line).items():
            assert scores in (EXPECTED[student], [BEFORE, BEFORE])
            seen["old" if scores[0] == BEFORE else "new"] += 1
    assert seen.total() == KILLS * len(STUDENTS)
    # The deaths came before and after the writing, and so some of them in it.
    assert min(seen["old"], seen["new"]) > KILLS / 5
    assert states(grade_class(course, NAME)).keys() == set(STUDENTS)
    assert points(course) == EXPECTED


def test_killed_while_examining_the_next_call_goes_on(course):
    luck = random.Random(1)
    for _ in range(4):
        running = subprocess.Popen(
            [sys.executable, "-m", "course_utils.cli", "grade", NAME, "--again"],
            cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(luck.uniform(2, 10))
        running.kill()
        running.wait()
        for student, scores in points(course).items():
            assert scores == EXPECTED[student]
    grade_class(course, NAME)
    assert points(course) == EXPECTED


def test_interrupted_it_ends_at_once(course):
    endless = {"first": "import time\ntime.sleep(100)"}
    hand_in(course, "zed", NAME, solved(course, NAME, endless))
    running = subprocess.Popen(
        [sys.executable, "-m", "course_utils.cli", "grade", NAME, "--only", "zed"],
        cwd=course, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    kernels = psutil.Process(running.pid)
    wait_for(lambda: any("bwrap" in child.name() for child in kernels.children()))
    time.sleep(5)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=20) != 0
    assert points(course) == {}


def test_the_files_of_a_submission_are_given_up_when_it_has_been_examined(monkeypatch):
    """Those of a class have no place in memory; what is left of one is not counted."""
    monkeypatch.setattr(
        class_grading, "_examine_on_worker", lambda jobs, *_: len(jobs[0].files["a.keras"])
    )
    process, size = psutil.Process(), 10 * 2**20
    with class_grading._workers(None, jobs=2) as client:
        queue = class_grading._Queue(mock.Mock(), Path(), NAME, False, None, is_local=True)
        for number in range(25):
            files = {"a.keras": os.urandom(size)}
            submission = job.Job([], [], files, timeout=1, total_timeout=1, retrain=False)
            received = class_grading._Received(f"s{number}", [], [submission])
            assert queue._submit(client, received, "topic").result(timeout=60) == size
            queue._under_way.clear()
            if number == 4:
                before = process.memory_info().rss
        assert process.memory_info().rss - before < 10 * size


def test_a_killed_worker_loses_nothing(course, address, workers):
    slow = {"first": "import time\ntime.sleep(6)\nfirst = 1"}
    hand_in(course, "aaa-slow", NAME, solved(course, NAME, slow))
    with ThreadPoolExecutor(1) as pool:
        heard = Heard()
        running = pool.submit(grade_class, course, NAME, scheduler=address, progress=heard)
        deadline = time.monotonic() + 120
        while "ada" not in heard.ended and time.monotonic() < deadline:
            time.sleep(0.1)
        busy = next(worker for worker in workers if any(_sandboxes(worker)))
        busy.kill()
        outcomes = running.result(timeout=120)
    assert states(outcomes) == dict.fromkeys(("aaa-slow", *STUDENTS), GRADED)
    assert points(course) == EXPECTED | {"aaa-slow": [2.0, 3.0]}
    assert sorted(heard.ended) == sorted(("aaa-slow", *STUDENTS))


def _sandboxes(worker):
    return (child for child in worker.children() if "bwrap" in child.name())
