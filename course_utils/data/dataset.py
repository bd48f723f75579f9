"""A loaded data set and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from course_utils.data.splits import split, stratified
from course_utils.errors import DataError

# Names of a data set's parts: an attribute is ``x_`` or ``y_`` and a part.
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Source:
    """Where a data set came from.

    Attributes
    ----------
    name : str
        The name that figures and records print, such as ``"CIFAR-10 (Python archive)"``.
    kind : str
        The format, such as ``"python"`` or ``"images"`` (a key of the data set's
        `course_utils.data.spec.Spec.kinds`), or ``"stand-in"``.
    location : str
        The file or folder; empty for the stand-in.
    fingerprint : str
        Sixteen hexadecimal digits that are the same wherever images and labels are the same.
    is_stand_in : bool
        Whether the images are drawn by this program instead of being real ones.
    """

    name: str
    kind: str
    location: str
    fingerprint: str
    is_stand_in: bool

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels in three parts.

    Attributes
    ----------
    x_train, x_val, x_test : numpy.ndarray
        Images, uint8 from 0 to 255, shape ``(n, height, width, channels)``. They are mapped
        from a file, so that only the pages in use take memory, and cannot be written to.
    y_train, y_val, y_test : numpy.ndarray
        Labels, int64, shape ``(n,)``: positions in `class_names`.
    class_names : tuple of str
        One name for each class.
    source : Source
        Where the images came from.

    Examples
    --------
    >>> from course_utils import load_cifar10
    >>> data = load_cifar10(limit=100)
    >>> x, y = data.part("test")
    >>> x.shape, y.shape
    ((20, 32, 32, 3), (20,))
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    source: Source

    def part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels of one part.

        Parameters
        ----------
        name : {"train", "val", "test"}
            The part.

        Returns
        -------
        x, y : numpy.ndarray
            Images, uint8, ``(n, height, width, channels)``; labels, int64, ``(n,)``.
        """
        return getattr(self, f"x_{name}"), getattr(self, f"y_{name}")

    def limited(self, limit: int) -> Dataset:
        """Return a smaller copy in which every class keeps its share.

        Parameters
        ----------
        limit : int
            The largest number of training images; validation and test keep a fifth as many at
            most.

        Raises
        ------
        DataError
            For a limit that leaves nothing to validate on.
        """
        if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 5:
            raise DataError(
                f"The limit {limit!r} is no number of images: give a whole number of 5 or more, "
                "or None for all images."
            )
        arrays: dict[str, np.ndarray] = {}
        for name in PARTS:
            x, y = self.part(name)
            chosen = stratified(y, min(len(y), limit if name == "train" else limit // 5))
            arrays |= {f"x_{name}": x[chosen], f"y_{name}": y[chosen]}
        return Dataset(**arrays, class_names=self.class_names, source=self.source)

    def with_validation_split(self, fraction: float) -> Dataset:
        """Return a copy with another division into training and validation images.

        Parameters
        ----------
        fraction : float
            The validation images' fraction, 0 to 1, of the training and validation images
            together. Every class keeps its share.
        """
        x = np.concatenate([self.x_train, self.x_val])
        y = np.concatenate([self.y_train, self.y_val])
        kept, chosen = split(y, int(fraction * len(y)))
        return replace(self, x_train=x[kept], y_train=y[kept], x_val=x[chosen], y_val=y[chosen])

    def __repr__(self) -> str:
        title = f"{self.source.name}, fingerprint {self.source.fingerprint}"
        rows = [f"{'part':<6} {'images':>7}  {'shape of one':<13} {'per class':>11}"]
        for name in PARTS:
            x, y = self.part(name)
            counts = np.bincount(y, minlength=len(self.class_names))
            low, high = counts.min(), counts.max()
            per_class = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            shape = " x ".join(map(str, x.shape[1:]))
            rows.append(f"{name:<6} {len(x):>7,}  {shape:<13} {per_class:>11}")
        classes = f"classes: {', '.join(self.class_names)}"
        place = [f"from {self.source.location}"] if self.source.location else []
        return "\n".join([title, *place, *rows, classes])
