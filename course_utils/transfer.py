"""Transfer learning: MobileNet's ImageNet weights, its features, and its last block.

The weights are looked for in ``$COURSE_DATA/weights``, then in ``data/weights`` and
``../shared/data/weights`` of the current folder, its parents and the checkout, then in Keras'
cache; last they are downloaded from where `keras.applications` has them. The local file stops
before block 13, so ``conv_pw_12_relu`` is the last layer that there is.

Howard, A. G. and others (2017): MobileNets. https://arxiv.org/abs/1704.04861
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import requests
from filelock import FileLock
from keras import layers

from course_utils.data import Dataset, download
from course_utils.data.dataset import PARTS
from course_utils.errors import DataError
from course_utils.files import locked, storing
from course_utils.runtime import cache_dir

WEIGHTS_NAME = "mobilenet_1_0_224_tf_no_top.block12.h5"
WEIGHTS_SHA256 = "0567055c8c3a31bff67feeb0591e9c1360fbcbaf58023aae64b0374db4e20280"
PUBLISHED_NAME = "mobilenet_1_0_224_tf_no_top.h5"
PUBLISHED_URL = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/{PUBLISHED_NAME}"
)

LAST = "conv_pw_12_relu"
CUTS = tuple(f"conv_pw_{block}_relu" for block in range(1, 13))
SIZE = 96
IMAGENET_RANGE = (-1.0, 1.0)

CONTENT = "MobileNet's features"

# Raise it when the same images give other features than before.
_CACHE_VERSION = "1"
_BATCH = 100
_PROBE_SECONDS = 3
_CHECKOUT = Path(__file__).resolve().parents[1]


def find_weights() -> Path:
    """Return the file with MobileNet's ImageNet weights.

    Raises
    ------
    DataError
        Where there is none and none can be downloaded, or the local one is damaged.
    """
    for folder in _folders():
        path = folder / WEIGHTS_NAME
        if os.path.isfile(path):  # also False where a folder above may not be read
            if _sha256(path) != WEIGHTS_SHA256:
                raise DataError(f"{path} is damaged: its checksum is wrong; copy it again.")
            return path
    return _published()


def backbone(
    cut: str = LAST,
    size: int = SIZE,
    *,
    pooled: bool = False,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    image_shape: tuple[int, int, int] = (32, 32, 3),
) -> keras.Model:
    """Return MobileNet up to a layer, frozen, with its ImageNet weights.

    Enlarging the images and scaling their values are layers of the model.

    Parameters
    ----------
    cut : str
        The last layer, one of `CUTS`.
    size : int
        Height and width, in pixels, to which the images are enlarged (bilinear).
    pooled : bool
        Average the maps over their positions.
    value_range : tuple of float
        What the values 0 and 255 of a pixel become. The weights were trained with -1 and 1.
    image_shape : tuple of int
        Of one image.

    Returns
    -------
    keras.Model
        Takes ``uint8`` images ``(n, *image_shape)``; returns float32 maps ``(n, h, w, c)``, or
        ``(n, c)`` where they are pooled.

    Raises
    ------
    DataError
        For an unknown `cut`, or where `find_weights` finds none.
    """
    _check_cut(cut)
    low, high = value_range
    with _float32():
        network = _mobilenet(size)
        images = keras.Input(image_shape, dtype="uint8", name="images")
        x = layers.Rescaling((high - low) / 255, offset=low, name="scaled")(images)
        x = layers.Resizing(size, size, interpolation="bilinear", name="enlarged")(x)
        maps = keras.Model(network.input, network.get_layer(cut).output)(x)
        if pooled:
            maps = layers.GlobalAveragePooling2D(name="pooled")(maps)
        model = keras.Model(images, maps, name=f"frozen_up_to_{cut}")
    model.trainable = False
    return model


def tail(
    cut: str = "conv_pw_11_relu",
    size: int = SIZE,
    *,
    head: keras.Model | None = None,
    frozen_batchnorm: bool = True,
    classes: int = 10,
) -> keras.Model:
    """Return MobileNet's layers after a cut, with pooling and a head on top, ready to train.

    The convolutions start from their ImageNet weights.

    Parameters
    ----------
    cut : str
        The layer whose maps go in, one of `CUTS` but the last one.
    size : int
        Of the images that the maps were computed from.
    head : keras.Model, optional
        Takes pooled features of the last layer, ``(n, 1024)``. A copy of it, with its weights,
        becomes the head. Without it: one new dense layer with a softmax.
    frozen_batchnorm : bool
        Keep the BatchNorm layers in inference mode, with the averages of ImageNet, and do not
        train their weights.
    classes : int
        Of the new head.

    Returns
    -------
    keras.Model
        Takes maps ``(n, h, w, c)`` of the cut; returns probabilities.

    Raises
    ------
    DataError
        For an unknown `cut`, one with nothing after it, or where `find_weights` finds none.
    """
    _check_cut(cut)
    if cut == LAST:
        raise DataError(f"There is no layer after {LAST}: choose an earlier cut.")
    with _float32():
        network = _mobilenet(size)
    names = [layer.name for layer in network.layers]
    originals = network.layers[names.index(cut) + 1 : names.index(LAST) + 1]
    model = keras.Sequential([keras.Input(network.get_layer(cut).output.shape[1:], name="maps")])
    for original in originals:
        # Without its dtype, the copy gets the one of this run.
        config = original.get_config() | {"dtype": keras.config.dtype_policy()}
        model.add(type(original).from_config(config))
        model.layers[-1].set_weights(original.get_weights())
        if isinstance(original, layers.BatchNormalization) and frozen_batchnorm:
            model.layers[-1].trainable = False
    model.add(layers.GlobalAveragePooling2D(name="pooled"))
    if head is None:
        model.add(layers.Dense(classes, activation="softmax", dtype="float32", name="classes"))
    else:
        copy = keras.models.clone_model(head)
        copy.set_weights(head.get_weights())
        model.add(copy)
    return model


def features(
    x: np.ndarray,
    cut: str = "conv_pw_11_relu",
    pooled: bool = False,
    *,
    size: int = SIZE,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    verbose: bool = True,
) -> np.ndarray:
    """Run the frozen network once over images, and keep what it returns in the cache folder.

    Of several processes that ask for the same at once, one computes it while the others wait.

    Parameters
    ----------
    x : numpy.ndarray
        Images, uint8, shape ``(n, height, width, 3)``.
    cut, pooled, size, value_range
        As for `backbone`.
    verbose : bool
        Print one line where the features are computed.

    Returns
    -------
    numpy.ndarray
        float16, shape ``(n, h, w, c)`` or ``(n, c)``, mapped from the file, read-only.

    Raises
    ------
    DataError
        For images of another kind, and as `backbone` does.
    CacheError
        If the cache folder cannot be written or is full.
    """
    x = np.ascontiguousarray(x)
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or not len(x):
        raise DataError(
            f"Features are computed from uint8 images (n, height, width, 3); these are {x.dtype} "
            f"of shape {x.shape}."
        )
    _check_cut(cut)
    settings = (_CACHE_VERSION, _sha256(find_weights()), cut, pooled, size, tuple(value_range))
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
                    print(f"MobileNet up to {cut}: {len(x):,} images in {seconds:.0f} s, cached.")
                found = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def feature_data(
    data: Dataset, cut: str = "conv_pw_11_relu", pooled: bool = False, **settings
) -> Dataset:
    """Return a copy of a data set with features in the place of its images.

    Parameters
    ----------
    data : Dataset
    cut, pooled, **settings
        As for `features`.

    Returns
    -------
    Dataset
        Its labels, classes and source are those of `data`.

    Raises
    ------
    DataError
        As `features` does.
    """
    arrays = {f"x_{name}": features(data.part(name)[0], cut, pooled, **settings) for name in PARTS}
    return replace(data, **arrays)


def _check_cut(cut: str) -> None:
    if cut not in CUTS:
        raise DataError(f"There is no layer {cut!r} to cut at: choose {CUTS[0]} to {CUTS[-1]}.")


def _folders() -> Iterator[Path]:
    """Yield the folders that may hold the weights."""
    if place := os.environ.get("COURSE_DATA"):
        yield Path(place).expanduser() / "weights"
    here = Path.cwd().resolve()
    starts = list(dict.fromkeys([here, *here.parents, _CHECKOUT]))
    for rung in ("data/weights", "../shared/data/weights"):
        for start in starts:
            yield start / rung


def _published() -> Path:
    """Return the file that `keras.applications` uses; download it if it is not there."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = home / "models" / PUBLISHED_NAME
    if path.is_file():
        return path
    missing = (
        f"MobileNet's ImageNet weights are not to hand: put {WEIGHTS_NAME} into data/weights, "
        "name the folder above it in COURSE_DATA, or connect to the internet."
    )
    if download.is_off():
        raise DataError(missing)
    try:
        requests.head(PUBLISHED_URL, timeout=_PROBE_SECONDS).raise_for_status()
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            keras.utils.get_file(PUBLISHED_NAME, PUBLISHED_URL, cache_subdir="models",
                                 cache_dir=str(home))  # fmt: skip
    except Exception as error:  # Keras raises a plain Exception for what the server did
        raise DataError(missing) from error
    return path


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256_of(path: Path, size: int, changed: int) -> str:
    """Read a file once for each size and time that it has."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    """Build layers in float32: features are the same on every machine, but for rounding."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _mobilenet(size: int) -> keras.Model:
    """Return MobileNet up to its last layer that has weights in the file."""
    weights = find_weights()
    whole = keras.applications.MobileNet(
        input_shape=(size, size, 3), include_top=False, weights=None
    )
    network = keras.Model(whole.input, whole.get_layer(LAST).output)
    network.load_weights(weights, by_name=True)
    return network


def _key(settings: tuple, x: np.ndarray) -> str:
    digest = hashlib.sha256(repr((settings, x.shape)).encode())
    digest.update(x.reshape(-1))
    return digest.hexdigest()[:24]


def _read(path: Path) -> np.ndarray | None:
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
                    file.write(np.ascontiguousarray(batch, dtype="<f2"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
