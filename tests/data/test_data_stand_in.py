"""The stand-in is drawn the same each time, and only its shapes and patterns tell the classes."""

import time

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from course_utils.data import stand_in
from course_utils.data.catalogue import CIFAR10, MNIST


@pytest.fixture(scope="module")
def colour():
    """Images and labels as CIFAR-10's stand-in has them, and the seconds that they took."""
    start = time.process_time()
    arrays = stand_in.draw(stand_in.spec_for(CIFAR10))
    return *arrays, time.process_time() - start


def test_sizes_and_time(colour):
    x_train, y_train, x_test, y_test, seconds = colour
    assert (x_train.shape, x_train.dtype) == ((10_000, 32, 32, 3), np.uint8)
    assert (x_test.shape, x_test.dtype) == ((2_000, 32, 32, 3), np.uint8)
    assert y_train.dtype == y_test.dtype == np.int64
    assert np.bincount(y_train).tolist() == [1_000] * 10
    assert np.bincount(y_test).tolist() == [200] * 10
    assert seconds < 10


def test_the_same_in_every_run(colour):
    again = stand_in.draw(stand_in.spec_for(CIFAR10))
    for one, two in zip(colour, again, strict=False):
        np.testing.assert_array_equal(one, two)


def test_no_image_is_in_both_parts(colour):
    train = {image.tobytes() for image in colour[0]}
    assert len(train) == 10_000
    assert not train & {image.tobytes() for image in colour[2]}


def accuracy(features, colour):
    x_train, y_train, x_test, y_test, _ = colour
    model = RidgeClassifier()
    model.fit(features(x_train[:3_000]), y_train[:3_000])
    return model.score(features(x_test), y_test)


def test_colour_and_brightness_say_little(colour):
    def features(x):
        middle = x[:, 10:22, 10:22] / 255.0
        return np.concatenate(
            [f(part, axis=(1, 2)) for part in (x / 255.0, middle) for f in (np.mean, np.std)],
            axis=1,
        )

    assert accuracy(features, colour) < 0.2


def test_a_linear_classifier_of_the_pixels_is_not_enough(colour):
    def features(x):
        return x[:, ::2, ::2].mean(-1).reshape(len(x), -1) / 255 - 0.5

    assert accuracy(features, colour) < 0.3


def test_the_classes_differ_in_shape_and_in_pattern():
    """Without turn, shift, clutter and noise, the mean images are the shapes themselves."""
    plain = stand_in.Style(0.0, (0.8, 0.8), 0.0, 1.0, (0, 0), (190, 255), (1.0, 1.0), 0, 0.0, 0.0)
    x, y, _, _ = stand_in.draw(stand_in.spec_for(MNIST), plain)
    means = np.stack([x[y == label].mean(0).ravel() for label in range(10)])
    alike = np.corrcoef(means)
    for a in range(10):
        for b in range(a):
            assert (alike[a, b] > 0.98) == (a // 2 == b // 2), (a, b)
    spread = np.stack([x[y == label].astype(float).std(0).sum() for label in range(10)])
    assert np.unique(spread.round()).size == 10


def test_grey_images_for_mnist():
    x_train, y_train, x_test, y_test = stand_in.draw(stand_in.spec_for(MNIST))
    assert x_train.shape == (10_000, 28, 28, 1)
    assert x_test.shape == (2_000, 28, 28, 1)
    model = RidgeClassifier().fit(x_train.reshape(10_000, -1) / 255, y_train)
    assert model.score(x_test.reshape(2_000, -1) / 255, y_test) > 0.75, "much harder than MNIST"
