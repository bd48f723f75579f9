"""Data sets: sources, formats, cache, splits, augmentation, stand-in."""

from __future__ import annotations

import os

from course_utils.data.catalogue import CIFAR10, MNIST, SPECS
from course_utils.data.dataset import Dataset, Source
from course_utils.data.ladder import Rung, find_sources, load

__all__ = [
    "SPECS",
    "Dataset",
    "Rung",
    "Source",
    "find_sources",
    "load",
    "load_cifar10",
    "load_mnist",
]


def load_cifar10(path: str | os.PathLike | None = None, *, limit: int | None = None) -> Dataset:
    """Load CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes.

    Without a path, the data set is searched in ``$COURSE_DATA``, ``./data``, ``../shared/data``
    (seen from the current folder and from the folder that holds this library), the user's cache
    and Keras' cache. If it is in none of them, it is downloaded, unless ``COURSE_OFFLINE=1`` is
    set. If that fails, a drawn stand-in takes its place, which is announced.

    Parameters
    ----------
    path : str or path, optional
        The official Python or binary archive, its folder, an image folder or an archive of one
        (``train/<class>/*.jpg``, ``test/<class>/*.jpg``; JPEG or PNG), or ``"stand-in"``.
    limit : int, optional
        The largest number of training images, at least 5; validation and test keep a fifth as
        many at most. Every class keeps its share.

    Returns
    -------
    Dataset
        45,000 training, 5,000 validation and 10,000 test images, uint8, shape
        ``(n, 32, 32, 3)``. The validation images are evenly spaced ones of the official training
        set, the same in every run.

    Raises
    ------
    DataError
        If the user's own path holds no such data set, for a limit below 5, or if the cache
        folder cannot be written.

    Examples
    --------
    >>> from course_utils import load_cifar10
    >>> data = load_cifar10(limit=100)
    >>> data.x_train.shape, data.y_test.shape
    ((100, 32, 32, 3), (20,))
    """
    return load(CIFAR10.key, path, limit)


def load_mnist(path: str | os.PathLike | None = None, *, limit: int | None = None) -> Dataset:
    """Load MNIST: 70,000 handwritten digits of 28 x 28 pixels.

    Parameters
    ----------
    path : str or path, optional
        The folder of the four official IDX files (``.gz`` or not), Keras' ``mnist.npz``, or
        ``"stand-in"``. Without a path, the places of `load_cifar10` are searched.
    limit : int, optional
        The largest number of training images, as for `load_cifar10`.

    Returns
    -------
    Dataset
        54,000 training, 6,000 validation and 10,000 test images, uint8, shape
        ``(n, 28, 28, 1)``.

    Raises
    ------
    DataError
        In the cases of `load_cifar10`.

    Examples
    --------
    >>> from course_utils import load_mnist
    >>> data = load_mnist(limit=100)
    >>> data.x_train.shape, len(data.class_names)
    ((100, 28, 28, 1), 10)
    """
    return load(MNIST.key, path, limit)
