"""What several test files share: small data, real data, the built book."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# Before anything imports Keras: no test may wait for a network that is not there.
os.environ.setdefault("COURSE_OFFLINE", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest
from nbgrading import ASSIGNMENTS, GradedCourse, hand_in_everything

from course_utils import load_cifar10
from course_utils.data import Dataset
from course_utils.grading.questions import assignments

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def same_precision() -> Iterator[None]:
    """Leave Keras' precision as it was: a test that sets up a run sets it for the process."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


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
                course = hand_in_everything(tmp_path_factory.mktemp(name), name, cifar10)
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


@pytest.fixture(scope="session")
def built_book() -> Path:
    """The folder of the built book; `course book` builds what is not up to date."""
    done = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "book"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3_000,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return ROOT / "_build"
