"""The ImageNet weights of the pretrained networks: where they are, and whether they are intact.

Three kinds of files are used, and they are verified to different degrees.

- The course's own file, `WEIGHTS_NAME`, is compared with a SHA-256 digest that is written here.
- The files of `keras.applications` have no published digest: Keras downloads these two unchecked.
  A download of this module is compared with the size and the MD5 that the server announces for it,
  and must be a readable HDF5 file. This detects a file that was cut or damaged on its way, not one
  that was replaced on the server.
- A file that Keras itself downloaded earlier is used as it is. Whether its layers are those of the
  network is checked when it is loaded, by `course_utils.transfer.backbone`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import requests
from filelock import FileLock

from course_utils import env, paths
from course_utils.data import download
from course_utils.data.spec import Download
from course_utils.errors import CacheError, DataError
from course_utils.runtime import keras_home, start_folder

# MobileNet up to its block 12, in the format of `keras.Model.save_weights`.
WEIGHTS_NAME = "mobilenet_1_0_224_tf_no_top.block12.h5"

WEIGHTS_SHA256 = "0567055c8c3a31bff67feeb0591e9c1360fbcbaf58023aae64b0374db4e20280"

# The address at which `keras.applications` finds its weights.
PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Pretrained:
    """A network of `keras.applications`, and where its ImageNet weights are published.

    Attributes
    ----------
    application : str
        Name of the network in `keras.applications`.
    url : str
        Address of the weights without the classifier.
    last : str
        Name of the last layer that is used.
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

# The layers to cut at, and the network of each.
CUTS = {f"conv_pw_{block}_relu": MOBILENET for block in range(1, 13)} | dict.fromkeys(
    ("block_12_add", "block_13_project_BN", "block_14_add", "block_15_add", "out_relu"),
    MOBILENET_V2,
)

LAST = MOBILENET.last


def find_weights(cut: str = LAST) -> Path:
    """Return the file with the ImageNet weights of a layer's network; download it if necessary.

    Parameters
    ----------
    cut : str
        The name of the layer, one of `CUTS`.

    Returns
    -------
    pathlib.Path
        An HDF5 file.

    Raises
    ------
    DataError
        For an unknown `cut`, if there are no weights and none can be downloaded, or if the local
        or the downloaded file is damaged.
    CacheError
        If the download cannot be stored.

    Examples
    --------
    >>> from course_utils import transfer
    >>> transfer.find_weights().suffix
    '.h5'
    """
    network = network_of(cut)
    return local_weights(network) or _download(network)


def local_weights(network: Pretrained) -> Path | None:
    """Return the file with a network's ImageNet weights on this machine; None if there is none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    if network is MOBILENET:
        for folder in _folders():
            path = folder / WEIGHTS_NAME
            if os.path.isfile(path):  # False, too, if a folder above may not be read
                if sha256(path) != WEIGHTS_SHA256:
                    raise DataError(f"{path} is damaged: its checksum is wrong; copy it again.")
                return path
    path = _in_keras_folder(network)
    return path if path.is_file() else None


def network_of(cut: str) -> Pretrained:
    """Return the network of a layer.

    Raises
    ------
    DataError
        For a layer that is not in `CUTS`.
    """
    if cut not in CUTS:
        raise DataError(f"There is no layer {cut!r} to cut at: choose one of {', '.join(CUTS)}.")
    return CUTS[cut]


def _folders() -> Iterator[Path]:
    """Yield the folders that may hold the weights."""
    if env.DATA.value:
        yield Path(env.DATA.value).expanduser() / "weights"
    here = start_folder()
    starts = list(dict.fromkeys([here, *here.parents, paths.CHECKOUT]))
    for rung in ("data/weights", "../shared/data/weights"):
        for start in starts:
            yield start / rung


def _in_keras_folder(network: Pretrained) -> Path:
    """Return the path at which Keras keeps the weights, so that Keras and the course share them."""
    return keras_home() / "models" / network.file_name


def how_to_get(network: Pretrained) -> str:
    """Return what to do where a network's weights are missing, as a sentence."""
    local = (
        f"put {WEIGHTS_NAME} into data/weights, name the folder above it in {env.DATA.name}, or "
        if network is MOBILENET
        else ""
    )
    return (
        f"{network.application}'s ImageNet weights are not available: {local}connect to the "
        "internet."
    )


def _download(network: Pretrained) -> Path:
    """Download the file that `keras.applications` uses."""
    path = _in_keras_folder(network)
    missing = how_to_get(network)
    if download.is_off():
        raise DataError(missing)
    try:
        file = _announced(network)
    except download.FAILURES as error:
        raise DataError(missing) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            # Another process may have downloaded it meanwhile.
            if not path.is_file() and not _fetch(file, path):
                raise DataError(
                    f"{network.application}'s ImageNet weights could not be downloaded: "
                    f"{network.url} was cut or damaged on its way; try again."
                )
    except OSError as error:
        raise CacheError(
            f"{network.application}'s ImageNet weights could not be stored in {path.parent} "
            f"({error.strerror or error}); free some space there, or set {env.KERAS_HOME.name} to "
            "another folder."
        ) from error
    return path


def _announced(network: Pretrained) -> Download:
    """Ask the server for the size and the MD5 of its file; Google's storage announces both.

    Raises
    ------
    requests.RequestException
        If the server does not answer within a few seconds, or does not have the file.
    ValueError
        If it does not announce a size.
    """
    response = requests.head(
        network.url, timeout=download.PROBE_SECONDS, headers={"Accept-Encoding": "identity"}
    )
    response.raise_for_status()
    size = int(response.headers.get("Content-Length", ""))
    md5 = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", response.headers.get("x-goog-hash", ""))
    digest = base64.b64decode(md5[1]).hex() if md5 else ""
    return Download(network.file_name, size, digest, (network.url,))


def _fetch(file: Download, path: Path) -> bool:
    """Download a file of weights, and tell whether it arrived intact; otherwise it is removed."""
    if not download.fetch_file(file, path.parent):
        return False
    try:
        h5py.File(path).close()  # HDF5 compares the file's size with the one that it holds
    except OSError:
        path.unlink()
        return False
    return True


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    status = path.stat()
    return _sha256_of(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _sha256_of(path: Path, size: int, changed: int) -> str:
    """Digest a file; the arguments are the cache's key, so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
