"""Networks for two CPU cores, which the fast profile of the chapters trains.

They and their recipes are ours. Each takes about a minute, while the document's network, or its
recipe, would take many. The networks `fast/final-...` change one thing each, so that a comparison
shows its effect.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from course_utils.recipes import Augmentation, Recipe
from course_utils.zoo import tbmi26
from course_utils.zoo.blocks import class_probabilities, convolution, scaled_input
from course_utils.zoo.design import Design

QUICK = Recipe(optimizer="adam", learning_rate=1e-3, schedule="cosine", warmup=0.3)
FINAL = Recipe(
    optimizer="adamw",
    learning_rate=4e-3,
    weight_decay=0.01,
    schedule="cosine",
    warmup=0.3,
    batch_size=256,
    epochs=5,
    augmentation=Augmentation(horizontal_flip=True, shift=2),
)


def final(
    filters: tuple[int, ...] = (64, 128, 128),
    pooling: type[layers.Layer] = layers.MaxPooling2D,
    batch_normalisation: bool = True,
    dropout: tuple[float, ...] = (),
    pooled_start: bool = False,
    pooling_last: bool = False,
    hidden: tuple[int, ...] = (),
) -> keras.Model:
    """A strided convolution, then blocks of convolution, pooling, BatchNorm and ReLU.

    The first convolution moves in steps of two pixels, so that all later layers see a quarter of
    the positions and cost a quarter of the time; with `pooled_start`, pooling after it has the same
    effect. With `pooling_last`, the blocks pool after BatchNorm and ReLU. `dropout` holds one rate
    for each block and one for the flattened features; `hidden` holds the widths of dense layers
    before the last one.
    """
    model = keras.Sequential(scaled_input())
    model.add(convolution(32, 4, strides=1 if pooled_start else 2))
    if pooled_start:
        model.add(pooling(2))
    for number, width in enumerate(filters):
        model.add(layers.Conv2D(width, 3, padding="same", use_bias=not batch_normalisation))
        if not pooling_last:
            model.add(pooling(2))
        if batch_normalisation:
            model.add(layers.BatchNormalization(momentum=0.75))
        model.add(layers.ReLU())
        if pooling_last:
            model.add(pooling(2))
        if dropout:
            model.add(layers.Dropout(dropout[number]))
    model.add(layers.Flatten())
    if dropout:
        model.add(layers.Dropout(dropout[-1]))
    for width in hidden:
        model.add(layers.Dense(width, activation="relu"))
    model.add(class_probabilities())
    return model


DESIGNS = [
    Design(
        name="fast/mnist-200",
        about="One hidden layer of 200 ReLU units on MNIST.",
        build=partial(tbmi26.fully_connected, (200,), "relu", (28, 28, 1)),
        recipe=QUICK.replace(epochs=4),
        parameters=159_010,
        dataset="mnist",
    ),
    Design(
        name="fast/fully-connected",
        about="Two hidden layers of 512 and 256 ReLU units.",
        build=partial(tbmi26.fully_connected, (512, 256), "relu"),
        recipe=QUICK.replace(epochs=4),
        parameters=1_707_274,
    ),
    Design(
        name="fast/cnn",
        about="The layers of tbmi26/cnn with a quick recipe.",
        build=tbmi26.cnn,
        recipe=QUICK.replace(learning_rate=3e-3, epochs=5),
        parameters=81_834,
    ),
    Design(
        name="fast/dropout",
        about="The layers of tbmi26/dropout with the recipe of fast/cnn.",
        build=partial(tbmi26.cnn, dropout=0.2),
        recipe=QUICK.replace(learning_rate=3e-3, epochs=5),
        parameters=81_834,
    ),
    Design(
        name="fast/batchnorm",
        about="The layers of tbmi26/batchnorm with the recipe of fast/cnn, for three epochs.",
        build=partial(tbmi26.cnn, batch_normalisation=True),
        recipe=QUICK.replace(learning_rate=3e-3, epochs=3),
        parameters=82_698,
        frozen=432,
    ),
    Design(
        name="fast/final",
        about="Four convolutions, three of them with max-pooling and BatchNorm; no dense one.",
        build=final,
        recipe=FINAL,
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-without-augmentation",
        parent="fast/final",
        about="trained on the images as they are.",
        build=final,
        recipe=FINAL.replace(augmentation=None),
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-without-batchnorm",
        parent="fast/final",
        about="with biases in place of its BatchNorm layers.",
        build=partial(final, batch_normalisation=False),
        recipe=FINAL,
        parameters=246_634,
    ),
    Design(
        name="fast/final-constant-rate",
        parent="fast/final",
        about="trained with Adam's usual learning rate of 0.001 throughout.",
        build=final,
        recipe=FINAL.replace(schedule="constant", warmup=0.0, learning_rate=1e-3),
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-average-pooling",
        parent="fast/final",
        about="with average-pooling in place of max-pooling.",
        build=partial(final, pooling=layers.AveragePooling2D),
        recipe=FINAL,
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-narrow",
        parent="fast/final",
        about="with half as many filters in its three blocks.",
        build=partial(final, filters=(32, 64, 64)),
        recipe=FINAL,
        parameters=69_290,
        frozen=320,
    ),
    Design(
        name="fast/final-with-dropout",
        parent="fast/final",
        about="with the document's dropout: 0.05 to 0.15, and 0.5 at the end.",
        build=partial(final, dropout=(0.05, 0.10, 0.15, 0.5)),
        recipe=FINAL,
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-pooling-at-the-start",
        parent="fast/final",
        about="with max-pooling after a first convolution of stride 1, in place of stride 2.",
        build=partial(final, pooled_start=True),
        recipe=FINAL,
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-batchnorm-before-pooling",
        parent="fast/final",
        about="with max-pooling after BatchNorm and ReLU, not before them.",
        build=partial(final, pooling_last=True),
        recipe=FINAL,
        parameters=247_594,
        frozen=640,
    ),
    Design(
        name="fast/final-hidden-layer",
        parent="fast/final",
        about="with the document's dense layer of 374 units before the last one.",
        build=partial(final, hidden=(374,)),
        recipe=FINAL,
        parameters=438_076,
        frozen=640,
    ),
]
