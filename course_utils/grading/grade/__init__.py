"""Functions that the hidden tests of the assignments call to grade answers."""

from course_utils.grading.grade.design import applying, own_design, scales_pixels
from course_utils.grading.grade.networks import check_input, network, test_accuracy
from course_utils.grading.grade.review import train_again
from course_utils.grading.grade.values import (
    Grade,
    claim,
    equal,
    holds,
    partial_credit,
    plain,
    together,
    traced,
    without,
)

__all__ = [
    "Grade",
    "applying",
    "check_input",
    "claim",
    "equal",
    "holds",
    "network",
    "own_design",
    "partial_credit",
    "plain",
    "scales_pixels",
    "test_accuracy",
    "together",
    "traced",
    "train_again",
    "without",
]
