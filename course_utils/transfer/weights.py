"""The ImageNet weights of the pretrained networks: where they are, and whether they are intact."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import requests
from filelock import FileLock

from course_utils import paths
from course_utils.data import download
from course_utils.errors import DataError
from course_utils.runtime import keras_home, start_folder

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

# The layers to cut at, and the network that each is in.
CUTS = {f"conv_pw_{block}_relu": MOBILENET for block in range(1, 13)} | dict.fromkeys(
    ("block_12_add", "block_13_project_BN", "block_14_add", "block_15_add", "out_relu"),
    MOBILENET_V2,
)

LAST = MOBILENET.last

_PROBE_SECONDS = 3


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
    network = network_of(cut)
    if network is MOBILENET:
        for folder in _folders():
            path = folder / WEIGHTS_NAME
            if os.path.isfile(path):  # also False where a folder above may not be read
                if sha256(path) != WEIGHTS_SHA256:
                    raise DataError(f"{path} is damaged: its checksum is wrong; copy it again.")
                return path
    return _published(network)


def network_of(cut: str) -> Pretrained:
    if cut not in CUTS:
        raise DataError(f"There is no layer {cut!r} to cut at: choose one of {', '.join(CUTS)}.")
    return CUTS[cut]


def _folders() -> Iterator[Path]:
    """Yield the folders that may hold the weights."""
    if place := os.environ.get("COURSE_DATA"):
        yield Path(place).expanduser() / "weights"
    here = start_folder()
    starts = list(dict.fromkeys([here, *here.parents, paths.CHECKOUT]))
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


def sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256_of(path: Path, size: int, changed: int) -> str:
    """Read a file once for each size and time that it has."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
