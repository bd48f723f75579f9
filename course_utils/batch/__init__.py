"""Running many notebooks with papermill, each in its own process; unchanged ones are skipped."""

import importlib
from typing import Any

_HOMES = {"run_notebooks": "run", "Report": "report", "Outcome": "report"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # Imports happen on demand: `child` is in this package too, and starts sooner without the rest.
    if name in _HOMES:
        return getattr(importlib.import_module(f"course_utils.batch.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'course_utils.batch' has no attribute {name!r}")
