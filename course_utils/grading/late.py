"""What a late submission costs."""

from __future__ import annotations

import math

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float

SECONDS_A_DAY = 86_400


class PerDay(LateSubmissionPlugin):
    """Takes a part of the reached score for each day, or part of one, after the due date."""

    part = Float(0.1, min=0, max=1, help="Part of the score, 0 to 1, for each day.").tag(
        config=True
    )

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float:
        """Return the points to take off."""
        days = math.ceil(total_seconds_late / SECONDS_A_DAY)
        return score * min(1.0, self.part * days)
