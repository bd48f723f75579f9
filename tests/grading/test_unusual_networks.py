"""Networks with unusual layers, and of earlier versions of Keras, graded by the real nbgrader."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from nbgrading import add_assignment, grade, hand_in, make_course, new_cell, points
from old_keras.make import FOLDER, images
from unusual_networks import IMAGE, network_of_many_layers

MANY, SEED = "many", 0
OLD = ("3.5-sequential", "3.6-functional")
TEST = """
### BEGIN HIDDEN TESTS
from pathlib import Path
import numpy as np
from course_utils.grading import grade
from course_utils.submission.trained import open_network
x = np.array({images}, dtype="uint8")
found = open_network.get()(Path("{name}.keras")).predict(x)
grade.holds("the predictions", bool(np.allclose(found, {expected}, atol=1e-4)))
### END HIDDEN TESTS
"""


def cell(name: str, x: np.ndarray, expected: np.ndarray):
    """Return a test of what a network predicts."""
    source = TEST.format(name=name, images=x.tolist(), expected=expected.tolist())
    return new_cell(f"{name.replace('.', '-')}-test", source.strip(), points=1)


@pytest.mark.process
def test_unusual_and_old_networks_are_graded(tmp_path):
    model = network_of_many_layers()
    x = np.random.default_rng(SEED).integers(0, 256, (4, *IMAGE), dtype="uint8")
    cells = [cell(MANY, x, model.predict(x, verbose=0))]
    for name in OLD:
        version, kind = name.split("-")
        cells.append(cell(name, images(), np.load(FOLDER / f"{version}.npz")[kind]))
    course = make_course(tmp_path / "course")
    add_assignment(course, "networks", cells)
    folder = hand_in(course, "ada", "networks", files=False)
    model.save(folder / f"{MANY}.keras")
    for name in OLD:
        shutil.copy(FOLDER / f"{name}.keras", folder)
    grade(course, "networks")
    assert points(course, "ada", "networks") == dict.fromkeys(
        [each.metadata.nbgrader.grade_id for each in cells], 1.0
    )
