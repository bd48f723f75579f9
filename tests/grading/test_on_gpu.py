"""Grading on a GPU: it works in a sandbox, one submission has it alone, and it is free after."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from nbgrading import full_points, hand_in, make_course, points, solved

from course_utils.grading.gradebook import read_graded
from course_utils.grading.sandbox import gpus

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not gpus.visible(), reason="needs an NVIDIA GPU that Keras can use"),
]

NAME = "a2-cnn"
# In the order in which they are graded: what the second one takes, the third one needs.
STUDENTS = ("ada", "hog", "zoe")
# A GB after the other, until there is none left; it keeps them.
HOG = """
import keras
kept = []
try:
    while True:
        kept.append(keras.ops.ones((2**28,), dtype="float32"))
        keras.ops.convert_to_numpy(kept[-1][:1])
except Exception as error:
    print(f"{len(kept)} GB, then {type(error).__name__}")
"""
# MB of the driver's own that come and go.
NOTHING = 100


def grade(course: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "grade", NAME, "--again"],
        cwd=course, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def memory(what: str) -> int:
    """Return MB of the first GPU."""
    command = ["nvidia-smi", f"--query-gpu=memory.{what}", "--format=csv,noheader,nounits"]
    return int(subprocess.check_output(command, text=True).split()[0])


class Watch:
    """Looks at the memory of the GPU all the time, and remembers the most that was taken."""

    def __enter__(self) -> Watch:
        self.most, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.2):
            self.most = max(self.most, memory("used"))


def printed(course: Path, student: str) -> str:
    cells = read_graded(course, student, NAME).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", ()))


@pytest.fixture(scope="module")
def course(cifar10, tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("gpu") / "course", NAME)
    for student in STUDENTS:
        notebook = solved(course, NAME)
        if student == "hog":
            notebook.cells.append(new_code_cell(HOG))
        hand_in(course, student, NAME, notebook)
    return course


def test_graded_on_a_gpu_as_on_a_cpu_and_its_memory_is_free_after(course):
    before = memory("used")
    with Watch() as watch:
        grade(course)
    assert memory("used") <= before + NOTHING
    # The hog had most of it, and was ended before the next one began.
    assert watch.most > 0.7 * memory("total")
    assert " GB, then " in printed(course, "hog")
    on_gpu = {student: points(course, student, NAME) for student in STUDENTS}
    for student in STUDENTS:
        assert f"Keras on {os.environ.get('KERAS_BACKEND', 'tensorflow')}, NVIDIA" in printed(
            course, student
        )
        assert {n: p for n, p in on_gpu[student].items() if p is not None} == full_points(
            course, NAME
        )
    grade(course, CUDA_VISIBLE_DEVICES="")
    assert {student: points(course, student, NAME) for student in STUDENTS} == on_gpu
    assert "CPU" in printed(course, "ada")
