"""MNIST: the catalogue's entry, and the readers of its two formats.

LeCun, Y., Cortes, C. and Burges, C. J. C.: The MNIST database of handwritten digits, where the
IDX format is described. http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from course_utils.data.archives import DAMAGE, content
from course_utils.data.formats import check_md5
from course_utils.data.spec import Decoded, Download, Spec
from course_utils.errors import DataError

_IDX = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


@dataclass(frozen=True)
class Mnist(Spec):
    """MNIST as four IDX files (``.gz`` or not), or as Keras' ``mnist.npz``."""

    kinds: ClassVar[Mapping[str, str]] = {"idx": "IDX", "npz": "Keras cache"}
    sources: ClassVar[str] = "its official archive or folder"

    def recognise(self, path: Path) -> int | None:
        if path.is_dir():
            return 0 if any(_IDX.fullmatch(name) for name in os.listdir(path)) else None
        return 1 if path.name == "mnist.npz" and path.is_file() else None

    def is_member(self, name: str) -> bool:
        return bool(_IDX.fullmatch(name))

    def is_one_of_several(self, name: str) -> bool:
        return bool(_IDX.fullmatch(name))

    def decode(self, path: Path) -> Decoded:
        if path.suffix == ".npz":
            return _read_npz(path)
        if not path.is_dir():
            raise DataError(
                f"{path} is no copy of MNIST; give the folder of its four IDX files, or mnist.npz."
            )
        return _read_folder(path, self)


def _published(name: str, size: int, md5: str) -> Download:
    servers = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return Download(name, size, md5, tuple(server + name for server in servers))


MNIST = Mnist(
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
        _published("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        _published("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
        _published("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
        _published("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)


def _read_folder(path: Path, spec: Spec) -> Decoded:
    """Read the four IDX files of a folder."""
    files = {}
    for name in sorted(os.listdir(path)):
        if match := _IDX.fullmatch(name):
            files[match[1], match[2]] = path / name
    arrays = []
    for part in ("train", "t10k"):
        for content_kind, dimensions in (("images", 3), ("labels", 1)):
            file = files.get((part, content_kind))
            if file is None:
                raise DataError(
                    f"{path} lacks {part}-{content_kind}-idx{dimensions}-ubyte.gz; put all four "
                    "files of MNIST there."
                )
            arrays.append(_read_idx(file, dimensions, spec))
    return _decoded(arrays, "idx")


def _read_idx(path: Path, dimensions: int, spec: Spec) -> np.ndarray:
    """Read an IDX file: two zero bytes, type 8 (uint8), number of dimensions, sizes, values."""
    data = content(path, spec.train * spec.image_bytes + 16)
    start = 4 + 4 * dimensions
    sizes = np.frombuffer(data[4:start], dtype=">i4") if len(data) >= start else np.array([-1])
    if data[:4] != bytes([0, 0, 8, dimensions]) or (sizes < 0).any():
        raise DataError(
            f"{path} is no IDX file of {dimensions} dimensions; get it again from its publisher."
        )
    if len(data) - start != np.prod(sizes, dtype=np.int64):
        raise DataError(
            f"{path} announces {np.prod(sizes, dtype=np.int64):,} values and holds "
            f"{len(data) - start:,}; delete it and get it again."
        )
    official = path.name.removesuffix(".gz").replace(".idx", "-idx")
    check_md5(path, hashlib.md5(data).hexdigest(), spec.md5.get(official))
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(sizes)


def _read_npz(path: Path) -> Decoded:
    """Read the archive of NumPy arrays that Keras downloads."""
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in names]
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path.") from None
    except KeyError as error:
        raise DataError(
            f"{path}: {error.args[0]}; Keras' mnist.npz holds {', '.join(names)}: get it again."
        ) from None
    except (ValueError, *DAMAGE) as error:
        raise DataError(
            f"{path} is no readable mnist.npz ({error}); delete it and get it again."
        ) from None
    for name, array in zip(names, arrays, strict=True):
        dimensions = 3 if name.startswith("x") else 1
        if array.ndim != dimensions or array.dtype != np.uint8:
            raise DataError(
                f"{path}: {name} is {array.dtype} with {array.ndim} dimensions where uint8 with "
                f"{dimensions} is needed; get the file again."
            )
    return _decoded(arrays, "npz")


def _decoded(arrays: list[np.ndarray], kind: str) -> Decoded:
    """Return images with a channel axis, and labels as int64."""
    x_train, y_train, x_test, y_test = arrays
    return Decoded(
        x_train[..., np.newaxis],
        y_train.astype(np.int64),
        x_test[..., np.newaxis],
        y_test.astype(np.int64),
        kind,
    )
