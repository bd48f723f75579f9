"""Submissions that were examined, kept so that nothing is examined twice."""

from __future__ import annotations

import json
from pathlib import Path

from nbformat import from_dict

from course_utils.files import write_atomically
from course_utils.grading.examine.job import Examined, Job
from course_utils.grading.examine.submission import examine

FOLDER = ".examined"

# In the metadata of a graded notebook.
PROVENANCE = "course_provenance"


def load_or_examine(job: Job, course: Path) -> Examined:
    """Return what became of a submission; examine it first if that was not done before.

    Errors are those of `examine`.
    """
    examined = load(job, course)
    if examined is None:
        examined = examine(job)
        save(job, examined, course)
    return examined


def load(job: Job, course: Path) -> Examined | None:
    """Read what became of a submission; None where it was not examined, or is unreadable."""
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
    """Keep what became of a submission."""
    content = {
        "cells": examined.cells, "notes": examined.notes, "provenance": examined.provenance
    }  # fmt: skip
    write_atomically(_path(job, course), json.dumps(content, ensure_ascii=False))


def forget(job: Job, course: Path) -> None:
    """Have a submission examined anew the next time."""
    _path(job, course).unlink(missing_ok=True)


def _path(job: Job, course: Path) -> Path:
    return course / FOLDER / f"{job.digest}.json"
