"""The command line: ``course doctor | data | run | book | page | zoo | assignment | grade``.

Each command imports what it needs when it is called, so that ``course --help`` is quick.
"""

# Importing a module adds its commands to `app`; the help lists them in this order.
# ruff: isort: off
from course_utils.cli.app import app
from course_utils.cli import run, grade, page, doctor, data, zoo, assignment

__all__ = ["app", "assignment", "data", "doctor", "grade", "page", "run", "zoo"]
