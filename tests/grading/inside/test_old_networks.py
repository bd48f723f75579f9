"""Networks that earlier versions of Keras have written."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from old_keras.make import FOLDER, images

from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.predictor import build, predict

FIRST = (3, 5)
VERSIONS = sorted(path.stem for path in FOLDER.glob("*.npz"))


def test_there_are_networks_of_every_version_until_today():
    today = tuple(map(int, keras.__version__.split(".")[:2]))
    minors = range(FIRST[1], today[1] + 1)
    assert today[0] == FIRST[0]
    assert {f"{FIRST[0]}.{minor}" for minor in minors} == set(VERSIONS)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_network_of_an_earlier_version_predicts_as_it_did_there(version, kind):
    path = FOLDER / f"{version}-{kind}.keras"
    model = build(read_structure(path), path.name)
    model.load_weights(path)
    expected = np.load(FOLDER / f"{version}.npz")[kind]
    assert np.ptp(expected) > 0.01
    assert np.allclose(predict(model, images()), expected, atol=1e-5)
