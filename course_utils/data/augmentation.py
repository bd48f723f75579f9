"""Random changes to training images that leave their class as it is."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt


class Augmentation(BaseModel):
    """Which changes to draw, for each image anew in every epoch.

    Attributes
    ----------
    horizontal_flip : bool
        Mirror every second image, left to right.
    shift : int
        Move the image by up to so many pixels in each direction; the border is filled by
        reflection.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizontal_flip: bool = False
    shift: NonNegativeInt = 0


def augment(images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Return a changed copy of a whole batch of images.

    Parameters
    ----------
    images : numpy.ndarray
        Shape ``(n, height, width, channels)``, any dtype.
    augmentation : Augmentation
        What may change.
    rng : numpy.random.Generator
        Where the random numbers come from.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype as `images`.
    """
    if augmentation.horizontal_flip:
        images = random_flip(images, rng)
    if augmentation.shift:
        images = random_shift(images, augmentation.shift, rng)
    return images


def random_flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image left to right with probability one half."""
    mirrored = rng.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_shift(images: np.ndarray, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Move each image by up to `pixels` along both axes; reflection fills the border."""
    n, height, width, _ = images.shape
    margin = (pixels, pixels)
    padded = np.pad(images, ((0, 0), margin, margin, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    top, left = rng.integers(0, 2 * pixels + 1, size=(2, n))
    return np.ascontiguousarray(windows[np.arange(n), top, left].transpose(0, 2, 3, 1))
