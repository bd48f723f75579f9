"""What several test files share: what a test needs, small data, real data, the built book."""

import contextlib
import faulthandler
import importlib.abc
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from course_utils.paths import CHECKOUT as ROOT

# Before anything imports Keras: no test may wait for a network that is not there.
os.environ.setdefault("COURSE_OFFLINE", "1")
# The settings of `import_keras`, for the tests that import Keras themselves.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Several tests run at a time, and threads that wait for each other keep the cores busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import psutil
import pytest
from browsers import ARGUMENTS, CHROMIUM
from filelock import FileLock
from small_notebooks import wait_for

from course_utils import load_cifar10
from course_utils.data import Dataset
from course_utils.grading.assignment.course import assignments

DASK = Path(sys.executable).parent / "dask"
ON_LOOPBACK = ("--host", "127.0.0.1", "--no-dashboard")
# Fixtures, each with the mark of the tests that ask for it; and marks that mean `process`, too.
NEEDS = {"built_book": "book", "graded": "process", "dask": "process"}
STARTS = ("sandbox", "browser", "book")
# The tests of these files are split into groups by a part of their parameters. Beside that part is
# the group's name; files with the same name share groups.
SPLIT = {
    "test_hostile": ("hostile", r"\d"),
    "test_assignments": ("graded", r"a\d"),
    "test_grading_bad_input": ("graded", r"a\d"),
    "test_book_pages": ("pages", r"desktop|phone"),
    "test_zoo_documents": ("networks", r"[a-z]+\d*"),
}
# The other tests of these files wait for the book, in one group.
READ_THE_BOOK = ("test_chapters", "test_assignments_in_book", "test_book_pages")
# Groups start in the order of these prefixes: the longest first; "" stands for all others; those
# that use the finished book come last.
ORDER = (
    "book", "hostile", "test_grade_class", "graded", "test_round_trip", "test_handed_in",
    "", "pages",
)  # fmt: skip
# Time that the book may take beside all other tests.
BUILD_SECONDS = 4_800
STARTS_A_PROCESS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")


# Requirements of tests


class NoKeras(importlib.abc.MetaPathFinder):
    """Skips whatever imports Keras."""

    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow"):
            pytest.skip("needs Keras", allow_module_level=True)


class Watch:
    """Fails a test that starts a process without saying so: `make quick` relies on the marks."""

    def __init__(self) -> None:
        self.item: pytest.Item | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if event in STARTS_A_PROCESS and self.item and not self.item.get_closest_marker("process"):
            pytest.fail(f"{self.item.name} starts a process: mark it pytest.mark.process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        self.item = item
        try:
            return (yield)
        finally:
            self.item = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests that need neither Keras nor a process"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watch())
    if config.getoption("quick"):
        sys.meta_path.insert(0, NoKeras())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what fixtures need, leave out what is not quick, and start what takes long first."""
    for item in items:
        for fixture in NEEDS.keys() & set(item.fixturenames):
            item.add_marker(NEEDS[fixture])
        if any(item.get_closest_marker(mark) for mark in STARTS):
            item.add_marker("process")
    if config.getoption("quick"):
        slow = [item for item in items if item.get_closest_marker("process")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items.sort(key=lambda item: _place(group(item.nodeid)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, by name, what needs a program that is not installed."""
    if item.get_closest_marker("browser") and CHROMIUM is None:
        pytest.skip("no Chromium: make browser installs it")
    if item.get_closest_marker("sandbox"):
        from nbgrading import sandbox_is_missing

        if sandbox_is_missing():
            pytest.skip("no bubblewrap: make sandbox installs it")


# Groups of tests that run in one process


def group(test: str) -> str:
    """Return the name of the tests that run in one process, since they share something large.

    Parameters
    ----------
    test : str
        A test's id: ``tests/FILE.py::FUNCTION[PARAMETERS]``.

    Returns
    -------
    str
    """
    file = Path(test.partition("::")[0]).stem
    parameters = test.partition("[")[2].rstrip("]")
    name, part = SPLIT.get(file, ("", ""))
    if name and (found := re.search(rf"(?:^|-)({part})(?=[-/]|$)", parameters)):
        return f"{name} {found[1]}"
    return "book" if file in READ_THE_BOOK else file


def _place(name: str) -> int:
    """Return when a group starts."""
    starts = [start for start in ORDER if name.startswith(start)]
    return ORDER.index(max(starts, key=len))


def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Let pytest-xdist give whole groups to its processes, in the order of the tests."""
    config.option.loadscopereorder = False
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log)


@pytest.fixture(autouse=True)
def training_is_marked(request, monkeypatch) -> None:
    """Fail a test that trains a network without the mark `train`."""

    def refuse(*arguments, **settings):
        pytest.fail(f"{request.node.name} trains a network: mark it pytest.mark.train")

    if "keras" in sys.modules and not request.node.get_closest_marker("train"):
        monkeypatch.setattr(sys.modules["keras"].Model, "fit", refuse)


# Data


@pytest.fixture(autouse=True)
def single_precision() -> None:
    """Start every test in Keras' own precision: what sets up a run sets it for the process."""
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def small_data() -> Dataset:
    """The stand-in, 2,000 training images of it."""
    return load_cifar10("stand-in", limit=2_000)


@pytest.fixture(autouse=True)
def _not_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what nbgrader leaves in the environment when a conversion fails."""
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


@pytest.fixture(scope="session")
def cifar10() -> Dataset:
    """Real CIFAR-10 where it is to hand; the test is skipped by name where it is not."""
    data = load_cifar10()
    if data.source.is_stand_in:
        pytest.skip("needs real CIFAR-10: put it into ./data, or name it in COURSE_DATA")
    return data


# Not for the whole session: Playwright leaves an event loop running, which other modules' tests of
# notebooks and browsers stumble over.
@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


# Long work, once for all who ask for it


@pytest.fixture(scope="session")
def built_book() -> Path:
    """The folder of the built book; `course book` builds what is not up to date.

    It lets other programs go first, because some tests measure how long a submission takes. So it
    can take as long as all other tests, which is no sign of a test that hangs.
    """
    faulthandler.cancel_dump_traceback_later()
    command = [sys.executable, "-m", "course_utils.cli", "book"]
    (ROOT / "_build").mkdir(exist_ok=True)
    with FileLock(ROOT / "_build" / "tests.lock"), tempfile.TemporaryFile() as printed:
        build = psutil.Popen(command, cwd=ROOT, stdout=printed, stderr=printed)
        build.nice(5)
        try:
            build.wait(timeout=BUILD_SECONDS)
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                build.terminate()
        printed.seek(0)
        text = printed.read().decode()
    print(text)
    assert build.returncode == 0, text[-3_000:]
    return ROOT / "_build"


@pytest.fixture(
    scope="session",
    params=assignments(ROOT / "assignments"),
)
def graded(request, cifar10, tmp_path_factory):
    """One assignment after the other, graded with all that was handed in."""
    from nbgrading import hand_in_everything

    return hand_in_everything(tmp_path_factory.mktemp(request.param), request.param).grade()


# Programs that a test starts


@pytest.fixture
def dask(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts a Dask program; all are ended with the test."""
    started = []
    with (tmp_path / "dask.log").open("w") as log:

        def start(*arguments) -> subprocess.Popen:
            command = [DASK, *arguments, *ON_LOOPBACK]
            started.append(subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log))
            return started[-1]

        yield start
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def scheduler(dask, tmp_path) -> tuple[str, subprocess.Popen]:
    """A scheduler without workers, on a free port: its address and its process."""
    file = tmp_path / "scheduler.json"
    process = dask("scheduler", "--port", "0", "--scheduler-file", file)
    wait_for(file.exists)
    return json.loads(file.read_text())["address"], process


@pytest.fixture
def address(scheduler) -> str:
    return scheduler[0]


@pytest.fixture
def workers(dask, address, tmp_path) -> list[psutil.Process]:
    """Two workers of a thread each, which nothing starts again when they are killed."""
    scratch = ("--local-directory", tmp_path / "scratch")
    command = ("worker", address, "--nthreads", "1", "--no-nanny", *scratch)
    started = [psutil.Process(dask(*command).pid) for _ in range(2)]
    log = tmp_path / "dask.log"
    wait_for(lambda: log.read_text().count("Registered to:") == 2)
    return started
