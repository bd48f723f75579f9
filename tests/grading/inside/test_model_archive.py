"""Submitted networks that are accepted or refused."""

from __future__ import annotations

import keras
import pytest
from nbgrading import ASSIGNMENTS

from course_utils.grading.inside.model_archive import read_structure


@pytest.mark.parametrize(
    "path", sorted(ASSIGNMENTS.glob("solutions/*/*.keras")), ids=lambda path: path.stem
)
def test_the_lecturers_networks_are_accepted(path):
    model = keras.models.model_from_json(read_structure(path))
    assert model.count_params() == keras.models.load_model(path, compile=False).count_params()
