"""What goes wrong, by kind. Every message is one sentence or two: what is wrong, what to do."""

from __future__ import annotations


class CourseError(Exception):
    """Any error of the course; the command line prints its message without a traceback."""


class DataError(CourseError):
    """A data source is missing, damaged, or not what it should be."""


class CacheError(DataError):
    """The cache folder cannot be written, whatever the data source is."""


class RuntimeSetupError(CourseError):
    """The wanted backend, precision or device cannot be had."""


class UnknownDesignError(CourseError):
    """No design of that name is in the zoo."""


class RecipeError(CourseError):
    """A training recipe cannot be followed."""


class RecordError(CourseError):
    """A run's record is missing, unreadable or of another kind."""


class NotebookError(CourseError):
    """A notebook cannot be read or run."""


class RunError(CourseError):
    """A run failed."""


class SubmissionError(CourseError):
    """What a student hands in is missing, damaged, or not what the question asks for."""


class AssignmentError(CourseError):
    """An assignment is not in a state to be released or graded."""


class SandboxError(AssignmentError):
    """Submissions cannot be run behind walls here."""
