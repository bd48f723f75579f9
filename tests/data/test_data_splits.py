"""The validation split and the limit keep every class's share and never change."""

import numpy as np
import pytest
from archives import binary_files, cifar10_arrays, nowhere, write_tar  # noqa: F401 (a fixture)

from course_utils.data import load_cifar10
from course_utils.data.splits import split, stratified
from course_utils.errors import DataError


@pytest.mark.parametrize("order", ["by class", "round robin", "mixed"])
@pytest.mark.parametrize("count", [10, 97, 500, 5_000])
def test_every_class_keeps_its_share_in_any_order(order, count):
    labels = {
        "by class": np.repeat(np.arange(10), 5_00),
        "round robin": np.arange(5_000) % 10,
        "mixed": np.random.default_rng(0).permutation(np.arange(5_000) % 10),
    }[order]
    chosen = stratified(labels, count)
    assert len(set(chosen.tolist())) == count
    counts = np.bincount(labels[chosen], minlength=10)
    assert set(counts) <= {count // 10, -(-count // 10)}


def test_unequal_classes_keep_their_shares():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    assert np.bincount(labels[stratified(labels, 100)]).tolist() == [60, 30, 10]


def test_split_takes_every_image_once():
    labels = np.random.default_rng(0).integers(0, 10, 1_000)
    kept, chosen = split(labels, 100)
    assert len(chosen) == 100
    assert sorted([*kept, *chosen]) == list(range(1_000))


def test_the_split_is_the_same_whatever_the_seed():
    labels = (np.arange(1_000) ** 2 // 7) % 10
    np.random.seed(1)  # noqa: NPY002 (the global state is what is tested)
    _, one = split(labels, 100)
    np.random.seed(2)  # noqa: NPY002
    _, two = split(labels, 100)
    np.testing.assert_array_equal(one, two)
    assert one[:5].tolist() == [0, 3, 5, 16, 40], "recorded runs used another split"


def test_the_validation_images_are_training_images_and_the_test_images_are_not(nowhere):  # noqa: F811
    arrays = cifar10_arrays()
    data = load_cifar10(write_tar(binary_files(arrays), nowhere / "c.tar.gz"))
    train = {image.tobytes() for image in data.x_train}
    val = {image.tobytes() for image in data.x_val}
    assert not train & val
    assert train | val == {image.tobytes() for image in arrays.x_train}
    assert np.bincount(data.y_val).tolist() == [5] * 10
    assert np.bincount(data.y_train).tolist() == [45] * 10


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [(None, (450, 50, 100)), (200, (200, 40, 40)), (10, (10, 2, 2)), (10_000, (450, 50, 100))],
)
def test_limit(nowhere, limit, sizes):  # noqa: F811
    path = write_tar(binary_files(cifar10_arrays()), nowhere / "c.tar.gz")
    data = load_cifar10(path, limit=limit)
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == sizes
    assert np.ptp(np.bincount(data.y_train, minlength=10)) <= 1
    whole = load_cifar10(path)
    position = {image.tobytes(): i for i, image in enumerate(whole.x_train)}
    places = [position[image.tobytes()] for image in data.x_train]
    np.testing.assert_array_equal(whole.y_train[places], data.y_train)


@pytest.mark.parametrize("limit", [0, -1, 4, 2.5, "100", True])
def test_a_limit_that_is_none(nowhere, limit):  # noqa: F811
    path = write_tar(binary_files(cifar10_arrays()), nowhere / "c.tar.gz")
    with pytest.raises(DataError, match="is no number of images: give a whole number of 5 or more"):
        load_cifar10(path, limit=limit)


@pytest.mark.parametrize("part", [0.2, 2 / 9, 0])
def test_another_part_can_be_set_aside(small_data, part):
    data = small_data.limited(100).with_validation_split(part)
    total = 100 + 20
    assert (len(data.y_train), len(data.y_val)) == (total - int(part * total), int(part * total))
    assert len(data.x_train) == len(data.y_train)
    images = np.concatenate([data.x_train, data.x_val]).reshape(total, -1)
    before = small_data.limited(100)
    originals = np.concatenate([before.x_train, before.x_val]).reshape(total, -1)
    np.testing.assert_array_equal(np.unique(images, axis=0), np.unique(originals, axis=0))
    if part:
        assert np.ptp(np.bincount(data.y_val, minlength=10)) <= 1
