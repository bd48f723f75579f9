"""Plausible mistakes in a6-transfer."""

from pathlib import Path

import keras
import pytest
from nbgrading import Wrong

from course_utils import transfer
from course_utils.errors import DataError

DEPTHWISE_MIXES_CHANNELS = """
def ordinary(size, kernel, channels_in, channels_out):
    return size**2 * channels_out * kernel**2 * channels_in


def separable(size, kernel, channels_in, channels_out):
    return size**2 * (kernel**2 * channels_in * channels_in + channels_in * channels_out)
"""
ON_TRAINING_IMAGES = """
from course_utils import evaluate

head_accuracy = evaluate(
    trained_head.model, pooled.x_train, pooled.y_train, pooled.class_names
).accuracy
frozen_parameters = transfer.backbone().count_params()
trained_share = 10_250 / (10_250 + frozen_parameters)
"""
WRONG_SCALING = """
probed, mistaken = {}, {}
for name, value_range in (("-1 to 1", (0, 1)), ("0 to 1", (0, 1)), ("0 to 255", (0, 255))):
    few_x, judged_x = (
        transfer.features(x, "conv_pw_12_relu", pooled=True, value_range=value_range)
        for x in (few_images, judged_images)
    )
    probed[name] = probe(few_x, judged_x)
    guesses = trained_head.model.predict(judged_x, verbose=0).argmax(axis=1)
    mistaken[name] = (guesses == judged_labels).mean()
"""


def freeze(folder: Path) -> None:
    """Hand in a tail of which nothing but the head can have learned."""
    path = folder / "a6-q3.keras"
    model = keras.models.load_model(path, compile=False)
    for layer in model._flatten_layers(include_self=False):
        if layer.name.startswith("conv_"):
            layer.trainable = False
    model.save(path)


def wrong() -> list[Wrong]:
    """Return the submissions."""
    try:
        transfer.find_weights()
    except DataError as error:
        pytest.skip(str(error))
    return [
        Wrong(
            "depthwise-mixes-channels",
            cells={"q1-multiply": DEPTHWISE_MIXES_CHANNELS},
            earns={"q1-multiply-test": 1.0},
            says={"q1-multiply-test": "The depthwise part does not mix channels"},
        ),
        Wrong(
            "reported-on-training-images",
            cells={"q2-numbers": ON_TRAINING_IMAGES},
            earns={"q2-numbers-test": 1.0},
            says={"q2-numbers-test": "Evaluate on the images that the question names"},
        ),
        Wrong(
            "only-the-head-learns",
            artefacts=freeze,
            earns={"q3-parameters-test": 0.0},
            says={"q3-parameters-test": "block 12 learns"},
        ),
        Wrong(
            "wrong-input-scaling",
            cells={"q4-measure": WRONG_SCALING},
            earns={"q4-measure-test": 8 / 3},
            says={"q4-measure-test": "probed, -1 to 1: you report"},
        ),
    ]
