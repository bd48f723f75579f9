"""Networks with the same weights, handed in by several students."""

from __future__ import annotations

import json
from pathlib import Path

from course_utils.files import write_atomically
from course_utils.grading.examined import FOLDER


def note_weights(
    course: Path, assignment: str, student: str, weights: dict[str, str]
) -> dict[str, list[str]]:
    """Remember a submission's networks; return who else handed the same ones in.

    Parameters
    ----------
    course : Path
    assignment, student : str
    weights : dict of str
        Test's name -> digest of its network's weights.

    Returns
    -------
    dict of list
        Test's name -> other students; without tests whose network nobody else has.
    """
    folder = course / FOLDER / "weights" / assignment
    write_atomically(folder / f"{student}.json", json.dumps(weights))
    same: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem == student:
            continue
        others = json.loads(path.read_text(encoding="utf-8"))
        for test, digest in weights.items():
            if others.get(test) == digest:
                same.setdefault(test, []).append(path.stem)
    return same
