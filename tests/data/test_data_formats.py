"""Every format gives back the images and labels that were written."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from archives import (
    binary_files,
    cifar10_arrays,
    idx_files,
    image_files,
    mnist_arrays,
    noise_images,
    nowhere,  # noqa: F401 (a fixture)
    pickled,
    python_files,
    write_folder,
    write_npz,
    write_tar,
    write_zip,
)

from course_utils.data import load_cifar10, load_mnist
from course_utils.data.pickles import load_batch
from course_utils.errors import DataError

pytestmark = pytest.mark.usefixtures("nowhere")

OFFICIAL = {
    "Python archive, as published": lambda a, d: write_tar(python_files(a), d / "c.tar.gz"),
    "Python archive, by Python 3": lambda a, d: write_tar(
        python_files(a, python2=False), d / "c.tgz"
    ),
    "Python folder": lambda a, d: write_folder(python_files(a), d) / "cifar-10-batches-py",
    "folder around it": lambda a, d: write_folder(python_files(a), d / "x"),
    "one of its batches": lambda a, d: (
        write_folder(python_files(a), d) / "cifar-10-batches-py" / "data_batch_3"
    ),
    "binary archive": lambda a, d: write_tar(binary_files(a), d / "c.tar.gz"),
    "binary folder": lambda a, d: write_folder(binary_files(a), d) / "cifar-10-batches-bin",
}

IMAGES = {
    "folder": lambda f, d: write_folder(f, d / "cifar10"),
    "tar": lambda f, d: write_tar(f, d / "c.tar"),
    "tar.gz": lambda f, d: write_tar(f, d / "c.tar.gz"),
    "tar.xz": lambda f, d: write_tar(f, d / "c.tar.xz"),
    "zip": lambda f, d: write_zip(f, d / "c.zip"),
    "no suffix": lambda f, d: write_tar(f, d / "images"),
}


def whole(data, part):
    """Return images and labels of a part; "train" with the validation images put back."""
    if part == "test":
        return data.x_test, data.y_test
    x = np.concatenate([data.x_train, data.x_val])
    return x, np.concatenate([data.y_train, data.y_val])


def in_order(x, y):
    """Sort pairs of image and label, since a split or a folder changes their order."""
    return sorted(zip((image.tobytes() for image in x), y.tolist(), strict=True))


def assert_same_pairs(data, arrays):
    assert in_order(*whole(data, "train")) == in_order(arrays.x_train, arrays.y_train)
    assert in_order(*whole(data, "test")) == in_order(arrays.x_test, arrays.y_test)


@pytest.mark.parametrize("how", OFFICIAL)
def test_official_formats(how, tmp_path):
    arrays = cifar10_arrays()
    data = load_cifar10(OFFICIAL[how](arrays, tmp_path / "d"))
    assert_same_pairs(data, arrays)
    np.testing.assert_array_equal(data.x_test, arrays.x_test)  # the official order is kept
    np.testing.assert_array_equal(data.y_test, arrays.y_test)
    kind = "binary" if "binary" in how else "Python"
    assert data.source.name == f"CIFAR-10 ({kind} archive)"


def test_the_same_content_has_the_same_fingerprint_in_both_official_formats(tmp_path):
    arrays = cifar10_arrays()
    python = load_cifar10(write_tar(python_files(arrays), tmp_path / "p.tar.gz"))
    binary = load_cifar10(write_tar(binary_files(arrays), tmp_path / "b.tar.gz"))
    arrays.x_test[0, 0, 0, 0] ^= 1
    other = load_cifar10(write_tar(binary_files(arrays), tmp_path / "o.tar.gz"))
    assert python.source.fingerprint == binary.source.fingerprint != other.source.fingerprint


@pytest.mark.parametrize("top", ["", "./", "CIFAR-10-images-master/"])
@pytest.mark.parametrize("how", IMAGES)
def test_image_folders(how, top, tmp_path):
    arrays = cifar10_arrays()
    path = IMAGES[how](image_files(arrays, top=top), tmp_path / "d")
    data = load_cifar10(path)
    assert_same_pairs(data, arrays)
    assert data.source.name == "CIFAR-10 (PNG image folder)"
    assert len(set(data.y_train[:50].tolist())) == 10, "the first images show one class only"


@pytest.mark.parametrize("write", [str.title, str.upper])
@pytest.mark.parametrize("how", IMAGES)
def test_folders_of_images_may_be_written_in_capitals(how, write, tmp_path):
    arrays = cifar10_arrays()
    files = {write(name): data for name, data in image_files(arrays).items()}
    assert_same_pairs(load_cifar10(IMAGES[how](files, tmp_path / "d")), arrays)


def test_jpeg_images_are_the_written_ones_but_for_compression(tmp_path):
    arrays = cifar10_arrays()
    arrays.x_train[:] = np.arange(500).reshape(-1, 1, 1, 1) // 2  # a grey level for each image
    files = image_files(arrays, "jpeg") | {
        "train/cat/notes.txt": b"no image",
        "train/cat/._0001.jpg": b"a Mac's shadow of an image",
        "README.md": b"",
    }
    data = load_cifar10(write_tar(files, tmp_path / "c.tar.xz"))
    assert data.source.name == "CIFAR-10 (JPEG image folder)"
    x, y = whole(data, "train")
    found = sorted(zip(x.mean((1, 2, 3)).round().astype(int), y.tolist(), strict=True))
    wanted = sorted(zip(np.arange(500) // 2, arrays.y_train.tolist(), strict=True))
    assert found == wanted


def test_the_order_of_files_in_an_archive_does_not_matter(tmp_path):
    files = noise_images()
    backwards = dict(reversed(files.items()))
    one = load_cifar10(write_tar(files, tmp_path / "a.tar"))
    two = load_cifar10(write_tar(backwards, tmp_path / "b.tar"))
    assert one.source.fingerprint == two.source.fingerprint


MNIST = {
    "IDX .gz": lambda a, d: write_folder(idx_files(a), d),
    "IDX plain": lambda a, d: write_folder(idx_files(a, compressed=False), d),
    "folder around it": lambda a, d: write_folder(idx_files(a), d / "MNIST" / "raw").parent.parent,
    "one of the files": lambda a, d: write_folder(idx_files(a), d) / "t10k-labels-idx1-ubyte.gz",
    "mnist.npz": lambda a, d: write_npz(a, d / "mnist.npz"),
}


@pytest.mark.parametrize("how", MNIST)
def test_mnist(how, tmp_path):
    arrays = mnist_arrays()
    data = load_mnist(MNIST[how](arrays, tmp_path / "d"))
    assert_same_pairs(data, arrays)
    assert data.x_train.shape == (540, 28, 28, 1)
    assert data.source.name == ("MNIST (Keras cache)" if "npz" in how else "MNIST (IDX)")


def test_shapes_and_types(tmp_path):
    data = load_cifar10(write_tar(binary_files(cifar10_arrays()), tmp_path / "c.tar.gz"))
    for part, count in (("train", 450), ("val", 50), ("test", 100)):
        x, y = data.part(part)
        assert (x.shape, x.dtype) == ((count, 32, 32, 3), np.uint8)
        assert (y.shape, y.dtype) == ((count,), np.int64)
    table = str(data).splitlines()
    assert table[0].startswith("CIFAR-10 (binary archive)")
    assert any(line.split() == ["val", "50", "32", "x", "32", "x", "3", "5"] for line in table)


# --- Hostile input ----------------------------------------------------------------------------


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def marker_made_by(path):
    return Call(open, str(path), "w")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_no_code_of_a_pickle_runs(protocol, tmp_path):
    marker = tmp_path / "was here"
    files = python_files(cifar10_arrays())
    hostile = {"data": marker_made_by(marker), "labels": []}
    files["cifar-10-batches-py/data_batch_2"] = pickle.dumps(hostile, protocol)
    with pytest.raises(DataError, match=r"data_batch_2 is not a CIFAR-10 batch.*open"):
        load_cifar10(write_tar(files, tmp_path / "c.tar.gz"))
    assert not marker.exists()
    pickle.loads(files["cifar-10-batches-py/data_batch_2"])["data"].close()
    assert marker.exists(), "this pickle would not have done anything anyway"


@pytest.mark.parametrize(
    "value",
    [
        Call(eval, "1"),
        Call(getattr, "", "join"),
        np.array([object], dtype=object),
        np.zeros(2, dtype="f8"),
        np.zeros(2, dtype=[("a", "u1")]),
        np.dtype("O"),
        Call(np.ndarray, (3,)),
        Call(np.load, "x.npy"),
        Call(np.dtype, "u1,O"),
        set(),
    ],
)
def test_a_pickle_may_hold_little(value):
    with pytest.raises(DataError):
        load_batch(pickle.dumps({"data": value}, 2), "it")


def test_a_damaged_pickle_is_a_data_error_wherever_it_is_cut():
    whole = pickled({"data": np.zeros((2, 3), np.uint8), "labels": [1, 2]})
    assert load_batch(whole, "it")[b"labels"] == [1, 2]
    for length in range(len(whole)):
        with pytest.raises(DataError, match="it"):
            load_batch(whole[:length], "it")


def test_an_archive_cannot_write_outside_or_link_inside(tmp_path):
    files = noise_images()
    path = write_tar(files | {"../../../train/cat/9999.png": b"x"}, tmp_path / "d" / "c.tar")
    before = sorted(tmp_path.rglob("*.png"))
    with pytest.raises(DataError, match=r"9999\.png is no readable JPEG or PNG"):
        load_cifar10(path)
    assert sorted(tmp_path.rglob("*.png")) == before == []

    secret = tmp_path / "secret.png"
    secret.write_bytes(next(iter(files.values())))
    name = next(name for name in files if name.startswith("test/cat/"))
    rest = {other: data for other, data in files.items() if other != name}
    write_tar(rest, path)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo(name)
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    with pytest.raises(DataError, match=r"99 test images"):
        load_cifar10(path)


def test_a_small_archive_cannot_fill_the_memory(tmp_path):
    files = python_files(cifar10_arrays())
    files["cifar-10-batches-py/data_batch_1"] = bytes(10_000_000)
    path = write_tar(files, tmp_path / "c.tar.gz")
    assert path.stat().st_size < 3_000_000
    with pytest.raises(DataError, match="more than the 4,686,400 bytes that are possible"):
        load_cifar10(path)


def test_a_npz_may_hold_no_pickles(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=np.array([io.StringIO], dtype=object))
    with pytest.raises(DataError, match=r"no readable mnist\.npz"):
        load_mnist(path)
