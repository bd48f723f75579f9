"""What a student's notebook uses: training once, handing in, and checks that teach."""

from course_utils.submission import check
from course_utils.submission.artefacts import (
    Trained,
    load_trained,
    read_json,
    show_evaluation,
    train_once,
    write_json,
)

__all__ = [
    "Trained",
    "check",
    "load_trained",
    "read_json",
    "show_evaluation",
    "train_once",
    "write_json",
]
