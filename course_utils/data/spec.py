"""An entry of the catalogue: what a data set looks like, its published files, its readers.

Each data set has a module that derives a class from `Spec` and makes the one instance of it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np


class Decoded(NamedTuple):
    """A whole data set as read from its files.

    Attributes
    ----------
    x_train, x_test : numpy.ndarray
        Images, uint8, shape ``(n, height, width, channels)``.
    y_train, y_test : numpy.ndarray
        Labels, int64, shape ``(n,)``.
    kind : str
        The format of the files, a key of `Spec.kinds`.
    detail : str
        A word about the files that figures print before the kind, such as ``"PNG"``; or empty.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class Download:
    """One published file.

    Attributes
    ----------
    name : str
        Its official file name.
    size : int
        Its size in bytes.
    md5 : str
        MD5 of the file as published, 32 hexadecimal digits; empty if none is known, so that only
        the size is compared.
    urls : tuple of str
        Addresses that serve the same bytes, the fastest first.
    """

    name: str
    size: int
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Spec(ABC):
    """One data set of the catalogue.

    Attributes
    ----------
    key : str
        The name that programs use, such as ``"cifar10"``.
    title : str
        The name that figures print.
    class_names : tuple of str
        Names of the classes, in the order of the labels.
    shape : tuple of int
        Height, width and channels of one image.
    train, test : int
        Sizes of the official training and test sets, in images.
    validation : int
        How many of the training images are set aside for validation.
    balanced : bool
        Whether every class has the same number of images.
    md5 : mapping of str to str
        MD5 of official files by their official name; for a ``.gz`` file, MD5 of its content,
        since several compressions of the same content circulate.
    downloads : tuple of Download
        The files to fetch if there is no local copy.
    kinds : mapping of str to str
        The formats that `decode` can read, and the words for them that figures print.
    sources : str
        The files that a user can give the path of, for the end of an error message.
    """

    key: str
    title: str
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    validation: int
    balanced: bool
    md5: Mapping[str, str] = field(default_factory=dict)
    downloads: tuple[Download, ...] = ()

    kinds: ClassVar[Mapping[str, str]]
    sources: ClassVar[str]

    @property
    def image_bytes(self) -> int:
        """Size of one image in memory, in bytes."""
        return math.prod(self.shape)

    @abstractmethod
    def recognise(self, path: Path) -> int | None:
        """Tell from names alone whether a file or folder looks like a copy of this data set.

        Returns
        -------
        int or None
            None if it does not; otherwise a rank, of which the lowest is the best copy.
        """

    @abstractmethod
    def is_member(self, name: str) -> bool:
        """Tell whether a file of a folder belongs to this data set.

        Parameters
        ----------
        name : str
            The file's name in the folder, with ``/`` between subfolders.
        """

    @abstractmethod
    def is_one_of_several(self, name: str) -> bool:
        """Tell from its name whether a file makes this data set only together with others."""

    @abstractmethod
    def decode(self, path: Path) -> Decoded:
        """Read all images and labels of a file or folder into memory.

        Whether they are complete is checked by `course_utils.data.formats.read`.

        Raises
        ------
        DataError
            If the files are damaged, incomplete, or something else.
        """
