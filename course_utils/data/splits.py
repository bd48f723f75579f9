"""Stratified choices of images: the validation split, and a limit on the number of images."""

from __future__ import annotations

import numpy as np


def stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Choose images so that every class keeps its share.

    The images are put in the order of their classes, and evenly spaced ones are taken. No
    random number is involved, so that the choice is the same for every seed, every machine and
    every version of NumPy.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer labels, shape ``(n,)``, in any order.
    count : int
        Number of images to choose, at most ``n``.

    Returns
    -------
    numpy.ndarray
        `count` different indices into `labels`, ascending, int64. Each class has its exact
        share of them, rounded up or down.
    """
    by_class = np.argsort(labels, kind="stable")
    return np.sort(by_class[np.arange(count) * len(labels) // count])


def split(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Set images aside so that every class keeps its share.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer labels, shape ``(n,)``.
    count : int
        Number of images to set aside, at most ``n``.

    Returns
    -------
    kept, chosen : numpy.ndarray
        Indices into `labels`, int64, ascending; together they are all indices.
    """
    chosen = stratified(labels, count)
    kept = np.setdiff1d(np.arange(len(labels)), chosen, assume_unique=True)
    return kept, chosen
