"""Small data sets, written in every format that the loaders read."""

import contextlib
import functools
import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from course_utils import paths
from course_utils.data import ladder, stand_in
from course_utils.data.catalogue import SPECS

BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")


@dataclass
class Arrays:
    """What a reader must give back."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def cifar10_arrays() -> Arrays:
    """500 training and 100 test images of noise, the classes in no order."""
    rng = np.random.default_rng(1)
    return Arrays(
        rng.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8),
        rng.permutation(np.arange(500) % 10),
        rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8),
        rng.permutation(np.arange(100) % 10),
    )


def mnist_arrays() -> Arrays:
    """600 training and 100 test images, the classes of different sizes as in MNIST."""
    rng = np.random.default_rng(2)
    return Arrays(
        rng.integers(0, 256, (600, 28, 28, 1), dtype=np.uint8),
        rng.permutation(np.minimum(np.arange(600) % 11, 9)),
        rng.integers(0, 256, (100, 28, 28, 1), dtype=np.uint8),
        rng.permutation(np.minimum(np.arange(100) % 11, 9)),
    )


# --- A place without data ---------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty folder to be in, with caches of its own, no network and small data sets."""
    home, here = tmp_path / "home", tmp_path / "checkout"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(paths, "CHECKOUT", here)
    monkeypatch.setattr(ladder, "_announced", set())
    for name, count in (("TRAIN", 500), ("VALIDATION", 50), ("TEST", 100)):
        monkeypatch.setattr(stand_in, name, count)
    small = {"train": 500, "test": 100, "validation": 50, "md5": {}}
    monkeypatch.setitem(SPECS, "cifar10", replace(SPECS["cifar10"], **small))
    small = {"train": 600, "test": 100, "validation": 60, "md5": {}}
    monkeypatch.setitem(SPECS, "mnist", replace(SPECS["mnist"], **small))
    return tmp_path


# --- The official CIFAR-10 formats ------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes bytes and text as Python 2 wrote its one string type, which the originals hold."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        length = bytes([len(data)]) if len(data) < 256 else struct.pack("<i", len(data))
        self.write((b"U" if len(data) < 256 else b"T") + length + data)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string


def pickled(value, *, python2=True) -> bytes:
    """Pickle by protocol 2, with NumPy's names as they were then."""
    out = io.BytesIO()
    (Python2Pickler if python2 else pickle._Pickler)(out, protocol=2).dump(value)
    return out.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def planes(images: np.ndarray) -> np.ndarray:
    """Return rows of all red, then all green, then all blue values."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def batches(arrays: Arrays):
    """Yield name, images and labels of each batch."""
    x, y = np.split(arrays.x_train, 5), np.split(arrays.y_train, 5)
    yield from zip(BATCHES, x, y, strict=True)
    yield "test_batch", arrays.x_test, arrays.y_test


def python_files(arrays: Arrays, *, python2=True) -> dict[str, bytes]:
    files = {}
    for name, x, y in batches(arrays):
        batch = {
            "batch_label": name,
            "labels": y.tolist(),
            "data": planes(x),
            "filenames": [f"{i}.png" for i in range(len(y))],
        }
        files[f"cifar-10-batches-py/{name}"] = pickled(batch, python2=python2)
    files["cifar-10-batches-py/batches.meta"] = pickled({"label_names": []})
    files["cifar-10-batches-py/readme.html"] = b"<html></html>"
    return files


def binary_files(arrays: Arrays) -> dict[str, bytes]:
    return {
        f"cifar-10-batches-bin/{name}.bin": np.column_stack(
            [y.astype(np.uint8), planes(x)]
        ).tobytes()
        for name, x, y in batches(arrays)
    }


# --- Image folders ----------------------------------------------------------------------------


def encoded(image: np.ndarray, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind)
    return out.getvalue()


def image_files(arrays: Arrays, kind: str = "png", top: str = "") -> dict[str, bytes]:
    files, names = {}, SPECS["cifar10"].class_names
    for part, x, y in (
        ("train", arrays.x_train, arrays.y_train),
        ("test", arrays.x_test, arrays.y_test),
    ):
        for i, (image, label) in enumerate(zip(x, y, strict=True)):
            suffix = "jpg" if kind == "jpeg" else kind
            files[f"{top}{part}/{names[label]}/{i:04}.{suffix}"] = encoded(image, kind)
    return files


@functools.cache
def _noise_images() -> dict[str, bytes]:
    return image_files(cifar10_arrays())


def noise_images() -> dict[str, bytes]:
    """Return the images of `cifar10_arrays` as PNG files, encoded once."""
    return dict(_noise_images())


# --- MNIST ------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}i", *array.shape)
        + (array.astype(np.uint8).tobytes())
    )


def idx_files(arrays: Arrays, *, compressed=True) -> dict[str, bytes]:
    files = {
        "train-images-idx3-ubyte": idx(arrays.x_train[..., 0]),
        "train-labels-idx1-ubyte": idx(arrays.y_train),
        "t10k-images-idx3-ubyte": idx(arrays.x_test[..., 0]),
        "t10k-labels-idx1-ubyte": idx(arrays.y_test),
    }
    if not compressed:
        return files
    return {f"{name}.gz": gzip.compress(data) for name, data in files.items()}


def write_npz(arrays: Arrays, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=arrays.x_train[..., 0],
        y_train=arrays.y_train.astype(np.uint8),
        x_test=arrays.x_test[..., 0],
        y_test=arrays.y_test.astype(np.uint8),
    )
    return path


# --- Containers -------------------------------------------------------------------------------


def write_folder(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_tar(files: dict[str, bytes], path: Path) -> Path:
    """Write a tar archive, compressed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    compression = {".gz": "gz", ".tgz": "gz", ".xz": "xz"}.get(path.suffix, "")
    quick = {"gz": {"compresslevel": 1}, "xz": {"preset": 0}}.get(compression, {})
    with tarfile.open(path, f"w:{compression}", **quick) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_zip(files: dict[str, bytes], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(zipfile.ZipFile(path, "w")) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
