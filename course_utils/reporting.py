"""The sentence that ends a chapter: its results, the data and the machine.

The same output also contains the numbers in a form for programs, under a MIME type of its own.
`course run` and the status page of the book read them only from there.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from course_utils.errors import NotebookError
from course_utils.runtime import versions

if TYPE_CHECKING:
    from course_utils.data import Dataset
    from course_utils.runtime import Runtime

REPORT_MIME = "application/vnd.course.report+json"


def report(runtime: Runtime, data: Dataset, *, profile: str, **metrics: float) -> None:
    """Display a chapter's results, as a sentence for readers and as numbers for programs.

    Parameters
    ----------
    runtime : Runtime
        The result of `setup`.
    data : Dataset
        The data on which the metrics were measured.
    profile : {"fast", "full"}
        The notebook's parameter of this name.
    **metrics : float
        Results, such as ``test_accuracy=0.629, epochs=4``. A metric whose name ends in
        ``accuracy`` is a fraction between 0 and 1 and is shown as a percentage; one whose name
        ends in ``seconds`` is a duration.

    Raises
    ------
    NotebookError
        If a metric is not a finite number.

    Examples
    --------
    >>> from course_utils import load_cifar10, report, setup
    >>> data, runtime = load_cifar10(limit=50), setup(seed=0)
    Keras on ..., seed 0
    >>> report(runtime, data, profile="fast", test_accuracy=0.629)
    test accuracy 62.9%, on ...; profile fast, seed 0, Keras on ...
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


def find_report(cells: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the content of the last `report` in a notebook's executed cells, or None."""
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    for output in reversed(outputs):
        content = output.get("data", {}).get(REPORT_MIME)
        if content is not None:
            return content
    return None


def format_metric(name: str, value: float) -> str:
    """Format the value of a metric for readers.

    Examples
    --------
    >>> format_metric("test_accuracy", 0.629), format_metric("seconds", 41.2)
    ('62.9%', '41 s')
    """
    if name.endswith("accuracy"):
        return f"{100 * value:.1f}%"
    if name.endswith("seconds"):
        return f"{value:.0f} s"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _number(name: str, value: Any) -> int | float:
    """Return a metric as a plain Python number, since NumPy's scalars cannot become JSON."""
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
