"""What a student's notebook uses: training once, handing in, and checks that teach.

The names below are imported when they are first asked for, after Keras was, in silence.
"""

import importlib

_HOMES = {
    "Trained": "artefacts",
    "is_graded": "artefacts",
    "load_trained": "artefacts",
    "read_json": "artefacts",
    "show_evaluation": "artefacts",
    "train_once": "artefacts",
    "write_json": "artefacts",
}

__all__ = sorted([*_HOMES, "check"])


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'course_utils.submission' has no attribute {name!r}")
    importlib.import_module("course_utils.runtime").import_keras()
    module = importlib.import_module(f"course_utils.submission.{_HOMES.get(name, name)}")
    return module if name == "check" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
