"""Plausible mistakes in a4-own-design."""

import json
from pathlib import Path

import keras
from keras import layers
from nbgrading import Wrong, weaken

from course_utils import zoo

EPOCHS = 26

# The next question's network must stay the one that was handed in.


def one_epoch_too_many(folder: Path) -> None:
    """Make recipe and history agree on 26 epochs."""
    path = folder / "a4-q9.json"
    record = json.loads(path.read_text())
    record["recipe"]["epochs"] = EPOCHS
    for values in record["history"].values():
        if isinstance(values, list):
            values += values[-1:] * (EPOCHS - len(values))
    path.write_text(json.dumps(record))


def ready_made(folder: Path) -> None:
    """Put the network's layers into one that has a ready-made network's name."""
    path = folder / "a4-q9.keras"
    own = keras.models.load_model(path, compile=False)
    body = keras.Sequential(own.layers[:-2], name="resnet50_features")
    network = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), body, *own.layers[-2:]])
    network.save(path)


def other_changes_too(folder: Path) -> None:
    """Give the network with BatchNorm dropout and weight penalties, too, which do not show now."""
    path = folder / "a4-with.keras"
    trained = keras.models.load_model(path, compile=False)
    network = keras.Sequential([keras.Input((32, 32, 3), dtype="uint8")])
    for layer in trained.layers:
        if isinstance(layer, layers.Conv2D):
            layer.kernel_regularizer = keras.regularizers.L2(1e-4)
        network.add(layer)
        if isinstance(layer, layers.MaxPooling2D):
            network.add(layers.Dropout(0.3))
    network.save(path)


def paste(folder: Path) -> None:
    """Hand in the network of the chapter, with average- in place of max-pooling."""
    keras.utils.set_random_seed(0)
    zoo.build("fast/final-average-pooling").save(folder / "a4-q9.keras")


ROUNDED_UP_FROM_A_HALF = """
def learning_rate(step, steps, highest, warmup):
    turn = int(warmup * steps + 0.5)
    if step < turn:
        return highest * step / turn
    return highest * (1 + np.cos(np.pi * (step - turn) / (steps - turn))) / 2
"""
CUT_OFF = ROUNDED_UP_FROM_A_HALF.replace(" + 0.5", "")
OTHER_FORMS = {"q9b-answer": ROUNDED_UP_FROM_A_HALF}


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "warm-up-cut-off",
            cells={"q9b-answer": CUT_OFF},
            earns={"q9b-test": 4 / 3},
            says={"q9b-test": "✗ learning_rate during the warm-up"},
        ),
        Wrong(
            "three-choices-at-once",
            artefacts=other_changes_too,
            earns={"q9d-test": 2.0},
            says={"q9d-test": "you changed batchnorm, dropout, regularisation"},
        ),
        Wrong(
            "network-of-the-chapter",
            artefacts=paste,
            earns={"q9e-test": 0.0},
            says={"q9e-test": "the layers are those of fast/final, a network of the book"},
        ),
        Wrong(
            "one-epoch-too-many",
            artefacts=one_epoch_too_many,
            earns={"q9e-test": 0.0},
            says={"q9e-test": "26 epochs, at most 25 are allowed"},
        ),
        Wrong(
            "ready-made-network",
            artefacts=ready_made,
            earns={"q9e-test": 0.0},
            says={"q9e-test": "a ready-made network"},
        ),
        Wrong(
            "missed-by-two-points",
            artefacts=weaken("a4-q9", 0.328),  # 73% of the test images
            earns={"q9e-test": 4.0},
            says={"q9e-test": "required: 75%"},
        ),
    ]
