"""The networks of the document `hw3`: a base model, ablations of it, and transfer learning.

All use Adam with its default learning rate, batches of 32 images, 2/9 of the training images for
validation, and 100 epochs at most: training stops when the validation accuracy has not risen for
five epochs, and the weights of the last epoch are kept. The document does not say how the pixels
are scaled (ours: 0 to 1).
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import keras
from keras import layers, regularizers

from course_utils import transfer
from course_utils.recipes import Augmentation, EarlyStopping, Recipe
from course_utils.zoo.blocks import classifier, convolution, scaled_input
from course_utils.zoo.design import Design, Document, Features, ParameterCounts

DOCUMENT = Document(
    "hw3",
    validation=(
        "The document validates on the last images of the training set; ours are spread over it."
    ),
)
RECIPE = Recipe(
    optimizer="adam",
    learning_rate=1e-3,
    batch_size=32,
    epochs=100,
    validation_split=2 / 9,
    early_stopping=EarlyStopping(monitor="val_accuracy", patience=5, keep_best=False),
)
TRANSFER = (
    "The document's backbone has 156 layers, of which it fine-tunes 120; it does not say which "
    "one it is, to what size it enlarges the images, or whether it averages the maps. Ours are "
    "MobileNet up to block 12, 96 x 96 pixels, the head of the base model on averaged maps, "
    "BatchNorm in inference mode, and one block to fine-tune."
)
RATE = " The learning rate is that of its other networks: it gives none for this one."
NO_NUMBER = "The document gives no number: "


def network(
    filters: tuple[int, ...] = (32, 64, 128),
    dense: tuple[int, ...] = (256, 64),
    kernel: int = 3,
    poolings: int = 2,
    dropout: float = 0.0,
    l1_l2: tuple[float, float] | None = None,
) -> keras.Model:
    """Blocks of two convolutions and a max-pooling, then dense layers.

    Parameters
    ----------
    filters, dense : tuple of int
        One number for each block, and for each dense layer before the last one.
    kernel : int
        Height and width of the convolutions' kernels.
    poolings : int
        Number of max-poolings at the end of the last block.
    dropout : float
        Rate after each block and each dense layer.
    l1_l2 : tuple of float, optional
        Weights of the L1 and of the L2 penalty on every kernel except the last layer's.
    """
    penalty = {"kernel_regularizer": regularizers.L1L2(*l1_l2)} if l1_l2 else {}
    model = keras.Sequential(scaled_input(lowest=0))
    for width in filters:
        model.add(convolution(width, kernel, **penalty))
        model.add(convolution(width, kernel, **penalty))
        for _ in range(poolings if width == filters[-1] else 1):
            model.add(layers.MaxPooling2D())
        if dropout:
            model.add(layers.Dropout(dropout))
    for layer in classifier(dense, dropout, **penalty):
        model.add(layer)
    return model


def valid_padding() -> keras.Model:
    """The base model, padded in its last convolution only, with one max-pooling per block."""
    model = keras.Sequential(scaled_input(lowest=0))
    for width in (32, 64, 128):
        model.add(convolution(width, padding="valid"))
        model.add(convolution(width, padding="same" if width == 128 else "valid"))
        model.add(layers.MaxPooling2D())
    for layer in classifier((256, 64)):
        model.add(layer)
    return model


def head(dropout: float = 0.2) -> keras.Model:
    """The end of the base model, with dropout before each layer, for the features of a backbone."""
    return keras.Sequential(
        [keras.Input((1024,)), layers.Dropout(dropout), *classifier((256, 64), dropout)],
        name="head",
    )


def on_features() -> keras.Model:
    """MobileNet without its last block, frozen, with a head on top."""
    return keras.Sequential([transfer.backbone(**asdict(POOLED)), head()])


def fine_tuned(previous: keras.Model | None = None, dropout: float = 0.2) -> keras.Model:
    """The same network, frozen up to block 11 only.

    Parameters
    ----------
    previous : keras.Model, optional
        A trained model of `on_features`, whose head's weights are copied. Default: a new head.
    dropout : float
        Rate in the head.
    """
    ending = head(dropout)
    if previous:
        ending.set_weights(previous.layers[-1].get_weights())
    tail = transfer.tail(MAPS.cut, MAPS.size, head=ending)
    return keras.Sequential([transfer.backbone(**asdict(MAPS)), tail])


POOLED = Features(cut="conv_pw_12_relu", pooled=True, size=96)
MAPS = Features(cut="conv_pw_11_relu", pooled=False, size=96)
BASE_PARAMETERS = 435_434
FINE_TUNED_PARAMETERS: ParameterCounts = {"parameters": 2_442_378, "frozen": 1_633_984}

DESIGNS = [
    Design(
        name="hw3/base",
        about="Three blocks of two convolutions, two dense layers; the model all others vary.",
        build=network,
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        reported={"test_accuracy": 0.74},
        reported_epochs=15,
    ),
    Design(
        name="hw3/2-blocks",
        about="Two blocks of 32 and 16 filters, one dense layer of 64.",
        build=partial(network, filters=(32, 16), dense=(64,), poolings=1),
        recipe=RECIPE,
        parameters=83_338,
        reported={"test_accuracy": 0.69},
        reported_epochs=16,
    ),
    Design(
        name="hw3/4-blocks",
        about="A fourth block of 256 filters; dense layers of 512, 128 and 32.",
        build=partial(network, filters=(32, 64, 128, 256), dense=(512, 128, 32), poolings=1),
        recipe=RECIPE,
        parameters=1_767_178,
        reported={
            "test_accuracy": 0.7247,
            "test_loss": 1.1207,
            "val_accuracy": 0.7339,
            "val_loss": 1.0829,
            "train_accuracy": 0.9121,
            "train_loss": 0.2556,
            "steps": 1_216,
            "epoch_seconds": 9,
        },
        reported_epochs=15,
    ),
    Design(
        name="hw3/kernel-5",
        about="Kernels of 5x5 in place of 3x3.",
        build=partial(network, kernel=5),
        recipe=RECIPE,
        parameters=944_874,
        reported={"test_accuracy": 0.70},
        reported_epochs=16,
    ),
    Design(
        name="hw3/double",
        about="Twice as many filters.",
        build=partial(network, filters=(64, 128, 256)),
        recipe=RECIPE,
        parameters=1_424_906,
        note=NO_NUMBER + "accuracy and epochs are about those of the base model.",
    ),
    Design(
        name="hw3/half",
        about="Half as many filters.",
        build=partial(network, filters=(16, 32, 64)),
        recipe=RECIPE,
        parameters=154_970,
        note=NO_NUMBER + "accuracy falls with the number of filters.",
    ),
    Design(
        name="hw3/quarter",
        about="A quarter as many filters.",
        build=partial(network, filters=(8, 16, 32)),
        recipe=RECIPE,
        parameters=68_306,
        reported={
            "test_accuracy": 0.6548,
            "test_loss": 1.1578,
            "val_accuracy": 0.6657,
            "val_loss": 1.1268,
            "train_accuracy": 0.8209,
            "train_loss": 0.4955,
            "steps": 1_216,
            "epoch_seconds": 6,
        },
        reported_epochs=22,
    ),
    Design(
        name="hw3/valid-padding",
        about="Padding in the last convolution only; one max-pooling less.",
        build=valid_padding,
        recipe=RECIPE,
        parameters=337_130,
        note=NO_NUMBER + "accuracy is slightly below that of the base model.",
    ),
    Design(
        name="hw3/dropout-0.1",
        about="Dropout of 0.1 after each block and each dense layer.",
        build=partial(network, dropout=0.1),
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        note=NO_NUMBER + "0.2 is called the best of the three rates.",
    ),
    Design(
        name="hw3/dropout-0.2",
        about="Dropout of 0.2 after each block and each dense layer.",
        build=partial(network, dropout=0.2),
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        reported={"test_accuracy": 0.79},
        reported_epochs=31,
    ),
    Design(
        name="hw3/dropout-0.3",
        about="Dropout of 0.3 after each block and each dense layer.",
        build=partial(network, dropout=0.3),
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        note=NO_NUMBER + "about as with 0.2, after more epochs.",
    ),
    Design(
        name="hw3/l1l2",
        about="An L1 penalty of 0.00001 and an L2 penalty of 0.0001 on the kernels.",
        build=partial(network, l1_l2=(1e-5, 1e-4)),
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        reported={"test_accuracy": 0.75},
        reported_epochs=24,
    ),
    Design(
        name="hw3/l1l2-strong",
        about="L1 and L2 penalties of 0.3: nothing is learnt.",
        build=partial(network, l1_l2=(0.3, 0.3)),
        recipe=RECIPE,
        parameters=BASE_PARAMETERS,
        note=NO_NUMBER + "there is no training at all.",
    ),
    Design(
        name="hw3/transfer-features",
        about="A head on the features of a frozen MobileNet.",
        build=on_features,
        recipe=RECIPE.replace(epochs=8, early_stopping=None),
        parameters=2_442_378,
        frozen=2_162_880,
        reported={"test_accuracy": 0.5150, "test_loss": 1.3443},
        reported_epochs=8,
        note=TRANSFER,
        features=POOLED,
    ),
    Design(
        name="hw3/transfer-finetune",
        parent="hw3/transfer-features",
        about="trained on with the last block of its MobileNet.",
        build=fine_tuned,
        recipe=RECIPE.replace(epochs=60),
        **FINE_TUNED_PARAMETERS,
        reported={
            "test_accuracy": 0.7292,
            "test_loss": 1.3093,
            "val_accuracy": 0.7455,
            "val_loss": 1.2033,
            "train_accuracy": 0.9351,
            "train_loss": 0.2086,
            "steps": 1_216,
            "epoch_seconds": 98,
        },
        reported_epochs=23,
        reported_images=123 * RECIPE.batch_size,
        note=TRANSFER + RATE,
        contradiction=(
            "The printed evaluation is unfinished: it stands at 123 of 313 batches, so the "
            "accuracy is that of two fifths of the test images."
        ),
        starts_from="hw3/transfer-features",
        features=MAPS,
    ),
    Design(
        name="hw3/transfer-finetune-dropout-0.3",
        parent="hw3/transfer-finetune",
        about="with dropout of 0.3 in the head.",
        build=partial(fine_tuned, dropout=0.3),
        recipe=RECIPE.replace(epochs=60),
        **FINE_TUNED_PARAMETERS,
        note=NO_NUMBER + "it does not help against overfitting.",
        starts_from="hw3/transfer-features",
        features=MAPS,
    ),
    Design(
        name="hw3/transfer-finetune-ours",
        parent="hw3/transfer-finetune",
        about="in larger batches with flips, at a lower rate, for ten minutes; the best weights.",
        build=fine_tuned,
        recipe=RECIPE.replace(
            learning_rate=3e-4,
            batch_size=128,
            epochs=10,
            early_stopping=EarlyStopping(monitor="val_accuracy", patience=5),
            augmentation=Augmentation(horizontal_flip=True),
        ),
        **FINE_TUNED_PARAMETERS,
        note="This recipe is ours, not the document's: it ends within ten minutes on two cores.",
        starts_from="hw3/transfer-features",
        features=MAPS,
    ),
]
