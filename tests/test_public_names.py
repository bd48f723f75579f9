"""The public names: which of them start Keras."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Imports each name without the library's own check, in a process in which there is no Keras.
PROGRAM = """
import importlib.abc, json, sys
import course_utils

class NoKeras(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("keras", "tensorflow"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoKeras())
found = []
for name in course_utils.__all__:
    try:
        course_utils._import(name)
        found.append(name)
    except ModuleNotFoundError as error:
        assert error.args[0] in ("keras", "tensorflow"), error
print(json.dumps([found, sorted(course_utils._WITHOUT_KERAS)]))
"""


@pytest.mark.process
def test_names_that_need_no_keras_do_not_start_it():
    """Keras takes seconds to start, and `setup` chooses its backend before."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, listed = json.loads(done.stdout)
    assert sorted(found) == listed
