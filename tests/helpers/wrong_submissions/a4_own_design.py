"""Plausible mistakes in a4-own-design."""

import json
from pathlib import Path

import keras
from nbgrading import Wrong, weaken

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


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
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
