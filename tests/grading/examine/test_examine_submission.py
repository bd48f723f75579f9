"""Examining a submission."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nbformat.v4 import new_code_cell
from nbgrading import new_cell

from course_utils.grading.examine.job import Job, read_files
from course_utils.grading.examine.submission import examine


def write_mnist(folder: Path, first_label: int) -> None:
    """Write digits as Keras keeps them, of no more than one pixel."""
    labels = ((np.arange(70_000) + first_label) % 10).astype("uint8")
    images = np.zeros((70_000, 28, 28), "uint8")
    folder.mkdir(parents=True)
    np.savez_compressed(
        folder / "mnist.npz", x_train=images[:60_000], y_train=labels[:60_000],
        x_test=images[60_000:], y_test=labels[60_000:],
    )  # fmt: skip


@pytest.mark.sandbox
def test_no_operation_is_made_a_function_first():
    """It would take each of a submission's programs a tenth of a second to load a network."""
    wrong = "import tensorflow as tf\ntf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))"
    (cell,) = examine(Job([new_code_cell(wrong)], [], {}, 60, 60, False)).cells
    (error,) = (output for output in cell.outputs if output.output_type == "error")
    assert "incompatible" in error.evalue
    # TensorFlow's name for such a function.
    assert "__wrapped__" not in error.evalue


@pytest.mark.sandbox
def test_what_was_handed_in_is_no_data(tmp_path, monkeypatch):
    """Else it would hold the labels by which it is graded."""
    # As a lecturer's own: named from where the grader was started.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA", "data")
    write_mnist(tmp_path / "data", first_label=3)
    write_mnist(tmp_path / "handed-in" / "data", first_label=7)
    files, _ = read_files(tmp_path / "handed-in", ignored=[])
    assert list(files) == ["data/mnist.npz"]
    load = "from course_utils import load_mnist\nmnist = load_mnist()"
    show = new_cell("first-test", "print(mnist.y_test[0])", points=1)
    job = Job(
        [new_code_cell(f"{load}\nprint(mnist.y_test[0])"), show], [load], files, 60, 60, False
    )
    for _ in range(2):
        assert [cell.outputs[0].text for cell in examine(job).cells] == ["3\n", "3\n"]
        # Then it is found as ./data.
        monkeypatch.delenv("COURSE_DATA", raising=False)
