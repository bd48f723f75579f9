"""Finding networks and logs that two students have in common."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from course_utils.files import write_atomically
from course_utils.grading.examine.store import FOLDER

# Fraction of the compared characters that are equal in copies. Networks of this course that were
# trained apart agree on 0.75 of their mistakes at most, on digits, and on less on pictures; a copy
# whose weights were changed by a thousandth agrees on 0.95.
ALIKE = 0.9
# Characters that are too few for a comparison.
FEW = 20

# Traces of logs: differences of accuracies, in hundredths of a per cent.
LOG, DIFFERENCE = re.compile(r"([+-]\d{5})+"), re.compile(r"[+-]\d{5}")
# Differences that are large enough to be compared, and how much those of copies differ (three of
# 5,000 images). Between runs, differences vary by some 50.
LARGE, CLOSE = 20, 6
# Length of the pieces in which a log is searched for in another one, the fraction of them that is
# found there in a copy, and how many are needed. So a log with a step more or less is still a copy.
PIECE, FOUND, FEW_PIECES = 4, 0.5, 7

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
    write_atomically(traces_file(course, assignment, student), json.dumps(traces))
    found: dict[str, dict[str, list[str]]] = {}
    for other, theirs in _all_traces(course, assignment).items():
        if other != student:
            for test, name in _in_common(traces, theirs):
                found.setdefault(test, {}).setdefault(name, []).append(other)
    return found


@dataclass(frozen=True)
class Copy:
    """What two students handed in that is nearly the same.

    Attributes
    ----------
    test : str
        Id of the test that grades it.
    name : str
        Name of the network or log.
    students : tuple of str
        The two students.
    """

    test: str
    name: str
    students: tuple[str, str]


def find_copies(course: Path, assignment: str) -> list[Copy]:
    """Return what two students of the class have in common, for every two."""
    pairs = itertools.combinations(_all_traces(course, assignment).items(), 2)
    return [
        Copy(test, name, (one, other))
        for (one, traces), (other, theirs) in pairs
        for test, name in _in_common(traces, theirs)
    ]


def _all_traces(course: Path, assignment: str) -> dict[str, Traces]:
    """Return the traces of every submission: student -> traces."""
    paths = traces_file(course, assignment, "*").parent.glob("*.json")
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(paths)}


def _in_common(traces: Traces, theirs: Traces) -> list[tuple[str, str]]:
    """Return the networks and logs of which two submissions have copies: test and name."""
    return [
        (test, name)
        for test, names in traces.items()
        for name, texts in names.items()
        if are_copies(texts, theirs.get(test, {}).get(name, []))
    ]


def alike(one: str, other: str) -> bool:
    """Tell whether two traces agree in nearly all that is compared: characters, or differences."""
    if LOG.fullmatch(one) and LOG.fullmatch(other) and _are_close(one, other):
        return True
    if len(one) != len(other):
        return False
    a, b = (np.frombuffer(each.encode("ascii"), "uint8") for each in (one, other))
    compared = (a != ord(".")) | (b != ord("."))
    return bool(compared.sum() >= FEW and np.mean((a == b)[compared]) >= ALIKE)


def _are_close(one: str, other: str) -> bool:
    """Tell whether most of the shorter log is in the other one, but for a few images in a step."""
    logs = (np.array(DIFFERENCE.findall(each)).astype(int) for each in (one, other))
    shorter, longer = sorted(logs, key=len)
    if len(shorter) < PIECE:
        return False
    pieces, places = (sliding_window_view(log, PIECE) for log in (shorter, longer))
    pieces = pieces[(abs(pieces) >= LARGE).sum(axis=1) >= PIECE - 1]
    is_there = (abs(pieces[:, np.newaxis] - places) <= CLOSE).all(axis=2).any(axis=1)
    return bool(len(pieces) >= FEW_PIECES and is_there.mean() >= FOUND)


def are_copies(one: list[str], other: list[str]) -> bool:
    """Tell whether two networks or logs are copies, by their traces.

    Those of a network are its mistakes, its weights, and its mistakes for mirrored pictures, which
    are those of a copy that mirrors its pictures first. A log has one trace.
    """
    if any(map(alike, one[:2], other[:2])):
        return True
    if not len(one) == len(other) == 3:
        return False
    pairs = ((one[0], other[2]), (other[0], one[2]))
    return any(alike(mistakes[: len(mirrored)], mirrored) for mistakes, mirrored in pairs)


def traces_file(course: Path, assignment: str, student: str) -> Path:
    """Return the file with the traces of a submission."""
    return course / FOLDER / "traces" / assignment / f"{student}.json"
