"""The errors of the course; each message says in one or two sentences what is wrong, what to do."""

from __future__ import annotations


class CourseError(Exception):
    """Base class of the course's errors; the command line prints them without a traceback.

    Examples
    --------
    >>> from course_utils import CourseError, Recipe
    >>> try:
    ...     Recipe(epochs=0)
    ... except CourseError as error:
    ...     print(error)
    Recipe cannot have epochs = 0: Input should be greater than 0.
    """


class DataError(CourseError):
    """A data source is missing, damaged, or something else than it should be."""


class CacheError(DataError):
    """The cache folder cannot be written, whatever the data source is."""


class RuntimeSetupError(CourseError):
    """The backend, precision or device that was asked for is not available."""


class UnknownDesignError(CourseError):
    """The zoo has no network of that name."""


class RecipeError(CourseError):
    """A training recipe cannot be followed."""


class RecordError(CourseError):
    """A run's record is missing, unreadable, or something else than a record."""


class NotebookError(CourseError):
    """A notebook cannot be read or run."""


class RunError(CourseError):
    """A run failed."""


class NetworkPageError(CourseError):
    """A network cannot be shown on a page."""


class SubmissionError(CourseError):
    """A student's answer is missing, damaged, or something else than the question asks for."""


class AssignmentError(CourseError):
    """An assignment is not in a state to be released or graded."""


class SandboxError(AssignmentError):
    """Submissions cannot be isolated on this machine."""


class InterruptedExaminationError(AssignmentError):
    """A program that examines a submission was ended from outside, so there is no result."""
