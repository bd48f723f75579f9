"""Affine augmentation against what the documents used: Keras' old ImageDataGenerator."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from scipy.stats import ks_2samp

from course_utils.data.augmentation import augment
from course_utils.data.warp import warp
from course_utils.errors import DataError
from course_utils.recipes import Augmentation

PROYECTOS_16 = Augmentation(
    rotation=15, zoom=0.1, shear=0.2, width_shift=0.2, height_shift=0.2, horizontal_flip=True
)


def reference(images, settings, seed):
    """Change images as the documents did: one by one, with Keras' old generator."""
    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=settings.rotation,
        zoom_range=settings.zoom,
        shear_range=settings.shear,
        width_shift_range=settings.width_shift,
        height_shift_range=settings.height_shift,
        horizontal_flip=settings.horizontal_flip,
    )
    np.random.seed(seed)  # noqa: NPY002 (the generator draws from there)
    return np.stack([generator.random_transform(image.astype("float32")) for image in images])


def test_pixels_are_those_of_scipy(small_data):
    images = np.array(small_data.x_train[:60])
    rng = np.random.default_rng(1)
    matrices = np.eye(2) + rng.uniform(-0.3, 0.3, (60, 2, 2))
    offsets = rng.uniform(-6, 6, (60, 2))
    warped = warp(images, matrices, offsets)
    assert warped.dtype == np.uint8
    for image, matrix, offset, ours in zip(images, matrices, offsets, warped):
        for channel in range(3):
            exact = ndimage.affine_transform(
                image[..., channel].astype("float32"), matrix, offset, order=1, mode="nearest"
            )
            assert np.abs(exact - ours[..., channel]).max() < 2.5
            assert np.abs(exact - ours[..., channel]).mean() < 0.5


def test_the_identity_changes_nothing(small_data):
    images = small_data.x_train[:20]
    same = warp(images, np.tile(np.eye(2), (20, 1, 1)), np.zeros((20, 2)))
    np.testing.assert_array_equal(same, images)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_do_not_mix(channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 9, 7, channels), dtype="uint8")
    matrices, offsets = np.tile(np.eye(2) * 0.9, (5, 1, 1)), np.full((5, 2), 0.3)
    together = warp(images, matrices, offsets)
    for channel in range(channels):
        alone = warp(images[..., channel : channel + 1], matrices, offsets)
        np.testing.assert_array_equal(together[..., channel], alone[..., 0])


def spot(images):
    """Where the bright spot of each image is, its row and column, and how much of it there is."""
    weights = images[..., 0].astype("float64")
    total = weights.sum(axis=(1, 2))
    row = (weights * np.arange(32)[:, None]).sum(axis=(1, 2)) / total
    column = (weights * np.arange(32)).sum(axis=(1, 2)) / total
    return row, column, total


@pytest.mark.parametrize(
    "settings",
    [
        PROYECTOS_16,
        Augmentation(rotation=25),
        Augmentation(zoom=0.2, horizontal_flip=True),
        Augmentation(shear=20),
        # Both have the same size, because the old generator confuses width and height.
        Augmentation(width_shift=0.1, height_shift=0.1),
    ],
    ids=["proyectos/16", "rotation", "zoom and flips", "shear", "shifts"],
)
def test_changes_are_distributed_as_those_of_the_documents(settings):
    image = np.zeros((32, 32, 1), "uint8")
    image[8:13, 18:22] = 255  # off the centre, so that every change moves it
    many = np.tile(image, (1_500, 1, 1, 1))
    ours = augment(many, settings, np.random.default_rng(0))
    theirs = reference(many, settings, seed=1)
    (*places, total), (*their_places, their_total) = spot(ours), spot(theirs)
    # Ours are rounded to bytes: a tenth of a pixel of noise hides that.
    blur = np.random.default_rng(2).normal(scale=0.1, size=(2, 1_500))
    for one, other in zip(places, their_places):
        assert ks_2samp(one + blur[0], other + blur[1]).pvalue > 0.001
    assert total.mean() == pytest.approx(their_total.mean(), rel=0.02)
    assert total.std() == pytest.approx(their_total.std(), rel=0.1, abs=20)
    means = ours.mean(axis=0) - theirs.mean(axis=0)
    assert np.abs(means).max() < 12  # of 255: a few standard errors of 1,500 draws


def test_each_setting_changes_what_it_says():
    image = np.zeros((32, 32, 1), "uint8")
    image[14:18, 14:18] = 255
    many = np.tile(image, (400, 1, 1, 1))
    row, column, _ = spot(augment(many, Augmentation(height_shift=0.25), np.random.default_rng(0)))
    assert 6 < np.abs(row - 15.5).max() <= 8
    np.testing.assert_allclose(column, 15.5, atol=0.01)
    row, column, size = spot(augment(many, Augmentation(zoom=0.5), np.random.default_rng(0)))
    np.testing.assert_allclose([row, column], 15.5, atol=0.1)
    assert size.max() > 2 * size.min()
    row, column, size = spot(augment(many, Augmentation(rotation=180), np.random.default_rng(0)))
    np.testing.assert_allclose([row, column], 15.5, atol=0.1)
    np.testing.assert_allclose(size, size.mean(), rtol=0.05)


def test_only_bytes_can_be_warped():
    with pytest.raises(DataError, match="float64"):
        augment(np.zeros((2, 8, 8, 3)), PROYECTOS_16, np.random.default_rng(0))
    with pytest.raises(DataError, match="four channels"):
        augment(np.zeros((2, 8, 8, 5), "uint8"), PROYECTOS_16, np.random.default_rng(0))
