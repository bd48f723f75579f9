"""Plausible mistakes in a0-mnist."""

from nbgrading import Wrong

NOT_SHIFTED = """
def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def cross_entropy(probabilities, label):
    return -np.log(probabilities[label])
"""
ANSWERS = """
matrix = confusion_matrix(true, predicted)
recall = np.diag(matrix) / matrix.sum(axis=1)
hardest = int(recall.argmin())
np.fill_diagonal(matrix, 0)
shows, said = (int(i) for i in np.unravel_index(matrix.argmax(), matrix.shape))
times = int(matrix.max())
"""
TRANSPOSED = (
    """
def confusion_matrix(true, predicted):
    counts = np.zeros((10, 10), dtype=int)
    for shown, given in zip(true, predicted):
        counts[given, shown] += 1
    return counts
"""
    + ANSWERS
)
ON_VALIDATION_IMAGES = (
    """
def confusion_matrix(true, predicted):
    counts = np.zeros((10, 10), dtype=int)
    for shown, given in zip(true, predicted):
        counts[shown, given] += 1
    return counts


true = mnist.y_val
predicted = trained.model.predict(mnist.x_val, verbose=0).argmax(axis=1)
"""
    + ANSWERS
)


BYTES = """
def build_model():
    return keras.Sequential([
        keras.Input((28, 28, 1), dtype="uint8"),
        layers.Flatten(),
        layers.Dense(200, activation="relu"),
        layers.Dense(10, activation="softmax", dtype="float32"),
    ])


parameters_by_hand, most_units = 159_010, 67
"""
OTHER_FORMS = {
    "q3-model": """
def build_model():
    image = keras.Input((28, 28, 1), dtype="uint8")
    hidden = keras.ops.relu(layers.Dense(200)(layers.Flatten()(image / 255)))
    return keras.Model(image, layers.Dense(10, activation=layers.Softmax())(hidden))


parameters_by_hand, most_units = 159_010, 67
"""
}


def wrong() -> list[Wrong]:
    """Return the submissions."""
    return [
        Wrong(
            "bytes-not-scaled",
            cells={"q3-model": BYTES},
            earns={"q3-model-test": 2 * 5.5 / 6},
            says={"q3-model-test": "✗ images scaled in the first layer"},
        ),
        Wrong(
            "softmax-overflows",
            cells={"q2-answer": NOT_SHIFTED},
            earns={"q2-test": 3.0},
            says={"q2-test": "subtract the largest score first"},
        ),
        Wrong(
            "transposed-confusion-matrix",
            cells={"q4-answer": TRANSPOSED},
            earns={"q4-test": 0.67},
            says={"q4-test": "Row: what the image shows"},
        ),
        Wrong(
            "read-on-validation-images",
            cells={"q4-answer": ON_VALIDATION_IMAGES},
            earns={"q4-test": 2.67},
            says={"q4-test": "on the 10,000 test images"},
        ),
    ]
