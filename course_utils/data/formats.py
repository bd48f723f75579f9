"""Readers: one for each format, all returning the same arrays."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_utils.data.archives import DAMAGE, SUFFIXES, content, members, walk
from course_utils.data.catalogue import Spec
from course_utils.data.pickles import load_batch
from course_utils.errors import DataError

KIND_NAMES = {
    "python": "Python archive",
    "binary": "binary archive",
    "images": "image folder",
    "idx": "IDX",
    "npz": "Keras cache",
}

_BATCH = re.compile(r"(?:^|/)((?:data_batch_[1-5]|test_batch)(?:\.bin)?)$")
_IMAGE = re.compile(r"(?:^|/)(train|test)/([^/.][^/]*)/([^/.][^/]*\.(?:jpe?g|png))$", re.I)
_CIFAR10_MEMBER = re.compile(f"{_BATCH.pattern}|(?i:{_IMAGE.pattern})")
_CIFAR10_ARCHIVE = re.compile(r"cifar[-_ ]?10(?!0)", re.I)
_IDX = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


class Decoded(NamedTuple):
    """A data set as read: uint8 images, int64 labels, and the format they were in."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    kind: str
    detail: str


# --- What is it? ------------------------------------------------------------------------------


def recognise(path: Path, spec: Spec) -> int | None:
    """Tell from names alone whether a file or folder looks like a copy of a data set.

    Returns
    -------
    int or None
        None if it does not; otherwise a rank, the lower the better where there are several.
    """
    return (_recognise_mnist if spec.key == "mnist" else _recognise_cifar10)(path, spec)


def _recognise_cifar10(path: Path, spec: Spec) -> int | None:
    if path.is_dir():
        if (path / "data_batch_1").is_file() or (path / "test_batch").is_file():
            return 2
        if (path / "data_batch_1.bin").is_file() or (path / "test_batch.bin").is_file():
            return 3
        # Half of the classes is enough to know it by; the reader then says which are missing.
        classes = sum((path / "train" / name).is_dir() for name in spec.class_names)
        return 5 if classes >= len(spec.class_names) / 2 else None
    name = path.name.lower()
    if not _CIFAR10_ARCHIVE.search(name) or not path.is_file():
        return None
    if name.endswith("-target_archive"):
        return 1
    if not name.endswith(SUFFIXES):
        return None
    return 0 if "python" in name or "batches-py" in name else 1 if "bin" in name else 4


def _recognise_mnist(path: Path, spec: Spec) -> int | None:
    if path.is_dir():
        return 0 if any(_IDX.fullmatch(name) for name in os.listdir(path)) else None
    return 1 if path.name == "mnist.npz" and path.is_file() else None


def is_one_of_several(path: Path) -> bool:
    """Tell whether a file is one of those that only together make a data set."""
    return bool(_BATCH.fullmatch(path.name) or _IDX.fullmatch(path.name))


def relevant_files(path: Path, spec: Spec) -> Iterator[tuple[str, os.stat_result]]:
    """Yield name and status of the files that make up a source: itself, or those in it."""
    if not path.is_dir():
        yield path.name, path.stat()
        return
    for name, entry in walk(path):
        wanted = _IDX.fullmatch(name) if spec.key == "mnist" else _CIFAR10_MEMBER.search(name)
        if wanted:
            yield name, entry.stat()


# --- Reading ----------------------------------------------------------------------------------


def read(path: Path, spec: Spec) -> Decoded:
    """Read a whole data set into memory and check that it is complete.

    Parameters
    ----------
    path : pathlib.Path
        A file or folder.
    spec : Spec
        What it must hold.

    Raises
    ------
    DataError
        If it is damaged, incomplete, or something else.
    """
    decoded = (_read_mnist if spec.key == "mnist" else _read_cifar10)(path, spec)
    for part, images, labels, count in (
        ("training", decoded.x_train, decoded.y_train, spec.train),
        ("test", decoded.x_test, decoded.y_test, spec.test),
    ):
        _check(path, spec, part, images, labels, count)
    return decoded


def _check(
    path: Path, spec: Spec, part: str, images: np.ndarray, labels: np.ndarray, count: int
) -> None:
    if images.shape[1:] != spec.shape:
        raise DataError(
            f"{path}: the {part} images have the shape {images.shape[1:]} where {spec.title} "
            f"has {spec.shape}; this is another data set, give {spec.title}'s path."
        )
    if len(images) != len(labels) or len(images) != count:
        raise DataError(
            f"{path} holds {len(images):,} {part} images and {len(labels):,} labels where "
            f"{spec.title} has {count:,}; get the whole data set."
        )
    if labels.min() < 0 or labels.max() >= len(spec.class_names):
        raise DataError(
            f"{path}: a {part} label is {labels.min() if labels.min() < 0 else labels.max()} "
            f"where 0 to {len(spec.class_names) - 1} are possible; get the data set again."
        )
    counts = np.bincount(labels, minlength=len(spec.class_names))
    per_class = count // len(spec.class_names)
    for name, found in zip(spec.class_names, counts, strict=True):
        if found == 0 or (spec.balanced and found != per_class):
            needed = f"{per_class:,} are needed" if spec.balanced else "some are needed"
            raise DataError(
                f"{path} holds {found:,} {part} images of the class {name!r} where {needed}; "
                "get the whole data set."
            )


def _check_md5(path: Path, name: str, digest: str, spec: Spec) -> None:
    """Compare an official file's checksum with the published one."""
    expected = spec.md5.get(name)
    if expected and digest != expected:
        raise DataError(
            f"{path} has the wrong checksum (MD5 {digest}, published {expected}): it is damaged "
            "or another file; delete it and get it again."
        )


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


# --- CIFAR-10 ---------------------------------------------------------------------------------


def _read_cifar10(path: Path, spec: Spec) -> Decoded:
    if path.is_file() and path.name in spec.md5:
        _check_md5(path, path.name, _file_md5(path), spec)
    # Twice the pixels: pickles add file names, and a JPEG or PNG of so few can be larger.
    at_most = 2 * (spec.train + spec.test) * spec.image_bytes + 1_000_000
    batches, images = {}, {}
    for name, data in members(path, _CIFAR10_MEMBER, at_most):
        if batch := _BATCH.search(name):
            batches[batch[1]] = data
        else:
            images[name] = data
    if any(not name.endswith(".bin") for name in batches):
        return _from_batches(path, spec, batches, "", _python_batch, "python")
    if batches:
        return _from_batches(path, spec, batches, ".bin", _binary_batch, "binary")
    if images:
        return _from_images(path, spec, images)
    raise DataError(
        f"{path} holds no CIFAR-10: there is no data_batch_1, no data_batch_1.bin and no "
        "train/<class>/<image> in it; give the path of the official archive or of an image folder."
    )


def _from_batches(path, spec, batches, suffix, parse, kind) -> Decoded:
    def part(*names: str) -> tuple[np.ndarray, np.ndarray]:
        pairs = []
        for name in names:
            if name + suffix not in batches:
                raise DataError(f"{path} lacks {name + suffix}; get the whole data set.")
            pairs.append(parse(batches[name + suffix], f"{path}: {name + suffix}", spec))
        pixels = np.concatenate([pixels for pixels, _ in pairs])
        labels = np.concatenate([labels for _, labels in pairs]).astype(np.int64)
        height, width, channels = spec.shape
        planes = pixels.reshape(-1, channels, height, width)  # one plane for each colour
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels

    train = part(*(f"data_batch_{number}" for number in range(1, 6)))
    return Decoded(*train, *part("test_batch"), kind, "")


def _python_batch(data: bytes, where: str, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    batch = load_batch(data, where)
    pixels, labels = batch.get(b"data"), batch.get(b"labels")
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.ndim != 2
        or pixels.shape[1] != spec.image_bytes
    ):
        raise DataError(
            f"{where} holds no images of {spec.image_bytes:,} bytes under the key 'data'; "
            "get the data set again from its publisher."
        )
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(
            f"{where} holds no list of labels under the key 'labels'; "
            "get the data set again from its publisher."
        )
    if len(labels) != len(pixels):
        raise DataError(
            f"{where} holds {len(pixels):,} images but {len(labels):,} labels; "
            "get the data set again from its publisher."
        )
    return pixels, np.array(labels, dtype=np.int64)


def _binary_batch(data: bytes, where: str, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    record = 1 + spec.image_bytes
    if not data or len(data) % record:
        raise DataError(
            f"{where} has {len(data):,} bytes, which is no multiple of the {record:,} of one "
            "image and its label; delete it and get it again."
        )
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    return rows[:, 1:], rows[:, 0]


def _from_images(path: Path, spec: Spec, images: dict[str, bytes]) -> Decoded:
    parts: dict[str, list[tuple[int, str]]] = {"train": [], "test": []}
    for name in sorted(images):
        part, class_name, _ = _IMAGE.search(name).groups()
        if class_name.lower() not in spec.class_names:
            raise DataError(
                f"{path}: {part}/{class_name} is no class of {spec.title}, whose classes are "
                f"{', '.join(spec.class_names)}; rename the folder or take it out."
            )
        parts[part.lower()].append((spec.class_names.index(class_name.lower()), name))
    for part, entries in parts.items():
        missing = set(range(len(spec.class_names))) - {label for label, _ in entries}
        if missing:
            names = ", ".join(spec.class_names[label] for label in sorted(missing))
            raise DataError(
                f"{path} holds no images of the class {names} in {part}/; get the whole data set."
            )
    arrays = []
    for entries in parts.values():
        # The files stand in the order of their classes; mix them, as the official batches are,
        # so that any first few images show every class. RandomState's numbers never change.
        mixed = np.random.RandomState(0).permutation(len(entries))
        entries = [entries[i] for i in mixed]
        arrays.append(_decode_images(path, spec, [(name, images[name]) for _, name in entries]))
        arrays.append(np.array([label for label, _ in entries], dtype=np.int64))
    is_jpeg = any(not name.lower().endswith(".png") for name in images)
    return Decoded(*arrays, "images", "JPEG" if is_jpeg else "PNG")


def _decode_images(path: Path, spec: Spec, files: list[tuple[str, bytes]]) -> np.ndarray:
    out = np.empty((len(files), *spec.shape), dtype=np.uint8)

    def decode(start: int) -> None:
        for i in range(start, min(start + 500, len(files))):
            out[i] = _decode_image(path, spec, *files[i])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        list(pool.map(decode, range(0, len(files), 500)))
    return out


def _decode_image(path: Path, spec: Spec, name: str, data: bytes) -> np.ndarray:
    from PIL import Image

    height, width, channels = spec.shape
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.size == (width, height):  # before decoding: the size is in the header
                pixels = image.convert("RGB").tobytes()
                return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)
            size = image.size
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError and others
        raise DataError(
            f"{path}: {name} is no readable JPEG or PNG image ({error}); get it again."
        ) from None
    raise DataError(
        f"{path}: {name} has {size[0]} x {size[1]} pixels where {spec.title} has "
        f"{width} x {height}; this is another data set, or it was resized: get the original."
    )


# --- MNIST ------------------------------------------------------------------------------------


def _read_mnist(path: Path, spec: Spec) -> Decoded:
    if path.suffix == ".npz":
        return _read_npz(path, spec)
    if not path.is_dir():
        raise DataError(
            f"{path} is no copy of MNIST; give the folder of its four IDX files, or mnist.npz."
        )
    files = {}
    for name in sorted(os.listdir(path)):
        if match := _IDX.fullmatch(name):
            files[match[1], match[2]] = path / name
    arrays = []
    for part in ("train", "t10k"):
        for what, dimensions in (("images", 3), ("labels", 1)):
            file = files.get((part, what))
            if file is None:
                raise DataError(
                    f"{path} lacks {part}-{what}-idx{dimensions}-ubyte.gz; put all four files "
                    "of MNIST there."
                )
            arrays.append(_read_idx(file, dimensions, spec))
    x_train, y_train, x_test, y_test = arrays
    return _mnist(x_train, y_train, x_test, y_test, "idx")


def _mnist(x_train, y_train, x_test, y_test, kind) -> Decoded:
    return Decoded(
        x_train[..., np.newaxis],
        y_train.astype(np.int64),
        x_test[..., np.newaxis],
        y_test.astype(np.int64),
        kind,
        "",
    )


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
    _check_md5(path, official, hashlib.md5(data).hexdigest(), spec)
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(sizes)


def _read_npz(path: Path, spec: Spec) -> Decoded:
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
    return _mnist(*arrays, "npz")
