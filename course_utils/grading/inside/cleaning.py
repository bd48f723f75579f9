"""Making a graded notebook harmless for whoever opens it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output

from course_utils.grading.inside.formulas import is_ordinary
from course_utils.grading.inside.harmless import (
    harmless_attachments,
    harmless_html,
    harmless_markdown,
    is_base64,
)
from course_utils.submission.contract import GRADE_MIME, LECTURER

# Width and height of a picture that are kept, in pixels.
MAX_PIXELS = 10_000


def clean_cell(cell: NotebookNode, of_test: bool, is_locked: bool) -> NotebookNode:
    """Return a copy of a graded cell that has only what is known to be harmless.

    The cell and its outputs are made anew from the fields that are displayed, so a field that
    nobody thought of is gone.

    Parameters
    ----------
    cell : NotebookNode
        Its nbgrader metadata are the lecturer's.
    of_test : bool
        Whether it is a test, whose outputs are the grader's own but quote answers.
    is_locked : bool
        Whether its text is the lecturer's.
    """
    # Notebooks of older formats have no ids of cells.
    kept = {name: cell[name] for name in ("id", "cell_type", "source") if name in cell}
    kept["metadata"] = {n: cell.metadata[n] for n in ("nbgrader",) if n in cell.metadata}
    if cell.cell_type == "code":
        kept["execution_count"] = _count(cell.get("execution_count"))
        kept["outputs"] = [made for output in cell.outputs if (made := _output(output, of_test))]
    elif cell.cell_type == "raw":
        kept["source"] = harmless_html(cell.source)
    elif is_locked:
        # It can have a rubric that the feedback leaves out.
        kept["attachments"] = harmless_attachments(cell.get("attachments", {}))
    else:
        kept["source"] = harmless_markdown(cell.source, cell.get("attachments", {}))
    return NotebookNode(kept)


def _output(output: NotebookNode, of_test: bool) -> NotebookNode | None:
    """Return an output with the fields that are displayed; None if nothing of it is."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return new_output(kind, name=name, text=str(output.get("text", "")))
    if kind == "error":
        lines = [str(line) for line in output.get("traceback", ())]
        told = {name: str(output.get(name, "")) for name in ("ename", "evalue")}
        return new_output(kind, traceback=lines, **told)
    if kind not in ("display_data", "execute_result"):
        return None
    count = {"execution_count": _count(output.get("execution_count"))}
    data, metadata = (_mapping(output.get(name)) for name in ("data", "metadata"))
    return new_output(
        kind,
        data=_bundle(data, of_test),
        metadata=_sizes(metadata)
        | ({LECTURER: True} if of_test and metadata.get(LECTURER) else {}),
        **(count if kind == "execute_result" else {}),
    )


def _bundle(data: dict[str, Any], of_test: bool) -> dict[str, Any]:
    """Return the kinds of a MIME bundle that are displayed, made harmless.

    What a test says quotes answers and has no formulas. Its grade is data that no page displays.
    """
    made = {
        kind: made
        for kind, make in MAKE.items()
        if isinstance(data.get(kind), str) and (made := make(data[kind])) is not None
    }
    if of_test:
        if "text/html" in made:
            made["text/html"] = harmless_html(data["text/html"], formulas=False)
        made |= {kind: data[kind] for kind in (GRADE_MIME,) if kind in data}
    elif "text/latex" in data and "text/latex" not in made:
        made["text/plain"] = str(data["text/latex"])
    return made


def _picture(text: str) -> str | None:
    return text if is_base64(text) else None


# Kinds of outputs that are displayed -> what makes one harmless, or returns None to leave it out.
MAKE: dict[str, Callable[[str], str | None]] = {
    "text/plain": str,
    "text/html": harmless_html,
    "text/markdown": lambda text: harmless_markdown(text, {}),
    "text/latex": lambda text: text if is_ordinary(text) else None,
    "image/png": _picture,
    "image/jpeg": _picture,
}


def _count(count: Any) -> int | None:
    return count if type(count) is int and count >= 0 else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sizes(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return only the size and the alternative text of pictures from an output's metadata."""
    return {
        kind: {name: value for name, value in told.items() if _is_kept(name, value)}
        for kind, told in metadata.items()
        if kind in MAKE and isinstance(told, dict)
    }


def _is_kept(name: str, value: Any) -> bool:
    if name == "alt":
        return isinstance(value, str)
    return (
        name in ("width", "height") and isinstance(value, int | float) and 0 < value <= MAX_PIXELS
    )
