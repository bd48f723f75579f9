"""Data sets: sources, formats, cache, splits, augmentation, stand-in."""

from __future__ import annotations

import os

from course_utils.data.catalogue import SPECS
from course_utils.data.dataset import Dataset, Source
from course_utils.data.ladder import Rung, find_sources, load

__all__ = ["Dataset", "Rung", "Source", "find_sources", "load_cifar10", "load_mnist"]


def load_cifar10(path: str | os.PathLike | None = None, *, limit: int | None = None) -> Dataset:
    """Load CIFAR-10: 60,000 photographs of 32 x 32 pixels in ten classes.

    Without a path it is looked for in ``$COURSE_DATA``, ``./data``, ``../shared/data`` (seen
    from the current folder and from the folder that holds this library), the user's cache and
    Keras' cache; then it is downloaded (not with ``COURSE_OFFLINE=1``); then a drawn stand-in
    takes its place, which says so.

    Parameters
    ----------
    path : str or path, optional
        The official Python or binary archive, its folder, an image folder or an archive of one
        (``train/<class>/*.jpg``, ``test/<class>/*.jpg``; JPEG or PNG), or ``"stand-in"``.
    limit : int, optional
        Keep at most so many training images, and a fifth as many for validation and for test;
        every class keeps its share.

    Returns
    -------
    Dataset
        45,000 training, 5,000 validation and 10,000 test images. The validation images are
        evenly spaced ones of the official training set, the same in every run.

    Raises
    ------
    DataError
        If a path given by hand does not work, for a limit below 5, or if the cache folder
        cannot be written.
    """
    return load(SPECS["cifar10"], path, limit)


def load_mnist(path: str | os.PathLike | None = None, *, limit: int | None = None) -> Dataset:
    """Load MNIST: 70,000 handwritten digits of 28 x 28 pixels.

    Parameters
    ----------
    path : str or path, optional
        The folder of the four official IDX files (``.gz`` or not), Keras' ``mnist.npz``, or
        ``"stand-in"``; otherwise the places of `load_cifar10`.
    limit : int, optional
        As for `load_cifar10`.

    Returns
    -------
    Dataset
        54,000 training, 6,000 validation and 10,000 test images, shape ``(n, 28, 28, 1)``.

    Raises
    ------
    DataError
        As for `load_cifar10`.
    """
    return load(SPECS["mnist"], path, limit)
