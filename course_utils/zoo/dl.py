"""The networks of the document `dl`: ten models, each one step from the one before.

All use Adam with its default learning rate, batches of 128 images and 30 epochs, unless a model's
recipe says otherwise. The document does not say how many images it validates on (ours: the data
set's own validation images), nor how it scales the pixels (ours: 0 to 1).
"""

from __future__ import annotations

from functools import partial

import keras
from keras import layers

from course_utils.recipes import Augmentation, EarlyStopping, Recipe
from course_utils.zoo.blocks import classifier, convolution, scaled_input
from course_utils.zoo.design import Design, Document, Misprint, ParameterCounts

DOCUMENT = Document("dl", validation="The document does not say how many images it validates on.")
ADAM = Recipe(optimizer="adam", learning_rate=1e-3, batch_size=128, epochs=30)


def network(
    filters: tuple[int, ...],
    batch_normalisation: bool = True,
    dropout: tuple[float, ...] = (),
    dense: tuple[int, ...] = (),
) -> keras.Model:
    """Blocks of two 3x3 convolutions and a max-pooling, then dense layers.

    Parameters
    ----------
    filters : tuple of int
        One number for each block.
    batch_normalisation : bool
        Whether BatchNorm follows each convolution.
    dropout : tuple of float
        One rate for each block, or none.
    dense : tuple of int
        Units of the dense layers before the last one.
    """
    model = keras.Sequential(scaled_input(lowest=0))
    for number, width in enumerate(filters):
        for _ in range(2):
            model.add(convolution(width))
            if batch_normalisation:
                model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
        if dropout:
            model.add(layers.Dropout(dropout[number]))
    for layer in classifier(dense):
        model.add(layer)
    return model


LAST = partial(network, (32, 64, 128), dropout=(0.2, 0.3, 0.4), dense=(128, 64))
LAST_PARAMETERS: ParameterCounts = {"parameters": 559_978, "frozen": 896}

DESIGNS = [
    Design(
        name="dl/1",
        about="Two convolutions and a max-pooling.",
        build=partial(network, (32,), batch_normalisation=False),
        recipe=ADAM,
        parameters=92_074,
        reported={"test_accuracy": 0.6207},
        reported_epochs=30,
    ),
    Design(
        name="dl/2",
        parent="dl/1",
        about="with a second block of 64 filters.",
        build=partial(network, (32, 64), batch_normalisation=False),
        recipe=ADAM,
        parameters=106_538,
        reported={"test_accuracy": 0.7151},
        reported_epochs=30,
    ),
    Design(
        name="dl/3",
        parent="dl/2",
        about="with BatchNorm after each convolution.",
        build=partial(network, (32, 64)),
        recipe=ADAM,
        parameters=107_306,
        frozen=384,
        reported={"test_accuracy": 0.7115},
        reported_epochs=30,
    ),
    Design(
        name="dl/4",
        parent="dl/3",
        about="with dropout of 0.2 after each block.",
        build=partial(network, (32, 64), dropout=(0.2, 0.2)),
        recipe=ADAM,
        parameters=107_306,
        frozen=384,
        reported={"test_accuracy": 0.7575},
        reported_epochs=30,
        misprints=(
            Misprint("parameters", 187_386, 107_306),
            Misprint("trainable parameters", 186_922, 106_922),
        ),
    ),
    Design(
        name="dl/5",
        parent="dl/4",
        about="with a third block of 64 filters.",
        build=partial(network, (32, 64, 64), dropout=(0.2, 0.2, 0.2)),
        recipe=ADAM,
        parameters=150_954,
        frozen=640,
        reported={"test_accuracy": 0.8111},
        reported_epochs=30,
    ),
    Design(
        name="dl/6",
        parent="dl/5",
        about="with 128 filters in the third block and two dense layers.",
        build=partial(network, (32, 64, 128), dropout=(0.2, 0.2, 0.2), dense=(128, 64)),
        recipe=ADAM,
        **LAST_PARAMETERS,
        reported={"test_accuracy": 0.8072},
        reported_epochs=30,
    ),
    Design(
        name="dl/7",
        parent="dl/6",
        about="with dropout that rises from block to block: 0.2, 0.3, 0.4.",
        build=LAST,
        recipe=ADAM,
        **LAST_PARAMETERS,
        reported={"test_accuracy": 0.8191},
        reported_epochs=30,
        misprints=(Misprint("trainable parameters", 559_882, 559_082),),
    ),
    Design(
        name="dl/8",
        parent="dl/7",
        about="in batches of 256 images.",
        build=LAST,
        recipe=ADAM.replace(batch_size=256),
        **LAST_PARAMETERS,
        reported_epochs=30,
        note="The document says that accuracy rose, and gives no number.",
    ),
    Design(
        name="dl/9",
        parent="dl/8",
        about="stopped when the validation loss no longer falls.",
        build=LAST,
        recipe=ADAM.replace(
            batch_size=256,
            epochs=150,
            early_stopping=EarlyStopping(
                monitor="val_loss", patience=5, min_delta=0.01, keep_best=False
            ),
        ),
        **LAST_PARAMETERS,
        note="The document gives no number, and no limit of epochs: 150 is that of dl/10.",
    ),
    Design(
        name="dl/10",
        parent="dl/9",
        about="with augmentation, batches of 516 images and more patience.",
        build=LAST,
        recipe=ADAM.replace(
            batch_size=516,
            epochs=150,
            augmentation=Augmentation(
                rotation=15, zoom=0.1, width_shift=0.1, height_shift=0.1, horizontal_flip=True
            ),
            early_stopping=EarlyStopping(
                monitor="val_loss", patience=15, min_delta=0.01, keep_best=False
            ),
        ),
        **LAST_PARAMETERS,
        note="The document gives no number, and not what its augmentation changes: that is ours.",
    ),
]
