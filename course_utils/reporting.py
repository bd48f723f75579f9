"""The sentence that ends a chapter: what was measured, on which data and which machine.

The same output carries the numbers for programs, under its own MIME type: `course run`, the
book's status page and the thresholds read them from there and from nowhere else.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from course_utils.errors import NotebookError
from course_utils.runtime import versions

if TYPE_CHECKING:
    from course_utils.data import Dataset
    from course_utils.runtime import Runtime

REPORT_MIME = "application/vnd.course.report+json"


def report(runtime: Runtime, data: Dataset, *, profile: str, **metrics: float) -> None:
    """Display a chapter's results as a sentence that programs can read too.

    Parameters
    ----------
    runtime : Runtime
        From `setup`.
    data : Dataset
        The data that the metrics were measured on.
    profile : {"fast", "full"}
        The notebook's own parameter.
    **metrics : float
        What was measured: ``test_accuracy=0.629, epochs=4``. A name that ends in ``accuracy``
        is a fraction between 0 and 1 and is shown in percent; ``seconds`` is a duration.

    Raises
    ------
    NotebookError
        For a metric that is not a finite number.
    """
    from IPython.display import display

    content = {
        "profile": profile,
        "metrics": {name: _number(name, value) for name, value in metrics.items()},
        "source": {
            "name": data.source.name,
            "is_stand_in": bool(data.source.is_stand_in),
            "fingerprint": data.source.fingerprint,
        },
        "runtime": {
            field: getattr(runtime, field)
            for field in ("backend", "device", "precision", "threads", "seed")
        },
        "versions": versions(),
    }
    sentence = _sentence(content)
    bundle = {
        "text/plain": sentence,
        "text/html": f'<p class="course-report">{html.escape(sentence)}</p>',
        REPORT_MIME: content,
    }
    display(bundle, raw=True)


def find_report(cells: Iterable[dict]) -> dict[str, Any] | None:
    """Return what the last `report` in a notebook's executed cells said, or None."""
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    for output in reversed(outputs):
        content = output.get("data", {}).get(REPORT_MIME)
        if content is not None:
            return content
    return None


def format_metric(name: str, value: float) -> str:
    """Return a metric's value as a reader wants it: ``62.9%``, ``41 s``, ``81,834``."""
    if name.endswith("accuracy"):
        return f"{100 * value:.1f}%"
    if name.endswith("seconds"):
        return f"{value:.0f} s"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _number(name: str, value: Any) -> int | float:
    """Return a metric as plain Python number (NumPy's scalars are not JSON)."""
    try:
        number = value.item() if hasattr(value, "item") else value
        finite = math.isfinite(number)
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise NotebookError(
            f"The metric {name!r} is {value!r}, not a finite number: "
            "look whether the training diverged, or report another value."
        )
    return number


def _sentence(content: dict[str, Any]) -> str:
    measured = ", ".join(
        f"{name.replace('_', ' ')} {format_metric(name, value)}"
        for name, value in content["metrics"].items()
    )
    runtime = content["runtime"]
    return (
        f"{measured or 'No metrics'}, on {content['source']['name']}; "
        f"profile {content['profile']}, seed {runtime['seed']}, Keras on {runtime['backend']}, "
        f"{runtime['device']}, {runtime['precision']}, {runtime['threads']} threads."
    )
