"""Loading CIFAR-10 from the course's cache, compared with Keras's own loader.

Both read the same images in new processes: the course from its cache, and Keras from a temporary
folder with the files of the official Python archive.
"""

from __future__ import annotations

import pickle
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.tables import Table
from course_utils import load_cifar10
from course_utils.data import Dataset

RUNS = 5
# Keras's download of the archive is replaced by the path of an unpacked one.
KERAS = """
import time
from keras.src.datasets import cifar10
cifar10.get_file = lambda *args, **kwargs: {folder!r}
start = time.perf_counter()
(x_train, y_train), (x_test, y_test) = cifar10.load_data()
print(time.perf_counter() - start)
"""
COURSE = """
import time
from course_utils import load_cifar10
start = time.perf_counter()
load_cifar10()
print(time.perf_counter() - start)
"""
READ_ALL = COURSE.replace("load_cifar10()\nprint", "load_cifar10().x_train.sum()\nprint")


def measure() -> Table:
    """Time both loaders in turn."""
    data = load_cifar10()
    with tempfile.TemporaryDirectory() as folder:
        batches = Path(folder) / "cifar-10-batches-py"
        write_official_batches(data, batches)
        programs = {
            "course, from its cache": COURSE,
            "course, from its cache, and reading every pixel": READ_ALL,
            "Keras, from its unpacked archive": KERAS.format(folder=folder),
        }
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(RUNS):
            for name, program in programs.items():
                seconds[name].append(_run(program))
    keras_seconds = seconds["Keras, from its unpacked archive"]

    def ratio(times: list[float]) -> float:
        return statistics.median(k / t for k, t in zip(keras_seconds, times, strict=True))

    return Table(
        f"Loading CIFAR-10, {RUNS} fresh processes each, in turn",
        [
            "loader",
            "data",
            "seconds, median",
            "maximum",
            "Keras' time / this time, median of pairs",
        ],
        [
            [
                name,
                data.source.name,
                f"{statistics.median(times):.3f}",
                f"{max(times):.3f}",
                f"{ratio(times):.1f}",
            ]
            for name, times in seconds.items()
        ],
    )


def _run(program: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def write_official_batches(data: Dataset, folder: Path) -> None:
    """Write the images in the official Python layout: five training batches and a test batch."""
    folder.mkdir()
    x = np.concatenate([data.x_train, data.x_val])
    y = np.concatenate([data.y_train, data.y_val])
    parts = [
        (f"data_batch_{i + 1}", x[i * 10_000 : (i + 1) * 10_000], y[i * 10_000 : (i + 1) * 10_000])
        for i in range(5)
    ]
    for name, images, labels in [*parts, ("test_batch", data.x_test, data.y_test)]:
        rows = np.asarray(images).transpose(0, 3, 1, 2).reshape(len(images), -1)
        batch = {b"data": rows, b"labels": np.asarray(labels).tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=4))
