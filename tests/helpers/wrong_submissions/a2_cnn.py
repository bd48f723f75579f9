"""Plausible mistakes in a2-cnn."""

import json
from pathlib import Path

import keras
from keras import layers
from nbgrading import Wrong, edit_record, weaken

SWAPPED = """
def conv_output(size, kernel, stride, padding):
    if padding == "same":
        return int(np.ceil(size / kernel))
    return (size - stride) // kernel + 1


def conv_parameters(kernel, channels_in, filters):
    return (kernel * kernel * channels_in + 1) * filters
"""
TOO_LARGE = """
def build_cnn():
    return keras.Sequential([
        keras.Input((32, 32, 3), dtype="uint8"),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])
"""


BYTES = """
def build_cnn():
    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])
"""
PASTED = """
def build_cnn():
    return keras.Sequential([
        keras.Input((32, 32, 3), dtype="uint8"),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Conv2D(32, 5, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 4, activation="relu"),
        layers.MaxPooling2D(3),
        layers.Conv2D(120, 2, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(120, activation="relu"),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])
"""
OTHER_FORMS = {
    "q3-model": """
def build_cnn():
    image = keras.Input((32, 32, 3), dtype="uint8")
    maps = keras.activations.relu(layers.Conv2D(16, 3, strides=2)(image * (2 / 255) - 1))
    scores = layers.Dense(10)(layers.Flatten()(maps))
    return keras.Model(image, keras.activations.softmax(scores))
"""
}


def hand_in_too_large(folder: Path) -> None:
    """Put the network of `TOO_LARGE` in the place of the one that was handed in."""
    names = {"keras": keras, "layers": layers}
    exec(TOO_LARGE, names)
    model = names["build_cnn"]()
    model.save(folder / "a2-q3.keras")
    edit_record("a2-q3", parameters=model.count_params())(folder)


def longer_epochs(folder: Path) -> None:
    """Make the record one of three epochs that are a hundred passes each."""
    path = folder / "a2-q3.json"
    record = json.loads(path.read_text())
    steps = 100 * record["train_images"] // record["recipe"]["batch_size"]
    record["recipe"]["steps_per_epoch"] = steps
    path.write_text(json.dumps(record))


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "bytes-not-scaled",
            cells={"q3-model": BYTES},
            earns={"q3-model-test": 1.75},
            says={"q3-model-test": "✗ images scaled in the first layer"},
        ),
        Wrong(
            "network-of-the-chapter",
            cells={"q3-model": PASTED},
            earns={"q3-model-test": 0.0},
            says={"q3-model-test": "the layers are those of tbmi26/cnn, a network of the book"},
        ),
        Wrong(
            "kernel-and-stride-swapped",
            cells={"q1-functions": SWAPPED},
            earns={"q1-functions-test": 1.5},
            says={"q1-functions-test": "The last window starts kernel - 1 values before the end"},
        ),
        Wrong(
            "missed-by-two-points",
            artefacts=weaken("a2-q3", 0.61),  # 60% of the test images
            earns={"q3-accuracy-test": 4.0},
            says={"q3-accuracy-test": "required: 62%"},
        ),
        Wrong(
            "epochs-of-many-passes",
            artefacts=longer_epochs,
            earns={"q3-accuracy-test": 0.0},
            says={"q3-accuracy-test": "epochs, at most 25 are allowed"},
        ),
        Wrong(
            "too-many-parameters",
            cells={"q3-model": TOO_LARGE},
            artefacts=hand_in_too_large,
            earns={"q3-model-test": 1.0, "q3-accuracy-test": 0.0},
            says={
                "q3-model-test": "At most 300,000 are allowed",
                "q3-accuracy-test": "at most 300,000 are allowed",
            },
        ),
    ]
