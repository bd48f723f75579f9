"""The runtime: choices, refusals, and how soon the package is there."""

import os
import subprocess
import sys

import keras
import pytest

from course_utils import runtime
from course_utils.errors import RuntimeSetupError


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.process
def test_importing_the_package_imports_none_of_the_heavy_ones():
    heavy = ("keras", "tensorflow", "numpy", "matplotlib", "sklearn", "pandas")
    done = python(f"import course_utils, sys; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]"


@pytest.mark.process
def test_importing_takes_under_half_a_second():
    code = (
        "import time; start = time.perf_counter(); import course_utils; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(python(code).stdout) for _ in range(3)) < 0.5


@pytest.mark.process
def test_every_public_name_is_there():
    done = python(
        "import course_utils, types\n"
        "for name in course_utils.__all__: getattr(course_utils, name)\n"
        "assert isinstance(course_utils.report, types.FunctionType)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_setup_says_one_line_and_leaves_standard_error_empty():
    done = python("from course_utils import setup; setup(seed=7)")
    assert done.stdout.count("\n") == 1
    assert "seed 7" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_precision_asked_for_is_the_one_used(precision):
    assert runtime.setup(precision=precision).precision == precision
    assert keras.config.dtype_policy().name == precision


def test_bfloat16_needs_a_cpu_that_has_it(monkeypatch):
    monkeypatch.setattr(runtime, "_cpuinfo", lambda field: "sse avx2")
    assert not runtime.cpu_has_bfloat16()
    monkeypatch.setattr(runtime, "_cpuinfo", lambda field: "sse avx512_bf16")
    assert runtime.cpu_has_bfloat16()


def test_unknown_settings_are_refused_in_one_sentence():
    with pytest.raises(RuntimeSetupError, match="Unknown precision 'float8'"):
        runtime.setup(precision="float8")
    with pytest.raises(RuntimeSetupError, match="Unknown backend 'theano'"):
        runtime.setup(backend="theano")


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RuntimeSetupError, match="pip install torch"):
        runtime.setup(backend="torch")


def test_a_backend_cannot_change_under_way(monkeypatch):
    runtime.setup()
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: name)
    with pytest.raises(RuntimeSetupError, match="restart"):
        runtime.setup(backend="jax")


@pytest.mark.parametrize(("share", "cores"), [(0.5, 1), (1.5, 2), (1_000, None)])
def test_a_container_with_a_share_of_the_cores_has_no_more(monkeypatch, share, cores):
    def quota():
        return share * 100_000, 100_000

    monkeypatch.setattr("dask.system._try_extract_cgroup_cpu_quota", quota)
    allowed = len(os.sched_getaffinity(0))
    assert runtime.available_cores() == min(cores or allowed, allowed)
