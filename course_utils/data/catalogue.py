"""The data sets of the course: one line for each, whose entry is its own module."""

from __future__ import annotations

from course_utils.data.cifar10 import CIFAR10
from course_utils.data.mnist import MNIST
from course_utils.data.spec import Spec
from course_utils.errors import DataError

SPECS: dict[str, Spec] = {
    spec.key: spec
    for spec in (
        CIFAR10,
        MNIST,
    )
}

# Key of the data set that is meant if none is named.
DEFAULT = CIFAR10.key


def spec_of(dataset: str | Spec) -> Spec:
    """Return a data set's entry by its key; an entry itself is returned as it is.

    Raises
    ------
    DataError
        For a key that is not in the catalogue.
    """
    if isinstance(dataset, Spec):
        return dataset
    if dataset not in SPECS:
        raise DataError(f"Unknown data set {dataset!r}: choose one of {', '.join(SPECS)}.")
    return SPECS[dataset]
