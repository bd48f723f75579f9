"""Wrong input gets one sentence that names the file, what is wrong and what to do."""

import hashlib
import lzma
import re
from dataclasses import replace

import numpy as np
import pytest
from archives import (
    binary_files,
    cifar10_arrays,
    encoded,
    idx,
    idx_files,
    mnist_arrays,
    noise_images,
    nowhere,  # noqa: F401 (a fixture)
    pickled,
    planes,
    python_files,
    write_folder,
    write_npz,
    write_tar,
    write_zip,
)

from course_utils.data import find_sources, load_cifar10, load_mnist
from course_utils.data.catalogue import SPECS
from course_utils.errors import DataError
from course_utils.runtime import cache_dir

pytestmark = pytest.mark.usefixtures("nowhere")


def refusal(load, path) -> str:
    """Return the one sentence, and make sure that nothing was left in the cache."""
    with pytest.raises(DataError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    left = [p for p in cache_dir().rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert not left
    return message


def cifar10_folder(path):
    return write_folder(python_files(cifar10_arrays()), path) / "cifar-10-batches-py"


# --- Missing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_cifar10, load_mnist])
def test_missing_path(load, tmp_path):
    message = refusal(load, tmp_path / "nothing.tar.gz")
    assert f"{tmp_path}/nothing.tar.gz (path given) does not exist; correct the path" in message


@pytest.mark.parametrize(("load", "title"), [(load_cifar10, "CIFAR-10"), (load_mnist, "MNIST")])
def test_folder_with_something_else(load, title, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "notes.txt").write_text("no data")
    assert f"{tmp_path}/d (path given) holds no {title}; give" in refusal(load, tmp_path / "d")


def test_archive_with_something_else(tmp_path):
    path = write_tar({"photo.jpg": b""}, tmp_path / "holiday.tar.gz")
    assert f"{path} holds no CIFAR-10: there is no data_batch_1" in refusal(load_cifar10, path)


@pytest.mark.parametrize("load", [load_cifar10, load_mnist])
def test_file_of_another_kind(load, tmp_path):
    path = tmp_path / "cifar-10.txt"
    path.write_text("no archive")
    message = refusal(load, path)
    assert message.startswith(str(path))
    assert re.search("is damaged, cut short or no archive|is no copy of MNIST", message)


@pytest.mark.parametrize("name", ["data_batch_4", "test_batch"])
def test_missing_batch(name, tmp_path):
    folder = cifar10_folder(tmp_path)
    (folder / name).unlink()
    assert refusal(load_cifar10, folder) == f"{folder} lacks {name}; get the whole data set."


def test_missing_idx_file(tmp_path):
    folder = write_folder(idx_files(mnist_arrays()), tmp_path / "d")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert f"{folder} lacks t10k-labels-idx1-ubyte.gz" in refusal(load_mnist, folder)


@pytest.mark.parametrize("part", ["train", "test"])
def test_missing_class(part, tmp_path):
    files = noise_images()
    rest = {name: data for name, data in files.items() if not name.startswith(f"{part}/deer/")}
    message = refusal(load_cifar10, write_folder(rest, tmp_path / "d"))
    assert message == (
        f"{tmp_path}/d holds no images of the class deer in {part}/; get the whole data set."
    )


def test_unknown_class(tmp_path):
    files = noise_images() | {"train/car/0001.png": b""}
    message = refusal(load_cifar10, write_zip(files, tmp_path / "c.zip"))
    assert f"{tmp_path}/c.zip: train/car is no class of CIFAR-10" in message


# --- Counts -----------------------------------------------------------------------------------


def test_image_missing(tmp_path):
    files = noise_images()
    files.pop(next(name for name in files if name.startswith("train/frog/")))
    message = refusal(load_cifar10, write_tar(files, tmp_path / "c.tar"))
    assert "c.tar holds 499 training images and 499 labels where CIFAR-10 has 500" in message


def test_one_class_has_more_and_another_less(tmp_path):
    arrays = cifar10_arrays()
    arrays.y_test[np.flatnonzero(arrays.y_test == 8)[0]] = 3
    message = refusal(load_cifar10, write_tar(binary_files(arrays), tmp_path / "c.tar.gz"))
    assert "holds 11 test images of the class 'cat' where 10 are needed" in message


def test_labels_and_images_of_a_batch_differ(tmp_path):
    folder = cifar10_folder(tmp_path)
    arrays = cifar10_arrays()
    batch = {"data": planes(arrays.x_test), "labels": arrays.y_test.tolist()[:-1]}
    (folder / "test_batch").write_bytes(pickled(batch))
    assert "test_batch holds 100 images but 99 labels" in refusal(load_cifar10, folder)


def test_label_out_of_range(tmp_path):
    arrays = cifar10_arrays()
    arrays.y_train[7] = 10
    message = refusal(load_cifar10, write_tar(binary_files(arrays), tmp_path / "c.tar.gz"))
    assert "a training label is 10 where 0 to 9 are possible" in message


def test_half_an_image_at_the_end_of_a_binary_batch(tmp_path):
    files = binary_files(cifar10_arrays())
    files["cifar-10-batches-bin/data_batch_1.bin"] += b"x" * 100
    message = refusal(load_cifar10, write_tar(files, tmp_path / "c.tar.gz"))
    assert "data_batch_1.bin has 307,400 bytes, which is no multiple of the 3,073" in message


@pytest.mark.parametrize(
    "batch",
    [
        {"labels": [0] * 100},
        {"labels": [0] * 100, "data": np.zeros((100, 3071), np.uint8)},
        {"labels": [0] * 100, "data": np.zeros((100, 3072), np.int32)},
        {"labels": [0] * 100, "data": np.zeros(3072, np.uint8)},
        {"labels": [0] * 100, "data": [1, 2]},
        {"labels": [0.5] * 100, "data": np.zeros((100, 3072), np.uint8)},
        {"labels": "0" * 100, "data": np.zeros((100, 3072), np.uint8)},
        {"data": np.zeros((100, 3072), np.uint8)},
        [1, 2],
    ],
    ids=range(9),
)
def test_a_batch_of_another_make(batch, tmp_path):
    folder = cifar10_folder(tmp_path)
    (folder / "test_batch").write_bytes(pickled(batch))
    assert "test_batch holds " in refusal(load_cifar10, folder)


# --- Images -----------------------------------------------------------------------------------


def replaced(data: bytes) -> dict[str, bytes]:
    files = noise_images()
    name = next(name for name in files if name.startswith("train/ship/"))
    return files | {name: data}


@pytest.mark.parametrize("height_and_width", [(64, 64), (32, 31)])
def test_wrong_image_size(height_and_width, tmp_path):
    height, width = height_and_width
    image = encoded(np.zeros((height, width, 3), np.uint8), "png")
    message = refusal(load_cifar10, write_tar(replaced(image), tmp_path / "c.tar"))
    assert re.search(rf"c\.tar: train/ship/\d+\.png has {width} x {height} pixels where", message)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_cut_image(kind, tmp_path):
    rng = np.random.default_rng(0)
    image = encoded(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8), kind)
    message = refusal(load_cifar10, write_tar(replaced(image[:-200]), tmp_path / "c.tar"))
    assert re.search(r"train/ship/\d+\.png is no readable JPEG or PNG image \(.+\)", message)


# --- Damage -----------------------------------------------------------------------------------

ARCHIVES = {
    "tar.gz": lambda d: write_tar(python_files(cifar10_arrays()), d / "c.tar.gz"),
    "tar.xz": lambda d: write_tar(noise_images(), d / "c.tar.xz"),
    "tar": lambda d: write_tar(noise_images(), d / "c.tar"),
    "zip": lambda d: write_zip(noise_images(), d / "c.zip"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("share", [0, 0.001, 0.9])
def test_truncated_archive(kind, share, tmp_path):
    path = ARCHIVES[kind](tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    message = refusal(load_cifar10, path)
    assert message.startswith(f"{path} is damaged, cut short or no archive (")
    assert "delete it and get it again" in message


def test_a_flipped_bit_in_an_xz_archive(tmp_path):
    path = ARCHIVES["tar.xz"](tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(lzma.LZMAError):
        lzma.decompress(data)
    assert f"{path} is damaged" in refusal(load_cifar10, path)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_idx(share, tmp_path):
    folder = write_folder(idx_files(mnist_arrays()), tmp_path / "d")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    message = refusal(load_mnist, folder)
    assert message.startswith(str(path))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is no IDX file of 3 dimensions"),
        (idx(np.zeros(100)), "is no IDX file of 3 dimensions"),
        (idx(np.zeros((600, 28, 28)))[:-1], "announces 470,400 values and holds 470,399"),
        (idx(np.zeros((600, 28, 28)))[:12], "is no IDX file of 3 dimensions"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "is no IDX file of 3 dimensions"),
        (idx(np.zeros((600, 28, 28))) + bytes(100), "holds more than the 470,416 bytes"),
        (idx(np.zeros((300, 28, 56))), r"have the shape \(28, 56, 1\) where MNIST has"),
        (idx(np.zeros((599, 28, 28))), "holds 599 training images and 600 labels where MNIST"),
    ],
    ids=range(8),
)
def test_strange_idx(data, what, tmp_path):
    folder = write_folder(idx_files(mnist_arrays(), compressed=False), tmp_path / "d")
    (folder / "train-images-idx3-ubyte").write_bytes(data)
    assert re.search(what, refusal(load_mnist, folder))


def test_a_truncated_npz(tmp_path):
    path = write_npz(mnist_arrays(), tmp_path / "mnist.npz")
    path.write_bytes(path.read_bytes()[:-1_000])
    assert f"{path} is no readable mnist.npz" in refusal(load_mnist, path)


def test_a_npz_with_other_arrays(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x=np.zeros(3))
    assert "x_train is not a file in the archive; Keras' mnist.npz holds" in refusal(
        load_mnist, path
    )


# --- Checksums --------------------------------------------------------------------------------


@pytest.fixture
def checksum(monkeypatch):
    """Set the published MD5 of one official file."""

    def set_md5(dataset, name, data):
        md5 = hashlib.md5(data).hexdigest()
        monkeypatch.setitem(SPECS, dataset, replace(SPECS[dataset], md5={name: md5}))

    return set_md5


@pytest.mark.parametrize(
    ("name", "files"),
    [("cifar-10-python.tar.gz", python_files), ("cifar-10-binary.tar.gz", binary_files)],
)
def test_wrong_checksum_of_an_archive(name, files, checksum, tmp_path):
    path = write_tar(files(cifar10_arrays()), tmp_path / name)
    checksum("cifar10", name, b"other")
    message = refusal(load_cifar10, path)
    assert message.startswith(f"{path} has the wrong checksum (MD5 ")
    assert "delete it and get it again" in message
    checksum("cifar10", name, path.read_bytes())
    assert load_cifar10(path).source.kind in name


@pytest.mark.parametrize("compressed", [True, False])
def test_wrong_checksum_of_mnist(compressed, checksum, tmp_path):
    arrays = mnist_arrays()
    folder = write_folder(idx_files(arrays, compressed=compressed), tmp_path / "d")
    checksum("mnist", "t10k-images-idx3-ubyte", b"Fashion-MNIST has the same file names")
    message = refusal(load_mnist, folder)
    assert "t10k-images-idx3-ubyte" in message
    assert "has the wrong checksum" in message
    checksum("mnist", "t10k-images-idx3-ubyte", idx(arrays.x_test[..., 0]))
    assert len(load_mnist(folder).x_test) == 100


def test_unknown_data_set():
    with pytest.raises(DataError, match="Unknown data set 'cifar100': choose one of cifar10, mnis"):
        find_sources("cifar100")
