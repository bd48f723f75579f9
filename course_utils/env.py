"""Every environment variable that the course reads, with its type and its meaning.

Nothing else in the library asks for one by name. An empty variable counts as one that is not set.
Variables that a program of the course sets for another one are listed last.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import RuntimeSetupError
from course_utils.paths import absolute


@dataclass(frozen=True)
class Variable:
    """An environment variable.

    Attributes
    ----------
    name : str
    meaning : str
        One sentence for the documentation.
    """

    name: str
    meaning: str

    @property
    def value(self) -> str | None:
        """The variable's value, or None if it is not set or empty."""
        return os.environ.get(self.name) or None

    @property
    def is_on(self) -> bool:
        """Whether a switch is on: set to anything but 0."""
        return self.value not in (None, "0")

    @property
    def number(self) -> float | None:
        """The value as a number, or None if it is not set.

        Raises
        ------
        RuntimeSetupError
            If it is not a number.
        """
        try:
            return None if self.value is None else float(self.value)
        except ValueError:
            raise RuntimeSetupError(f"{self.name} is {self.value!r}: set a number.") from None

    @property
    def path(self) -> Path | None:
        """The value as an absolute path, with ``~`` expanded and without ``..``."""
        return None if self.value is None else absolute(Path(self.value))


# For users

DATA = Variable(
    "COURSE_DATA",
    "The folder or file of a data set, or `stand-in`; it comes before every other place.",
)
CACHE = Variable("COURSE_CACHE", "The folder for decoded data and saved trainings.")
OFFLINE = Variable("COURSE_OFFLINE", "With 1, nothing is downloaded.")
THREADS = Variable("COURSE_THREADS", "The number of CPU threads of each program.")
BACKEND = Variable("KERAS_BACKEND", "The backend of Keras: `tensorflow`, `jax` or `torch`.")
KERAS_HOME = Variable("KERAS_HOME", "The folder in which Keras keeps its downloads.")
GPUS = Variable("CUDA_VISIBLE_DEVICES", "The GPUs that may be used, as a list of numbers.")
CI = Variable("CI", "If set, progress is printed as plain lines.")
GRADEBOOK = Variable(
    "COURSE_GRADEBOOK", "The address of the gradebook's database; default: `gradebook.db`."
)
RETRAIN = Variable(
    "COURSE_RETRAIN",
    "The fraction of the submissions, 0 to 1, whose networks plain nbgrader trains again.",
)
WITH_MY_RIGHTS = Variable(
    "COURSE_RUN_SUBMISSIONS_WITH_MY_RIGHTS",
    "With 1, plain nbgrader runs submissions without a sandbox: they can do whatever you can.",
)

# Set by a program of the course, or by nbgrader, for another one

START = Variable("COURSE_START", "The grader's folder, from which the data are searched.")
GRADING = Variable("NBGRADER_EXECUTION", "`autograde` while a submission is graded (nbgrader).")
EXAMINED = Variable(
    "COURSE_EXAMINED", "With 1, the tests run elsewhere: the notebook's own checks are silent."
)
PREDICTED = Variable(
    "COURSE_PREDICTED", "The folder with the predictions of the networks of a submission."
)
TRAIN_AGAIN = Variable(
    "COURSE_TRAIN_AGAIN", "With 1, the examiner trains this submission's networks again."
)

VARIABLES = {each.name: each for each in list(globals().values()) if isinstance(each, Variable)}
