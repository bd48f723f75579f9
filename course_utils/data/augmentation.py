"""Random changes to training images that leave their class as it is."""

from __future__ import annotations

import numpy as np

from course_utils.data.warp import warp
from course_utils.recipes import Augmentation


def augment(images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Return a changed copy of a whole batch of images.

    Parameters
    ----------
    images : numpy.ndarray
        Images, shape ``(n, height, width, channels)``; uint8 if `augmentation` is affine,
        otherwise any dtype.
    augmentation : Augmentation
        The kinds and the limits of the changes.
    rng : numpy.random.Generator
        The source of the random numbers.

    Returns
    -------
    numpy.ndarray
        The new images, in the shape and dtype of `images`.

    Raises
    ------
    DataError
        For images that an affine map cannot be applied to.

    Examples
    --------
    >>> import numpy as np
    >>> from course_utils import Augmentation, augment
    >>> images = np.zeros((2, 32, 32, 3), dtype="uint8")
    >>> augmentation = Augmentation(horizontal_flip=True, shift=2)
    >>> augment(images, augmentation, np.random.default_rng(0)).shape
    (2, 32, 32, 3)
    """
    if augmentation.horizontal_flip and not augmentation.is_affine:
        images = random_flip(images, rng)
    if augmentation.shift:
        images = random_shift(images, augmentation.shift, rng)
    if augmentation.is_affine:
        images = random_affine(images, augmentation, rng)
    return images


def random_flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image left to right with probability one half."""
    mirrored = rng.random(len(images)) < 0.5
    changed = images.copy()
    changed[mirrored] = images[mirrored][:, :, ::-1]
    return changed


def random_shift(images: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Move each image by up to `pixels` along both axes, and fill the border by reflection."""
    n, height, width, _ = images.shape
    margin = (pixels, pixels)
    padded = np.pad(images, ((0, 0), margin, margin, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    top, left = rng.integers(0, 2 * pixels + 1, size=(2, n))
    return np.ascontiguousarray(windows[np.arange(n), top, left].transpose(0, 2, 3, 1))


def random_affine(
    images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> np.ndarray:
    """Rotate, move, shear, scale and mirror each image about its centre, by random amounts.

    Parameters are those of `augment`; images are uint8.
    """
    n, height, width, _ = images.shape

    def drawn(limit: float, count: int = 1) -> np.ndarray:
        return rng.uniform(-limit, limit, (n, count))

    angle = np.deg2rad(drawn(augmentation.rotation))
    shear = np.deg2rad(drawn(augmentation.shear))
    scale = 1 + drawn(augmentation.zoom, 2)
    if augmentation.horizontal_flip:
        scale[rng.random(n) < 0.5, 1] *= -1
    moved = np.hstack(
        [drawn(augmentation.height_shift) * height, drawn(augmentation.width_shift) * width]
    )
    turning = _matrices(np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle))
    shearing = _matrices(np.cos(shear), np.zeros_like(shear), -np.sin(shear), np.ones_like(shear))
    matrices = turning @ shearing * scale[:, None, :]
    centre = np.array([height - 1, width - 1]) / 2
    offsets = centre + (turning @ moved[..., None])[..., 0] - matrices @ centre
    return warp(images, matrices, offsets)


def _matrices(*entries: np.ndarray) -> np.ndarray:
    """Return 2x2 matrices from columns of their entries, row by row."""
    return np.hstack(entries).reshape(-1, 2, 2)
