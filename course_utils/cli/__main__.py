"""The module that ``python -m course_utils.cli`` runs; it does the same as ``course``."""

from course_utils.cli import app

app()
