"""Plausible mistakes in a1-fully-connected."""

import shutil
from pathlib import Path

from nbgrading import ASSIGNMENTS, Wrong, edit_record, weaken

SWAPPED = """
axes = ["images", "columns", "rows", "channels"]
green = int(x_train[7, 20, 5, 1])
inputs = 3072
megabytes = 4 * x_train.size / 1_000_000
"""
ON_TRAINING_IMAGES = """
from course_utils import evaluate

cifar_accuracy = evaluate(trained.model, data.x_train, data.y_train, data.class_names).accuracy
mnist_accuracy = trained_mnist.evaluate(mnist).accuracy
size_ratio = trained.model.count_params() / trained_mnist.model.count_params()
"""
SOFTMAX_TWICE = """
def build_model():
    return keras.Sequential([
        keras.Input((32, 32, 3), dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
        layers.Softmax(dtype="float32"),
    ])


parameters_by_hand = 3072 * 128 + 128 * 64 + 64 * 10
"""


BYTES = """
def build_model():
    return keras.Sequential([
        keras.Input((32, 32, 3), dtype="uint8"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])


parameters_by_hand = 3073 * 64 + 65 * 10
"""
OTHER_FORMS = {
    "q2-model": """
def build_model():
    image = keras.Input((32, 32, 3), dtype="uint8")
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(image / 255))
    return keras.Model(image, keras.ops.softmax(layers.Dense(10)(hidden)))


parameters_by_hand = 3073 * 64 + 65 * 10
"""
}


def convolve_instead(folder: Path) -> None:
    """Hand in the network of the next assignment, with its record."""
    other = ASSIGNMENTS / "solutions" / "a2-cnn"
    shutil.copy(other / "a2-q3.keras", folder / "a1-q2.keras")
    shutil.copy(other / "a2-q3.json", folder / "a1-q2.json")
    edit_record("a1-q2", design="a1-q2")(folder)


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "swapped-axes",
            cells={"q1-answer": SWAPPED},
            earns={"q1-test": 2.0},
            says={"q1-test": "Image first, then row"},
        ),
        Wrong(
            "evaluated-on-training-images",
            cells={"q3-comparison": ON_TRAINING_IMAGES},
            earns={"q3-comparison-test": 2.0},
            says={"q3-comparison-test": "Evaluate on the images that the question names"},
        ),
        Wrong(
            "softmax-twice-and-no-biases",
            cells={"q2-model": SOFTMAX_TWICE},
            earns={"q2-model-test": 1.0},
            says={"q2-model-test": "A softmax of a softmax is nearly flat"},
        ),
        Wrong(
            "bytes-not-scaled",
            cells={"q2-model": BYTES},
            earns={"q2-model-test": 3.5},
            says={"q2-model-test": "✗ images scaled in the first layer"},
        ),
        Wrong(
            "convolutions-where-dense-layers-are-asked",
            artefacts=convolve_instead,
            earns={"q2-accuracy-test": 0.0, "q3-comparison-test": 3.0},
            says={"q2-accuracy-test": "another network than the one asked for"},
        ),
        Wrong(
            "missed-by-two-points",
            artefacts=weaken("a1-q2", 0.187),  # 43% of the test images
            earns={"q2-accuracy-test": 4.8, "q3-comparison-test": 3.0},
            says={"q2-accuracy-test": "required: 45%"},
        ),
    ]
