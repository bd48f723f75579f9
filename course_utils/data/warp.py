"""Rotating, shifting, shearing and scaling whole batches of images at once."""

from __future__ import annotations

import sys
import threading

import numpy as np

from course_utils.errors import DataError

# Rounding term: one half, in units of 1/256, for each of the four channels of a uint64.
_HALF = np.uint64(0x0080_0080_0080_0080)


class _Scratch(threading.local):
    """Arrays that a thread uses again for each batch: fresh memory takes longer than arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Return an array with arbitrary content; the same one for the same name and shape."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape:
            array = self._arrays[name] = np.zeros(shape, dtype)
        return array


_scratch = _Scratch()


def warp(images: np.ndarray, matrices: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Map every image by its own affine map, with bilinear interpolation.

    Positions outside an image have the value of the nearest pixel at its border.

    Parameters
    ----------
    images : numpy.ndarray
        Images, uint8, shape ``(n, height, width, channels)``, with up to four channels.
    matrices, offsets : numpy.ndarray
        Floating point, shapes ``(n, 2, 2)`` and ``(n, 2)``: the new pixel at (row, column) has
        the value that the image has at ``matrix @ (row, column) + offset``, as in
        `scipy.ndimage.affine_transform`.

    Returns
    -------
    numpy.ndarray
        The new images, uint8, in the shape of `images`. They differ from the exact interpolation
        by up to three grey levels, as positions and weights are rounded to 1/256.

    Raises
    ------
    DataError
        For images of another dtype or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] > 4:
        raise DataError(
            "Only uint8 images (n, height, width, channels) of up to four channels can be turned, "
            f"zoomed or sheared; these are {images.dtype} of shape {images.shape}."
        )
    n, height, width, channels = images.shape
    shape = (n, height, width)
    row, down = _whole_and_fraction("row", matrices[:, 0], offsets[:, 0], shape, height)
    column, right = _whole_and_fraction("column", matrices[:, 1], offsets[:, 1], shape, width)
    place = _scratch.array("place", row.shape, np.intp)
    row *= width
    row += column
    np.add(row, height * width * np.arange(n, dtype=np.uint32)[:, None, None], out=place)
    # Weights of the four pixels around a position, which add up to 256.
    both, neither = row, column
    np.multiply(down, right, out=both)
    both += 128
    both >>= 8
    down -= both
    right -= both
    np.subtract(256, both, out=neither)
    neither -= down
    neither -= right
    warped = np.empty_like(images)
    weights = [(0, neither), (1, right), (width, down), (width + 1, both)]
    changed = _weighted(_packed(images), place, weights)
    for channel in range(channels):
        warped[..., channel] = changed[..., channel]
    return warped


def _whole_and_fraction(
    name: str, row_of_matrix: np.ndarray, offset: np.ndarray, shape: tuple[int, ...], length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where to read each pixel along one axis.

    Parameters
    ----------
    name : str
        Name of the axis, for the scratch arrays.
    row_of_matrix, offset : numpy.ndarray
        The axis' row of the matrices, ``(n, 2)``, and of the offsets, ``(n,)``.
    shape : tuple of int
        ``(n, height, width)``.
    length : int
        Pixels along the axis.

    Returns
    -------
    whole, fraction : numpy.ndarray
        The pixel, and the distance from it towards the next one in 1/256, uint32, in `shape`.
    """
    _, height, width = shape
    by_row = 256 * (row_of_matrix[:, :1] * np.arange(height) + offset[:, None])
    by_column = 256 * (row_of_matrix[:, 1:] * np.arange(width))
    fixed = _scratch.array(name + " fixed", shape, np.int32)
    np.add(
        np.rint(by_row).astype(np.int32)[:, :, None],
        np.rint(by_column).astype(np.int32)[:, None],
        out=fixed,
    )
    fraction = np.clip(fixed, 0, 256 * (length - 1), out=fixed).view(np.uint32)
    whole = np.right_shift(fraction, 8, out=_scratch.array(name, shape, np.uint32))
    fraction &= 255
    return whole, fraction


def _packed(images: np.ndarray) -> np.ndarray:
    """Return every pixel as one uint64, shape ``(n * height * width,)``: 16 bits per channel."""
    four = _scratch.array("packed", (*images.shape[:3], 4), np.uint16)
    for channel in range(images.shape[3]):  # many times faster than all channels at once
        four[..., channel] = images[..., channel]
    return four.view(np.uint64).reshape(-1)


def _weighted(
    pixels: np.ndarray, place: np.ndarray, weights: list[tuple[int, np.ndarray]]
) -> np.ndarray:
    """Return weighted sums of packed pixels, uint8, with four channels.

    Each of `weights` is a number of pixels after `place`, and the weights of the pixels there.
    Weights add up to 256, so a channel's sum stays within its 16 bits, and the higher byte of
    them is the result. A pixel past the last one has the weight 0.
    """
    total = _scratch.array("total", place.shape, np.uint64)
    pixel = _scratch.array("pixel", place.shape, np.uint64)
    total.fill(_HALF)
    before = 0
    for step, weight in weights:
        place += step - before
        before = step
        pixels.take(place, out=pixel, mode="clip")
        pixel *= weight
        total += pixel
    higher_byte = 1 if sys.byteorder == "little" else 0
    return total[..., None].view(np.uint8)[..., higher_byte::2]
