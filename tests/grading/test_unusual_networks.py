"""Networks with unusual layers, and of earlier versions of Keras, graded by the real nbgrader."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from nbgrading import add_assignment, grade, hand_in, make_course, new_cell, points, said
from old_keras.make import FOLDER, images
from unusual_networks import IMAGE, network_of_many_layers, networks_in_float16

MANY, SEED = "many", 0
OLD = ("3.5-sequential", "3.6-functional")
TEST = """
### BEGIN HIDDEN TESTS
from pathlib import Path
import numpy as np
from course_utils.grading import grade
from course_utils.submission.trained import open_network
x = np.array({images}, dtype="uint8")
network = open_network.get()(Path("{name}.keras"))
found = network.predict(x)
precisions = sorted({{str(layer.settings.get("dtype")) for layer in network.structure.layers}})
print("precisions:", precisions)
grade.holds("the predictions", bool(np.allclose(found, {expected}, atol={atol})))
### END HIDDEN TESTS
"""


def cell(name: str, x: np.ndarray, expected: np.ndarray, atol: float = 1e-4):
    """Return a test of what a network predicts."""
    source = TEST.format(name=name, images=x.tolist(), expected=expected.tolist(), atol=atol)
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


@pytest.mark.process
def test_networks_in_float16_are_graded_in_float32(tmp_path):
    networks = networks_in_float16()
    x = np.random.default_rng(SEED).integers(0, 256, (4, *IMAGE), dtype="uint8")
    # Probabilities are rounded to 2**-11; that of each layer adds to it.
    cells = [cell(name, x, each.predict(x, verbose=0), 0.01) for name, each in networks.items()]
    course = make_course(tmp_path / "course")
    add_assignment(course, "networks", cells)
    folder = hand_in(course, "ada", "networks", files=False)
    for name, model in networks.items():
        model.save(folder / f"{name}.keras")
    grade(course, "networks")
    tests = [each.metadata.nbgrader.grade_id for each in cells]
    assert points(course, "ada", "networks") == dict.fromkeys(tests, 1.0)
    for test in tests:
        printed = said(course, "ada", "networks", test)
        assert "precisions: " in printed
        assert "'float16'" not in printed
        assert "mixed_float16" not in printed
