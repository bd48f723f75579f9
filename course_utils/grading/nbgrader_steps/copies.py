"""Finding networks and logs that two students have in common."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from course_utils.files import write_atomically
from course_utils.grading.examine.store import FOLDER

# Fraction of the compared characters that are equal in copies. Networks of this course that were
# trained apart agree on 0.75 of their mistakes at most, on digits, and on less on pictures; a copy
# whose weights were changed by a thousandth agrees on 0.95.
ALIKE = 0.9
# Characters that are too few for a comparison.
FEW = 20

# Traces of a submission: id of a test -> name of a network or log -> texts.
Traces = dict[str, dict[str, list[str]]]


def note_traces(
    course: Path, assignment: str, student: str, traces: Traces
) -> dict[str, dict[str, list[str]]]:
    """Record the traces of a submission; return who else handed in nearly the same.

    Parameters
    ----------
    course : Path
    assignment, student : str
    traces : dict
        Id of a test -> the `traces` of its grade.

    Returns
    -------
    dict
        Id of a test -> name of a network or log -> other students; only where there are any.
    """
    own = traces_file(course, assignment, student)
    write_atomically(own, json.dumps(traces))
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(own.parent.glob("*.json")):
        if path.stem == student:
            continue
        others = json.loads(path.read_text(encoding="utf-8"))
        for test, names in traces.items():
            for name, texts in names.items():
                theirs = others.get(test, {}).get(name, [])
                if any(map(alike, texts, theirs)):
                    found.setdefault(test, {}).setdefault(name, []).append(path.stem)
    return found


def alike(one: str, other: str) -> bool:
    """Tell whether two traces agree in nearly all characters that are compared."""
    if len(one) != len(other):
        return False
    a, b = (np.frombuffer(each.encode("ascii"), "uint8") for each in (one, other))
    compared = (a != ord(".")) | (b != ord("."))
    return bool(compared.sum() >= FEW and np.mean((a == b)[compared]) >= ALIKE)


def traces_file(course: Path, assignment: str, student: str) -> Path:
    """Return the file with the traces of a submission."""
    return course / FOLDER / "traces" / assignment / f"{student}.json"
