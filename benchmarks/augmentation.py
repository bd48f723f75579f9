"""Augmented images per second: in whole batches here, one by one in Keras's old generator."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.tables import Table
from course_utils import load_cifar10, zoo
from course_utils.data.augmentation import augment
from course_utils.recipes import Augmentation
from course_utils.runtime import available_cores

if TYPE_CHECKING:
    import tensorflow as tf

BATCH = 128
BATCHES = {"ours": 400, "theirs": 40}
ROUNDS = 5
LEAST_RATIO = 10


def measure() -> Table:
    """Augment the same images in both ways, in turn, on all cores."""
    settings = zoo.recipe("proyectos/16").augmentation or Augmentation()
    images = np.array(load_cifar10().x_train[: BATCH * BATCHES["theirs"]])
    generator = _generator(settings)
    floats = images.astype("float32")

    def ours(batch: int) -> None:
        start = batch * BATCH % len(images)
        augment(images[start : start + BATCH], settings, np.random.default_rng(batch))

    def theirs(batch: int) -> None:
        for image in floats[batch * BATCH : (batch + 1) * BATCH]:
            generator.random_transform(image)

    here, there = [], []
    for _ in range(ROUNDS):
        here.append(_images_per_second(ours, BATCHES["ours"]))
        there.append(_images_per_second(theirs, BATCHES["theirs"]))
    ratio = statistics.median(a / b for a, b in zip(here, there))
    return Table(
        f"Augmentation of proyectos/16, batches of {BATCH}, a thread for each core",
        ["", "images per second, median", "ratio", "asked"],
        [
            ["this course", f"{statistics.median(here):,.0f}", f"{ratio:.1f}", f"{LEAST_RATIO}"],
            ["Keras' ImageDataGenerator", f"{statistics.median(there):,.0f}", "1", ""],
        ],
    )


def _generator(settings: Augmentation) -> tf.keras.preprocessing.image.ImageDataGenerator:
    import tensorflow as tf

    return tf.keras.preprocessing.image.ImageDataGenerator(
        rotation_range=settings.rotation,
        zoom_range=settings.zoom,
        shear_range=settings.shear,
        width_shift_range=settings.width_shift,
        height_shift_range=settings.height_shift,
        horizontal_flip=settings.horizontal_flip,
    )


def _images_per_second(change: Callable[[int], None], batches: int) -> float:
    with ThreadPoolExecutor(available_cores()) as pool:
        start = time.perf_counter()
        list(pool.map(change, range(batches)))
        return BATCH * batches / (time.perf_counter() - start)
