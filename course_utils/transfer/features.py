"""The outputs of a frozen backbone, computed once and cached."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from course_utils.data import Dataset
from course_utils.errors import DataError
from course_utils.files import locked, storing
from course_utils.runtime import cache_dir
from course_utils.transfer.backbone import IMAGENET_RANGE, SIZE, backbone
from course_utils.transfer.weights import find_weights, network_of, sha256

CONTENT = "Features of a pretrained network"

# Version of the features; raise it when the same images give other ones than before.
_CACHE_VERSION = "1"

# Images that the network is applied to at a time.
_BATCH = 100


def features(
    x: np.ndarray,
    cut: str = "conv_pw_11_relu",
    pooled: bool = False,
    *,
    size: int = SIZE,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    verbose: bool = True,
) -> np.ndarray:
    """Apply the frozen network to images once, and keep its output in the cache folder.

    If several processes ask for the same features at once, one computes them while the others
    wait.

    Parameters
    ----------
    x : numpy.ndarray
        Images, uint8, shape ``(n, height, width, 3)``, at least one.
    cut, pooled, size, value_range
        Settings of the network, as for `backbone`.
    verbose : bool
        Whether to print one line if the features have to be computed.

    Returns
    -------
    numpy.ndarray
        Features, float16, shape ``(n, h, w, c)``, or ``(n, c)`` if they are pooled; mapped from
        the file, read-only.

    Raises
    ------
    DataError
        For images of another dtype or shape, and in the cases of `backbone`.
    CacheError
        If the cache folder cannot be written or is full.

    Examples
    --------
    >>> from course_utils import load_cifar10, transfer
    >>> data = load_cifar10(limit=50)
    >>> transfer.features(data.x_test, pooled=True, verbose=False).shape
    (10, 512)
    """
    x = np.ascontiguousarray(x)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or not len(x):
        raise DataError(
            f"Features are computed from uint8 images (n, height, width, 3); these are {x.dtype} "
            f"of shape {x.shape}."
        )
    settings = (_CACHE_VERSION, sha256(find_weights(cut)), cut, pooled, size, tuple(value_range))
    path = cache_dir() / "features" / f"mobilenet-{_key(settings, x)}.npy"
    found = _read(path)
    if found is None:
        with locked(path, CONTENT):
            found = _read(path)  # another process may have made it meanwhile
            if found is None:
                start = time.perf_counter()
                model = backbone(
                    cut, size, pooled=pooled, value_range=value_range, image_shape=x.shape[1:]
                )
                _write(path, model, x)
                if verbose:
                    seconds = time.perf_counter() - start
                    name = network_of(cut).application
                    print(f"{name} up to {cut}: {len(x):,} images in {seconds:.0f} s, cached.")
                found = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def feature_data(
    data: Dataset,
    cut: str = "conv_pw_11_relu",
    pooled: bool = False,
    *,
    size: int = SIZE,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    verbose: bool = True,
) -> Dataset:
    """Return a copy of a data set with features in place of its images.

    Parameters
    ----------
    data : Dataset
        The data set, with colour images.
    cut, pooled, size, value_range, verbose
        Settings, as for `features`.

    Returns
    -------
    Dataset
        The features, float16, with the labels, classes and source of `data`.

    Raises
    ------
    DataError
        In the cases of `features`.
    CacheError
        If the cache folder cannot be written or is full.

    Examples
    --------
    >>> from course_utils import load_cifar10, transfer
    >>> data = load_cifar10(limit=50)
    >>> pooled = transfer.feature_data(data, pooled=True, verbose=False)
    >>> pooled.x_train.shape, pooled.x_test.shape
    ((50, 512), (10, 512))
    """

    def made(x: np.ndarray) -> np.ndarray:
        return features(x, cut, pooled, size=size, value_range=value_range, verbose=verbose)

    return replace(
        data, x_train=made(data.x_train), x_val=made(data.x_val), x_test=made(data.x_test)
    )


def _key(settings: tuple[object, ...], x: np.ndarray) -> str:
    """Return a key of features: their settings, and shape and content of the images."""
    digest = hashlib.sha256(repr((settings, x.shape)).encode())
    digest.update(x.reshape(-1).data)
    return digest.hexdigest()[:24]


def _read(path: Path) -> np.ndarray | None:
    """Return the features of a file, or None if it is missing or damaged."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None


def _write(path: Path, model: keras.Model, x: np.ndarray) -> None:
    """Write the features, batch by batch, under a temporary name, then rename the file."""
    part = path.with_name(f".{path.name}.part")
    shape = (len(x), *model.output_shape[1:])
    with storing(CONTENT, path.parent):
        try:
            with part.open("wb") as file:
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for start in range(0, len(x), _BATCH):
                    batch = model.predict_on_batch(x[start : start + _BATCH])
                    file.write(np.ascontiguousarray(batch, dtype="<f2").data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
