"""The real data, where it is to hand; each test is skipped by name where it is not."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from course_utils.data import Dataset, load_mnist
from course_utils.paths import CHECKOUT as ROOT


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    data = load_mnist()
    if data.source.is_stand_in:
        pytest.skip("needs real MNIST: put it into ./data, or name it in COURSE_DATA")
    return data


def test_cifar10_is_whole(cifar10):
    assert cifar10.x_train.shape == (45_000, 32, 32, 3)
    assert [np.bincount(cifar10.part(p)[1]).tolist() for p in ("train", "val", "test")] == [
        [4_500] * 10,
        [500] * 10,
        [1_000] * 10,
    ]
    assert cifar10.class_names[0] == "airplane"
    assert cifar10.class_names[9] == "truck"


def test_cifar10_has_its_published_means(cifar10):
    """Every copy has the same images; a JPEG differs from the original by a grey level at most."""
    sums = cifar10.x_train.sum((0, 1, 2), dtype=np.int64) + cifar10.x_val.sum(
        (0, 1, 2), dtype=np.int64
    )
    np.testing.assert_allclose(sums / (50_000 * 32 * 32), [125.31, 122.95, 113.87], atol=0.1)


def test_mnist_is_whole_and_official(mnist):
    assert mnist.x_train.shape == (54_000, 28, 28, 1)
    assert len(mnist.x_val) == 6_000
    digest = hashlib.md5(bytes.fromhex("00000803000027100000001c0000001c") + mnist.x_test.tobytes())
    assert digest.hexdigest() == "2646ac647ad5339dbf082846283269ea"
    assert mnist.y_test[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.process
def test_a_decoded_copy_is_there_at_once(cifar10):
    """Half a second of this process's time, from finding the source to the arrays."""
    program = (
        "import time; from course_utils.data import load_cifar10; start = time.process_time(); "
        "load_cifar10(); print(time.process_time() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert float(done.stdout) < 0.5
