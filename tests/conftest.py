"""What several test files share: small data, real data, the built book."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# Before anything imports Keras: no test may wait for a network that is not there.
os.environ.setdefault("COURSE_OFFLINE", "1")
# What `import_keras` sets, for the tests that import Keras themselves.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras
import psutil
import pytest
from nbgrading import ASSIGNMENTS, GradedCourse, hand_in_everything
from small_notebooks import wait_for

from course_utils import load_cifar10
from course_utils.data import Dataset
from course_utils.grading.questions import assignments

ROOT = Path(__file__).resolve().parent.parent
DASK = Path(sys.executable).parent / "dask"
ON_LOOPBACK = ("--host", "127.0.0.1", "--no-dashboard")


@pytest.fixture(autouse=True)
def single_precision() -> None:
    """Start every test in Keras' own precision: what sets up a run sets it for the process."""
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def small_data() -> Dataset:
    """The stand-in, 2,000 training images of it."""
    return load_cifar10("stand-in", limit=2_000)


@pytest.fixture(scope="session")
def cifar10() -> Dataset:
    """Real CIFAR-10 where it is to hand; the test is skipped by name where it is not."""
    data = load_cifar10()
    if data.source.is_stand_in:
        pytest.skip("needs real CIFAR-10: put it into ./data, or name it in COURSE_DATA")
    return data


@pytest.fixture(scope="session")
def gradings(cifar10, tmp_path_factory) -> Iterator[dict[str, Future[GradedCourse]]]:
    """Every assignment, graded with all that was handed in: two at a time, in the background."""
    with ThreadPoolExecutor(max_workers=2) as pool:

        def start(name: str) -> Future[GradedCourse]:
            try:
                course = hand_in_everything(tmp_path_factory.mktemp(name), name)
            except pytest.skip.Exception as skipped:  # of this assignment only
                nothing: Future[GradedCourse] = Future()
                nothing.set_exception(skipped)
                return nothing
            return pool.submit(course.grade)

        yield {name: start(name) for name in assignments(ASSIGNMENTS)}


@pytest.fixture(scope="session", params=assignments(ASSIGNMENTS))
def graded(request, gradings) -> GradedCourse:
    """One graded assignment after the other."""
    return gradings[request.param].result()


@pytest.fixture(scope="session", autouse=True)
def book_build(request) -> Iterator[subprocess.Popen | None]:
    """`course book`, started before the first test, if any test asks for the book."""
    if not any("built_book" in item.fixturenames for item in request.session.items):
        yield None
        return
    with tempfile.TemporaryFile("w+") as printed:
        build = subprocess.Popen(
            [sys.executable, "-m", "course_utils.cli", "book"],
            cwd=ROOT,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        build.printed = printed
        try:
            yield build
        finally:
            build.terminate()
            build.wait()


@pytest.fixture(scope="session")
def built_book(book_build) -> Path:
    """The folder of the built book; `course book` builds what is not up to date."""
    book_build.wait(timeout=3_000)
    book_build.printed.seek(0)
    printed = book_build.printed.read()
    print(printed)
    assert book_build.returncode == 0, printed[-3_000:]
    return ROOT / "_build"


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what waits for long work, the book's last of all: it is built while others run."""
    order = ("built_book", "gradings")
    items.sort(key=lambda item: [name in item.fixturenames for name in order])
