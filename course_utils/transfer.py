"""Transfer learning: a network trained on ImageNet, its features, and its last blocks.

The name of the layer to cut at chooses the network, MobileNet or MobileNetV2 of
`keras.applications`. Weights are looked for in ``$COURSE_DATA/weights``, then in ``data/weights``
and ``../shared/data/weights`` of the current folder, its parents and the checkout, then in Keras'
cache; last they are downloaded from where `keras.applications` has them. The local file of
MobileNet stops before block 13, so ``conv_pw_12_relu`` is its last layer here.

Howard, A. G. and others (2017): MobileNets. https://arxiv.org/abs/1704.04861
Sandler, M. and others (2018): MobileNetV2. https://arxiv.org/abs/1801.04381
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from course_utils.runtime import cache_dir, keras_home, start_folder

WEIGHTS_NAME = "mobilenet_1_0_224_tf_no_top.block12.h5"
WEIGHTS_SHA256 = "0567055c8c3a31bff67feeb0591e9c1360fbcbaf58023aae64b0374db4e20280"
PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Pretrained:
    """A network of `keras.applications`, and where its ImageNet weights are published.

    Attributes
    ----------
    application : str
        Its name in `keras.applications`.
    url : str
        Of the weights, without the classifier.
    last : str
        The last layer that is used.
    """

    application: str
    url: str
    last: str

    @property
    def file_name(self) -> str:
        """The name under which Keras keeps the weights that it downloaded."""
        return self.url.rpartition("/")[2]


MOBILENET = Pretrained(
    application="MobileNet",
    url=f"{PUBLISHED}/mobilenet/mobilenet_1_0_224_tf_no_top.h5",
    last="conv_pw_12_relu",
)
MOBILENET_V2 = Pretrained(
    application="MobileNetV2",
    url=f"{PUBLISHED}/mobilenet_v2/"
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    last="out_relu",
)
CUTS = {f"conv_pw_{block}_relu": MOBILENET for block in range(1, 13)} | dict.fromkeys(
    ("block_12_add", "block_13_project_BN", "block_14_add", "block_15_add", "out_relu"),
    MOBILENET_V2,
)
"""The layers to cut at, and the network that each is in."""

LAST = MOBILENET.last
SIZE = 96
IMAGENET_RANGE = (-1.0, 1.0)

CONTENT = "Features of a pretrained network"

# Raise it when the same images give other features than before.
_CACHE_VERSION = "1"
_BATCH = 100
_PROBE_SECONDS = 3
_CHECKOUT = Path(__file__).resolve().parents[1]


def find_weights(cut: str = LAST) -> Path:
    """Return the file with the ImageNet weights of the network that a layer is in.

    Parameters
    ----------
    cut : str
        One of `CUTS`.

    Raises
    ------
    DataError
        For an unknown `cut`, where there are no weights and none can be downloaded, or where
        the local file is damaged.
    """
    network = _network_of(cut)
    if network is MOBILENET:
        for folder in _folders():
            path = folder / WEIGHTS_NAME
            if os.path.isfile(path):  # also False where a folder above may not be read
                if _sha256(path) != WEIGHTS_SHA256:
                    raise DataError(f"{path} is damaged: its checksum is wrong; copy it again.")
                return path
    return _published(network)


def backbone(
    cut: str = LAST,
    size: int = SIZE,
    *,
    pooled: bool = False,
    value_range: tuple[float, float] = IMAGENET_RANGE,
    image_shape: tuple[int, int, int] = (32, 32, 3),
) -> keras.Model:
    """Return a network up to a layer, frozen, with its ImageNet weights.

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
    low, high = value_range
    with _float32():
        network = _pretrained(cut, size)
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
    """Return a network's layers after a cut, with pooling and a head on top, ready to train.

    The convolutions start from their ImageNet weights.

    Parameters
    ----------
    cut : str
        The layer whose maps go in, one of `CUTS` but the last one of its network.
    size : int
        Of the images that the maps were computed from.
    head : keras.Model, optional
        Takes pooled features of the last layer: ``(n, 1024)``, or ``(n, 1280)`` of MobileNetV2.
        A copy of it, with its weights, becomes the head. Without it: one new dense layer with a
        softmax.
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
        For an unknown `cut`, one with nothing after it, a head that does not fit, or where
        `find_weights` finds none.
    """
    last = _network_of(cut).last
    if cut == last:
        raise DataError(f"There is no layer after {last}: choose an earlier cut.")
    with _float32():
        network = _pretrained(cut, size)
    original = keras.Model(network.get_layer(cut).output, network.output)
    after = keras.models.clone_model(original, clone_function=_in_this_precision)
    after.set_weights(original.get_weights())
    for layer in after.layers:
        if isinstance(layer, layers.BatchNormalization) and frozen_batchnorm:
            layer.trainable = False
    pooled = layers.GlobalAveragePooling2D(name="pooled")(after.output)
    if head is None:
        top = layers.Dense(classes, activation="softmax", dtype="float32", name="classes")
    else:
        wanted = pooled.shape[1]
        if head.input_shape != (None, wanted):
            raise DataError(
                f"The head takes inputs of shape {head.input_shape[1:]}; behind {last} it must "
                f"take {wanted:,} features."
            )
        top = keras.models.clone_model(head)
        top.set_weights(head.get_weights())
    return keras.Model(after.input, top(pooled))


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
    settings = (_CACHE_VERSION, _sha256(find_weights(cut)), cut, pooled, size, tuple(value_range))
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
                    name = _network_of(cut).application
                    print(f"{name} up to {cut}: {len(x):,} images in {seconds:.0f} s, cached.")
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


def _network_of(cut: str) -> Pretrained:
    if cut not in CUTS:
        raise DataError(f"There is no layer {cut!r} to cut at: choose one of {', '.join(CUTS)}.")
    return CUTS[cut]


def _folders() -> Iterator[Path]:
    """Yield the folders that may hold the weights."""
    if place := os.environ.get("COURSE_DATA"):
        yield Path(place).expanduser() / "weights"
    here = start_folder()
    starts = list(dict.fromkeys([here, *here.parents, _CHECKOUT]))
    for rung in ("data/weights", "../shared/data/weights"):
        for start in starts:
            yield start / rung


def _published(network: Pretrained) -> Path:
    """Return the file that `keras.applications` uses; download it if it is not there."""
    home = keras_home()
    path = home / "models" / network.file_name
    if path.is_file():
        return path
    local = (
        f"put {WEIGHTS_NAME} into data/weights, name the folder above it in COURSE_DATA, or "
        if network is MOBILENET
        else ""
    )
    missing = (
        f"{network.application}'s ImageNet weights are not to hand: {local}connect to the internet."
    )
    if download.is_off():
        raise DataError(missing)
    try:
        requests.head(network.url, timeout=_PROBE_SECONDS).raise_for_status()
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            keras.utils.get_file(path.name, network.url, cache_subdir="models", cache_dir=str(home))
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


def _pretrained(cut: str, size: int) -> keras.Model:
    """Return the network that a layer is in, up to its last layer that is used."""
    chosen = _network_of(cut)
    weights = find_weights(cut)
    build = getattr(keras.applications, chosen.application)
    whole = build(input_shape=(size, size, 3), include_top=False, weights=None)
    used = keras.Model(whole.input, whole.get_layer(chosen.last).output)
    try:
        if weights.name == WEIGHTS_NAME:
            used.load_weights(weights, by_name=True)
        else:
            whole.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{weights} does not hold the weights of {chosen.application}: remove it, so that it "
            "is downloaded anew."
        ) from error
    return used


def _in_this_precision(layer: keras.Layer) -> keras.Layer:
    """Copy a layer's settings; its copy computes in the precision of this run."""
    config = layer.get_config() | {"dtype": keras.config.dtype_policy()}
    return type(layer).from_config(config)


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
