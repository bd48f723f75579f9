"""The networks of the document `tbmi26`, one for each question of its lab.

The document gives the layers of the fully connected network and of the CNN, the optimizer
(stochastic gradient descent, learning rate 0.01, old Keras' decay 1e-6, Nesterov momentum 0.9)
and, for batch normalisation, 15 epochs. It gives no batch sizes and no other numbers of epochs:
those are ours.
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from course_utils.recipes import Augmentation, Recipe
from course_utils.zoo.blocks import IMAGE, class_probabilities, scaled_input
from course_utils.zoo.design import Design, Document

DOCUMENT = Document("tbmi26", validation="The document does not say which images it validates on.")
SGD = Recipe(
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    nesterov=True,
    schedule="inverse_time",
    decay=1e-6,
    batch_size=64,
    epochs=15,
)

WEIGHT_DECAY = (
    f"The document calls {SGD.decay:g} a weight decay; we read it as the `decay` of old Keras, "
    "which lowers the learning rate from step to step."
)
BATCHES_AND_EPOCHS = (
    f"The document gives no batch size and no number of epochs: {SGD.batch_size} and {SGD.epochs} "
    f"are ours. {WEIGHT_DECAY}"
)


def fully_connected(
    widths: tuple[int, ...] = (3072, 1000),
    activation: str = "tanh",
    shape: tuple[int, ...] = IMAGE,
) -> keras.Model:
    """Dense layers with `widths` units on the flattened image of the given shape."""
    hidden = [layers.Dense(width, activation=activation) for width in widths]
    return keras.Sequential(
        [*scaled_input(shape), layers.Flatten(), *hidden, class_probabilities()]
    )


def cnn(dropout: float = 0.0, batch_normalisation: bool = False) -> keras.Model:
    """Three times convolution and max-pooling, then one dense layer of 120 units.

    With `dropout`, that fraction of the values is dropped after each max-pooling; with
    `batch_normalisation`, each convolution is normalised before its ReLU.
    """
    model = keras.Sequential(scaled_input())
    for filters, kernel, pool in ((32, 5, 2), (64, 4, 3), (120, 2, 2)):
        model.add(layers.Conv2D(filters, kernel))
        if batch_normalisation:
            model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D(pool))
        if dropout:
            model.add(layers.Dropout(dropout))
    model.add(layers.Flatten())
    model.add(layers.Dense(120, activation="relu"))
    model.add(class_probabilities())
    return model


def final() -> keras.Model:
    """Three times convolution, BatchNorm, ReLU, max-pooling, dropout; one dense layer."""
    model = keras.Sequential(scaled_input())
    for filters, dropout in ((32, 0.05), (64, 0.10), (96, 0.15)):
        model.add(layers.Conv2D(filters, 3, padding="same"))
        model.add(layers.BatchNormalization(momentum=0.75))
        model.add(layers.ReLU())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(dropout))
    model.add(layers.Flatten())
    model.add(layers.Dense(374, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(class_probabilities())
    return model


DESIGNS = [
    Design(
        name="tbmi26/mnist-200",
        about="The first lab: one hidden layer of 200 units on MNIST.",
        build=partial(fully_connected, widths=(200,), shape=(28, 28, 1)),
        recipe=SGD.replace(epochs=10),
        parameters=159_010,
        dataset="mnist",
        reported={"test_accuracy": 0.96},
        note="The document gives the layer's size; activation and recipe are ours.",
    ),
    Design(
        name="tbmi26/fully-connected",
        about="Two hidden layers of 3,072 and 1,000 tanh units.",
        build=fully_connected,
        recipe=SGD,
        parameters=12_523_266,
        reported={"test_accuracy": 0.47},
        note=BATCHES_AND_EPOCHS,
    ),
    Design(
        name="tbmi26/cnn",
        about="Three convolutions with max-pooling and one dense layer.",
        build=cnn,
        recipe=SGD,
        parameters=81_834,
        reported={"test_accuracy": 0.6307, "val_accuracy": 0.6413, "train_accuracy": 0.7559},
        note=BATCHES_AND_EPOCHS,
    ),
    Design(
        name="tbmi26/dropout",
        about="The CNN with dropout of 0.2 after each max-pooling.",
        build=partial(cnn, dropout=0.2),
        recipe=SGD,
        parameters=81_834,
        reported={"test_accuracy": 0.6324, "val_accuracy": 0.6361, "train_accuracy": 0.6061},
        note=BATCHES_AND_EPOCHS,
    ),
    Design(
        name="tbmi26/batchnorm",
        about="The CNN with batch normalisation before each ReLU of its convolutions.",
        build=partial(cnn, batch_normalisation=True),
        recipe=SGD,
        parameters=82_698,
        frozen=432,
        note=(
            "Where the layers stand is ours: the document says only that they were added. Its "
            f"batch size is ours, too: {SGD.batch_size}. {WEIGHT_DECAY}"
        ),
    ),
    Design(
        name="tbmi26/final",
        about="Convolution, BatchNorm, ReLU, max-pooling and dropout, three times; then dense.",
        build=final,
        recipe=Recipe(
            optimizer="adam",
            learning_rate=2e-3,
            schedule="cosine",
            warmup=0.1,
            batch_size=128,
            epochs=25,
            augmentation=Augmentation(horizontal_flip=True, shift=2),
        ),
        parameters=654_140,
        frozen=384,
        reported={"test_accuracy": 0.782},
        note=(
            "The document gives the block's structure, the dropout rates, BatchNorm's momentum "
            "and 654,454 parameters, 654,068 of them trainable. The layers (654,140 and 653,756) "
            "and the recipe are ours."
        ),
    ),
]
