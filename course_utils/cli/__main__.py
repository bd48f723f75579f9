"""``python -m course_utils.cli``: the same as ``course``."""

from course_utils.cli import app

app()
