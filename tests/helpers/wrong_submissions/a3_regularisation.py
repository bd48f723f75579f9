"""Plausible mistakes in a3-regularisation."""

import shutil
from pathlib import Path

import keras
from nbgrading import ASSIGNMENTS, Wrong, edit_record

NOT_RESCALED = """
def dropout(x, rate, rng, training):
    if training:
        return x * (rng.random(x.shape) > rate)
    return x
"""
FROM_THE_HISTORY = """
plain_training = trained_plain.history.accuracy[-1]
plain_validation = trained_plain.history.val_accuracy[-1]
plain_test = trained_plain.evaluate(data).accuracy
dropout_training = trained_dropout.history.accuracy[-1]
dropout_validation = trained_dropout.history.val_accuracy[-1]
dropout_test = trained_dropout.evaluate(data).accuracy
"""
EACH_IMAGE_BY_ITSELF = """
def batch_normalise(
    x, gamma, beta, moving_mean, moving_variance, momentum, epsilon, training
):
    if not training:
        y = gamma * (x - moving_mean) / np.sqrt(moving_variance + epsilon) + beta
        return y, moving_mean, moving_variance
    mean = x.mean(axis=(1, 2), keepdims=True)
    variance = x.var(axis=(1, 2), keepdims=True)
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    new_mean = momentum * moving_mean + (1 - momentum) * mean.mean(axis=(0, 1, 2))
    new_variance = momentum * moving_variance + (1 - momentum) * variance.mean(axis=(0, 1, 2))
    return y, new_mean, new_variance
"""

IN_PLACE = {
    "q5-dropout": """
def dropout(x, rate, rng, training):
    if training:
        x[rng.random(x.shape) < rate] = 0
        x /= 1 - rate
    return x
""",
    "q7-norm": """
def batch_normalise(
    x, gamma, beta, moving_mean, moving_variance, momentum, epsilon, training
):
    mean, variance = moving_mean, moving_variance
    if training:
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        moving_mean += (1 - momentum) * (mean - moving_mean)
        moving_variance += (1 - momentum) * (variance - moving_variance)
    y = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    return y, moving_mean, moving_variance
""",
}
BLOCK = """
def block(filters, kernel, pool, dropout, batch_normalisation):
    made = [layers.Conv2D(filters, kernel)]
    if batch_normalisation:
        made.append(layers.BatchNormalization())
    made += [{activation}, layers.MaxPooling2D(pool)]
    return made + ([layers.Dropout(dropout)] if dropout else [])


rate = 0.2
"""
OTHER_FORMS = {"q5-block": BLOCK.format(activation="layers.Activation(keras.ops.relu)")}


def another_network(folder: Path) -> None:
    """Hand in the network of the next assignment, which has BatchNorm, too, with its record."""
    other = ASSIGNMENTS / "solutions" / "a4-own-design"
    shutil.copy(other / "a4-q9.keras", folder / "a3-q7.keras")
    shutil.copy(other / "a4-q9.json", folder / "a3-q7.json")
    edit_record("a3-q7", design="a3-q7")(folder)


def drop_nearly_all(folder: Path) -> None:
    """Give the network with dropout a rate that is not allowed; it does not show in test mode."""
    path = folder / "a3-q5.keras"
    network = keras.models.load_model(path, compile=False)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.9
    network.save(path)


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "functions-change-what-comes-in",
            cells=IN_PLACE,
            earns={"q5-dropout-test": 3 * 8.5 / 9, "q7-norm-test": 2.75},
            says={
                "q5-dropout-test": "✗ x stays as it is",
                "q7-norm-test": "✗ the arrays that come in stay as they are",
            },
        ),
        Wrong(
            "another-network-with-batchnorm",
            artefacts=another_network,
            earns={"q7-accuracy-test": 0.0},
            says={"q7-accuracy-test": "is not the one of block() with BatchNorm"},
        ),
        Wrong(
            "rate-that-is-not-allowed",
            artefacts=drop_nearly_all,
            earns={"q5-training-test": 2 / 3},
            says={"q5-training-test": "✗ one has three dropout layers, rate 0.1 to 0.5"},
        ),
        Wrong(
            "blocks-without-a-relu",
            cells={"q5-block": BLOCK.format(activation='layers.Activation("linear")')},
            earns={"q5-network-test": 0.0, "q7-network-test": 1.0},
            says={
                "q5-network-test": "convolution, ReLU and max-pooling, three times",
                "q7-network-test": "✗ BatchNorm between each convolution and its ReLU",
            },
        ),
        Wrong(
            "dropout-not-rescaled",
            cells={"q5-dropout": NOT_RESCALED},
            earns={"q5-dropout-test": 2.0},
            says={"q5-dropout-test": "has to make up for what is missing"},
        ),
        Wrong(
            "training-accuracy-from-the-history",
            cells={"q6-accuracies": FROM_THE_HISTORY},
            earns={"q6-accuracies-test": 2.0},
            says={"q6-accuracies-test": "✗ dropout_training: you report"},
        ),
        Wrong(
            "each-image-normalised-by-itself",
            cells={"q7-norm": EACH_IMAGE_BY_ITSELF},
            earns={"q7-norm-test": 1.0},
            says={"q7-norm-test": "over all images and all positions"},
        ),
    ]
