"""Storing the results of examinations, so that nothing is examined twice."""

from __future__ import annotations

import json
from pathlib import Path

from nbformat import from_dict

from course_utils.errors import InterruptedExaminationError
from course_utils.files import write_atomically
from course_utils.grading.examine.job import Examined, Job
from course_utils.grading.examine.submission import examine

# Folder of the results, in the folder of the course.
FOLDER = ".examined"

# Key of the provenance in a graded notebook's metadata.
PROVENANCE = "course_provenance"


def load_or_examine(job: Job, course: Path) -> Examined:
    """Return the result of a submission; examine the submission first if there is none yet.

    An examination that was interrupted from outside is repeated once.

    Raises
    ------
    SandboxError, AssignmentError
        If the examination is not possible; see `examine`.
    """
    examined = load(job, course)
    if examined is None:
        try:
            examined = examine(job)
        except InterruptedExaminationError:
            examined = examine(job)
        save(job, examined, course)
    return examined


def load(job: Job, course: Path) -> Examined | None:
    """Read the result of a submission; return None if there is none or it cannot be read."""
    try:
        kept = json.loads(_path(job, course).read_text(encoding="utf-8"))
        return Examined(
            cells=[from_dict(cell) for cell in kept["cells"]],
            notes=[tuple(note) for note in kept["notes"]],
            provenance=kept["provenance"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(job: Job, examined: Examined, course: Path) -> None:
    """Store the result of a submission."""
    content = {
        "cells": examined.cells, "notes": examined.notes, "provenance": examined.provenance
    }  # fmt: skip
    write_atomically(_path(job, course), json.dumps(content, ensure_ascii=False))


def forget(job: Job, course: Path) -> None:
    """Delete the result of a submission, so that the submission is examined again."""
    _path(job, course).unlink(missing_ok=True)


def _path(job: Job, course: Path) -> Path:
    return course / FOLDER / f"{job.digest}.json"
