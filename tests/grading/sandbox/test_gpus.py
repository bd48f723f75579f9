"""Which GPUs there are, and that a submission has one for itself while it is examined."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell

from course_utils import env
from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine
from course_utils.grading.sandbox import gpus

SAYS_WHEN_AND_WHERE = """
import json, os, time
start = time.time()
time.sleep(0.5)
print(json.dumps([os.environ.get("CUDA_VISIBLE_DEVICES"), start, time.time()]))
"""


@pytest.mark.parametrize(
    ("found", "variable", "expected"),
    [
        ([], None, []),
        ([], "0", []),
        (["nvidia-uvm", "nvidia0", "nvidia1", "nvidia10", "nvidiactl"], None, ["0", "1", "10"]),
        (["nvidia0", "nvidia1", "nvidiactl"], "1", ["1"]),
        (["nvidia0", "nvidia1", "nvidiactl"], "GPU-8932f937, 0", ["GPU-8932f937", "0"]),
        (["nvidia0", "nvidia1", "nvidiactl"], "0,-1,1", ["0"]),
        (["nvidia0", "nvidiactl"], "", []),
    ],
)
def test_the_gpus_that_may_be_used(monkeypatch, found, variable, expected):
    monkeypatch.setattr(gpus, "devices", lambda: [Path("/dev", name) for name in found])
    monkeypatch.setattr(gpus, "keras_sees_one", lambda: True)
    monkeypatch.delenv(env.GPUS.name, raising=False)
    if variable is not None:
        monkeypatch.setenv(env.GPUS.name, variable)
    assert gpus.visible() == expected


@pytest.mark.process
@pytest.mark.skipif(bool(gpus.visible()), reason="needs a machine without a GPU")
def test_a_gpu_that_keras_cannot_use_is_none(monkeypatch):
    """Else submissions would be examined one at a time, with the driver let in, for nothing."""
    monkeypatch.setattr(gpus, "devices", lambda: [Path("/dev/nvidia0"), Path("/dev/nvidiactl")])
    monkeypatch.delenv(env.GPUS.name, raising=False)
    gpus.keras_sees_one.cache_clear()
    assert gpus.visible() == []
    gpus.keras_sees_one.cache_clear()
    monkeypatch.setattr(gpus, "LOOK", "import course_utils.runtime")
    assert gpus.visible() == ["0"]
    gpus.keras_sees_one.cache_clear()


@pytest.fixture
def two_gpus(monkeypatch):
    """Two that are not there: no program here asks more of them than their names."""
    monkeypatch.setattr(gpus, "visible", lambda: ["3", "7"])
    gpus._free.cache_clear()
    yield
    gpus._free.cache_clear()


def test_a_gpu_is_given_back_whatever_happens(two_gpus):
    def fail():
        with gpus.one():
            raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            fail()
    with gpus.one() as first, gpus.one() as second:
        assert {first[env.GPUS.name], second[env.GPUS.name]} == {"3", "7"}


@pytest.mark.sandbox
def test_each_submission_has_a_gpu_for_itself(two_gpus):
    job = Job([new_code_cell(SAYS_WHEN_AND_WHERE)], [], {}, 60, 60, False)
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(examine, job) for _ in range(4)]
    said = [json.loads(one.result().cells[0].outputs[0].text) for one in done]
    for gpu in ("3", "7"):
        times = sorted((start, end) for name, start, end in said if name == gpu)
        assert len(times) == 2
        assert all(end < start for (_, end), (start, _) in pairwise(times))
