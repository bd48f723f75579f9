"""The networks of the document `hw5`: a simple CNN, a larger one, a wide one.

The document trains on all 50,000 images and measures on the test images after each epoch, but does
not stop by them. Ours trains on all of them, too, and measures nothing during training. Pixels are
scaled to 0 to 1. Old Keras' ``decay`` is the learning rate divided by the number of epochs.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers
from keras.constraints import MaxNorm

from course_utils.recipes import Augmentation, Recipe
from course_utils.zoo.blocks import classifier, convolution, scaled_input
from course_utils.zoo.design import Design, Document

DOCUMENT = Document("hw5", validation="The document measures on the test images.")
ADAM = Recipe(optimizer="adam", batch_size=128, epochs=100, validation_split=0)
ZOOMED_AND_FLIPPED = Augmentation(zoom=0.2, horizontal_flip=True)


def sgd(epochs: int, batch_size: int, augmentation: Augmentation | None = None) -> Recipe:
    """Return the document's recipe with momentum and a falling learning rate."""
    return Recipe(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        schedule="inverse_time",
        decay=0.01 / epochs,
        batch_size=batch_size,
        epochs=epochs,
        validation_split=0,
        augmentation=augmentation,
    )


def simple() -> keras.Model:
    """Two convolutions and one dense layer; no weight vector longer than 3."""
    short = {"kernel_constraint": MaxNorm(3)}
    return keras.Sequential(
        [
            *scaled_input(lowest=0),
            convolution(32, **short),
            layers.Dropout(0.2),
            convolution(32, **short),
            layers.MaxPooling2D(),
            *classifier((512,), dropout=0.5, **short),
        ]
    )


def large(dropout_everywhere: bool = True) -> keras.Model:
    """Three blocks of two convolutions, then dense layers with short weight vectors.

    Dropout of 0.2 is inside each block, before the dense layers and after each of them; without
    `dropout_everywhere`, it is inside the first block and after the dense layers only.
    """
    model = keras.Sequential(scaled_input(lowest=0))
    for number, filters in enumerate((32, 64, 128)):
        model.add(convolution(filters))
        if dropout_everywhere or number == 0:
            model.add(layers.Dropout(0.2))
        model.add(convolution(filters))
        model.add(layers.MaxPooling2D())
    if dropout_everywhere:
        model.add(layers.Dropout(0.2))
    for layer in classifier((1024, 512), dropout=0.2, kernel_constraint=MaxNorm(3)):
        model.add(layer)
    return model


def wide(dropout: bool = False) -> keras.Model:
    """Three blocks of 48, 96 and 192 filters; the second convolution of each is unpadded.

    With `dropout`: 0.25 after each block and 0.5 after each dense layer.
    """
    model = keras.Sequential(scaled_input(lowest=0))
    for filters in (48, 96, 192):
        model.add(convolution(filters))
        model.add(convolution(filters, padding="valid"))
        model.add(layers.MaxPooling2D())
        if dropout:
            model.add(layers.Dropout(0.25))
    for layer in classifier((512, 256), dropout=0.5 if dropout else 0.0):
        model.add(layer)
    return model


def wide_from(previous: keras.Model | None = None) -> keras.Model:
    """The wide network, with the weights of `previous`, a trained wide network."""
    model = wide()
    if previous:
        model.set_weights(previous.get_weights())
    return model


def batchnorm() -> keras.Model:
    """Three blocks with BatchNorm after each convolution; the last two end unpadded."""
    model = keras.Sequential(scaled_input(lowest=0))
    for filters, padding in ((32, "same"), (64, "valid"), (128, "valid")):
        model.add(convolution(filters))
        model.add(layers.BatchNormalization())
        model.add(convolution(filters, padding=padding))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.25))
    for layer in classifier((512, 256), dropout=0.5):
        model.add(layer)
    return model


LARGE_PARAMETERS = 2_915_114
WIDE_PARAMETERS = 1_172_410

DESIGNS = [
    Design(
        name="hw5/simple",
        about="Two convolutions and a dense layer, dropout, weight vectors of 3 at most.",
        build=simple,
        recipe=sgd(epochs=25, batch_size=32),
        parameters=4_210_090,
        reported={
            "test_accuracy": 0.6988,
            "test_loss": 1.0507,
            "train_accuracy": 0.8922,
            "train_loss": 0.3029,
            "epoch_seconds": 134,
        },
        reported_epochs=25,
    ),
    Design(
        name="hw5/large",
        about="Six convolutions in three blocks, two dense layers, dropout throughout.",
        build=large,
        recipe=sgd(epochs=25, batch_size=64),
        parameters=LARGE_PARAMETERS,
        reported={"test_accuracy": 0.80},
        reported_epochs=25,
        note="The document says: about 80%.",
    ),
    Design(
        name="hw5/large-100",
        parent="hw5/large",
        about="trained for 100 epochs.",
        build=large,
        recipe=sgd(epochs=100, batch_size=64),
        parameters=LARGE_PARAMETERS,
        reported={
            "test_accuracy": 0.8248,
            "test_loss": 0.9326,
            "train_accuracy": 0.9903,
            "train_loss": 0.0290,
            "epoch_seconds": 174,
        },
        reported_epochs=100,
        note="The document's evaluation ends in an error: the results are its last epoch's.",
    ),
    Design(
        name="hw5/large-less-dropout",
        parent="hw5/large",
        about="with dropout at its beginning and its end only.",
        build=partial(large, dropout_everywhere=False),
        recipe=sgd(epochs=25, batch_size=64),
        parameters=LARGE_PARAMETERS,
        reported={
            "test_accuracy": 0.7431,
            "test_loss": 1.4538,
            "train_accuracy": 0.9858,
            "train_loss": 0.0426,
            "epoch_seconds": 158,
        },
        reported_epochs=25,
    ),
    Design(
        name="hw5/wide",
        about="Three blocks of 48, 96 and 192 filters, without dropout.",
        build=wide,
        recipe=ADAM,
        parameters=WIDE_PARAMETERS,
        reported={
            "test_accuracy": 0.7807,
            "test_loss": 1.6265,
            "train_accuracy": 0.9925,
            "train_loss": 0.0264,
            "epoch_seconds": 139,
        },
        reported_epochs=100,
    ),
    Design(
        name="hw5/wide-aug",
        parent="hw5/wide",
        about="trained on for 200 epochs with zoom and flips.",
        build=wide_from,
        recipe=ADAM.replace(epochs=200, augmentation=ZOOMED_AND_FLIPPED),
        parameters=WIDE_PARAMETERS,
        reported={
            "test_accuracy": 0.8324,
            "test_loss": 1.1209,
            "train_accuracy": 0.9773,
            "train_loss": 0.0864,
            "steps": 390,
            "epoch_seconds": 149,
        },
        reported_epochs=200,
        starts_from="hw5/wide",
        same_optimizer=True,
    ),
    Design(
        name="hw5/wide-aug-dropout",
        about="The layers of hw5/wide with dropout, trained anew with zoom and flips.",
        build=partial(wide, dropout=True),
        recipe=ADAM.replace(augmentation=ZOOMED_AND_FLIPPED),
        parameters=WIDE_PARAMETERS,
        reported={
            "test_accuracy": 0.8342,
            "test_loss": 0.4954,
            "train_accuracy": 0.8322,
            "train_loss": 0.5194,
            "steps": 390,
            "epoch_seconds": 159,
        },
        reported_epochs=100,
    ),
    Design(
        name="hw5/batchnorm",
        about="Three blocks with BatchNorm and dropout, shifts and flips.",
        build=batchnorm,
        recipe=sgd(
            epochs=50,
            batch_size=64,
            augmentation=Augmentation(width_shift=0.1, height_shift=0.1, horizontal_flip=True),
        ),
        parameters=685_354,
        frozen=896,
        reported={
            "test_accuracy": 0.8315,
            "test_loss": 0.4913,
            "train_accuracy": 0.8229,
            "train_loss": 0.5259,
            "steps": 781,
            "epoch_seconds": 189,
        },
        reported_epochs=50,
    ),
]
