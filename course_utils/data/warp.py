"""Turning, shifting, shearing and scaling whole batches of images at once."""

from __future__ import annotations

import numpy as np

from course_utils.errors import DataError

# Two of a pixel's four bytes, each with 16 bits to compute in, and one half for rounding.
_PAIR = np.uint32(0x00FF00FF)
_HALF = np.uint32(0x00800080)


def warp(images: np.ndarray, matrices: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Map every image by its own affine map, with bilinear interpolation.

    What comes from outside an image has the value of the nearest pixel at its border.

    Parameters
    ----------
    images : numpy.ndarray
        uint8, shape ``(n, height, width, channels)``, up to four channels.
    matrices, offsets : numpy.ndarray
        Shapes ``(n, 2, 2)`` and ``(n, 2)``: the new pixel at (row, column) has the value that
        the image has at ``matrix @ (row, column) + offset``, as in
        `scipy.ndimage.affine_transform`.

    Returns
    -------
    numpy.ndarray
        uint8, the shape of `images`; up to three grey levels off the exact interpolation, as
        positions and weights are rounded to 1/256.

    Raises
    ------
    DataError
        For images of another kind.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] > 4:
        raise DataError(
            "Only uint8 images (n, height, width, channels) of up to four channels can be turned, "
            f"zoomed or sheared; these are {images.dtype} of shape {images.shape}."
        )
    n, height, width, channels = images.shape
    row, down = _whole_and_part(matrices[:, 0], offsets[:, 0], height, width, height)
    column, right = _whole_and_part(matrices[:, 1], offsets[:, 1], height, width, width)
    first = np.arange(0, n * height * width, height * width, dtype=np.uint32)
    place = (first[:, None, None] + row * np.uint32(width) + column).astype(np.intp)
    # The weights of the four pixels around a position; together 256.
    both = (down * right + 128) >> 8
    weights = (256 - down - right + both, right - both, down - both, both)
    steps = (0, 1, width - 1, 1)
    return _weighted(_packed(images), place, steps, weights)[..., :channels]


def _whole_and_part(
    row_of_matrix: np.ndarray, offset: np.ndarray, height: int, width: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where to read each pixel along one axis, uint32 ``(n, height, width)``, in two parts.

    The last but one pixel at most, and how far on the next one is, in 1/256.
    """
    by_row = 256 * (row_of_matrix[:, :1] * np.arange(height) + offset[:, None])
    by_column = 256 * (row_of_matrix[:, 1:] * np.arange(width))
    fixed = (
        np.rint(by_row).astype(np.int32)[:, :, None] + np.rint(by_column).astype(np.int32)[:, None]
    )
    np.maximum(fixed, 0, out=fixed)
    np.minimum(fixed, 256 * (length - 1), out=fixed)
    fixed = fixed.view(np.uint32)
    whole = np.minimum(fixed >> 8, length - 2)
    return whole, fixed - (whole << 8)


def _packed(images: np.ndarray) -> np.ndarray:
    """Return every pixel as one uint32, shape ``(n * height * width,)``."""
    four = np.zeros((*images.shape[:3], 4), np.uint8)
    four[..., : images.shape[3]] = images
    return four.view(np.uint32).reshape(-1)


def _weighted(
    pixels: np.ndarray,
    place: np.ndarray,
    steps: tuple[int, ...],
    weights: tuple[np.ndarray, ...],
) -> np.ndarray:
    """Add up packed pixels, one `steps` after the other from `place` on; give bytes.

    Everything happens in place: fetching memory takes longer than computing.
    """
    even = np.full(place.shape, _HALF)
    odd = even.copy()
    pixel, pair = np.empty_like(even), np.empty_like(even)
    for step, weight in zip(steps, weights):
        place += step
        pixels.take(place, out=pixel, mode="clip")
        np.bitwise_and(pixel, _PAIR, out=pair)
        pair *= weight
        even += pair
        pixel >>= 8
        pixel &= _PAIR
        pixel *= weight
        odd += pixel
    even >>= 8
    even &= _PAIR
    odd &= ~_PAIR
    odd |= even
    return odd[..., None].view(np.uint8)
