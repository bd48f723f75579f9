"""Plausible mistakes in a3-regularisation."""

from nbgrading import Wrong

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


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
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
            says={"q7-norm-test": "over all images and all places"},
        ),
    ]
