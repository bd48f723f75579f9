"""Write two small networks and their predictions with the version of Keras that runs this.

The files in this folder were made once, one pair with each minor version, for example with

    pip install --no-deps --target /tmp/keras keras==3.5.0
    PYTHONPATH=/tmp/keras python tests/helpers/old_keras/make.py

`tests/grading/inside/test_old_networks.py` reads them with the version that grades.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

FOLDER = Path(__file__).parent
SHAPE = (8, 8, 3)


def images() -> np.ndarray:
    """Return four images of noise."""
    return np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype="uint8")


def sequential() -> keras.Model:
    """A convolutional network with augmentation, normalisation and dropout."""
    return keras.Sequential([
        keras.Input(SHAPE, dtype="uint8"),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomZoom(0.1),
        layers.RandomContrast(0.2),
        layers.Conv2D(3, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(max_value=6),
        layers.MaxPooling2D(),
        layers.SpatialDropout2D(0.1),
        layers.SeparableConv2D(4, 3, activation="gelu", depthwise_regularizer="l2"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(4, activation="softmax", kernel_constraint=keras.constraints.MaxNorm(2.0)),
    ])  # fmt: skip


def functional() -> keras.Model:
    """A network with skip connections, operators, operations and a recurrent layer."""
    image = keras.Input(SHAPE, dtype="uint8")
    x = (image / 255 - 0.5) * 2
    skip = layers.Conv2D(4, 1, name="skip")(x)
    block = layers.Conv2D(4, 3, padding="same", activation="silu")(x)
    x = ops.relu(block + skip) ** 2
    x = ops.concatenate([x[:, 1:, ..., :2], -x[:, :-1, :, 2:]], axis=-1)
    x = ops.where(x > 0, x, 0.1 * x)
    x = ops.max_pool(ops.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))), 2)
    inner = keras.Sequential([keras.Input((4, 4)), layers.Dense(3, "tanh")], name="inner")
    rows = inner(ops.mean(x, axis=2))
    rows = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(rows)
    scores = ops.einsum("btc,bsc->bts", rows, rows)
    found = ops.max(ops.matmul(ops.softmax(scores), rows), axis=1)
    found = ops.sqrt(ops.abs(found) + 1e-3) / (1 + ops.exp(-found))
    return keras.Model(image, layers.Dense(4, name="logits")(ops.reshape(found, (-1, 4))))


def compress(path: Path) -> None:
    """Compress an archive, which Keras does not do: its entries stay as they are."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def main() -> None:
    """Write both networks, with random weights, and what they predict."""
    version = ".".join(keras.__version__.split(".")[:2])
    rng = np.random.default_rng(1)
    predictions = {}
    for build in (sequential, functional):
        model = build()
        model.set_weights([rng.uniform(0.1, 0.5, each.shape) for each in model.get_weights()])
        path = FOLDER / f"{version}-{build.__name__}.keras"
        model.save(path)
        compress(path)
        predictions[build.__name__] = model.predict(images(), verbose=0)
    np.savez(FOLDER / f"{version}.npz", **predictions)


if __name__ == "__main__":
    main()
