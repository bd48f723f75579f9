"""What several test files share: small data, real data, the built book."""

import os
import subprocess
import sys
from pathlib import Path

# Before anything imports Keras: no test may wait for a network that is not there.
os.environ.setdefault("COURSE_OFFLINE", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from course_utils import load_cifar10
from course_utils.data import Dataset

ROOT = Path(__file__).resolve().parent.parent


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
