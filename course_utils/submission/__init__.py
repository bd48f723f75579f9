"""Functions for a student's notebook: training once, handing in, and checks that teach.

Each name below is imported at its first use, after Keras has been imported without its messages.
"""

import importlib
from typing import Any

_HOMES = {
    "Trained": "trained",
    "differences": "comparison",
    "differences_of_networks": "comparison",
    "is_graded": "trained",
    "layers_of": "comparison",
    "load_trained": "trained",
    "read_json": "trained",
    "show_evaluation": "trained",
    "structure_of": "network",
    "train_once": "trained",
    "write_json": "trained",
}

__all__ = sorted([*_HOMES, "check"])


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'course_utils.submission' has no attribute {name!r}")
    importlib.import_module("course_utils.runtime").import_keras()
    module = importlib.import_module(f"course_utils.submission.{_HOMES.get(name, name)}")
    return module if name == "check" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
