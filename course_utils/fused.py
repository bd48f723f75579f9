"""Batch normalisation and dropout with fewer passes over memory, for TensorFlow on a CPU.

In training, Keras computes batch normalisation from means, differences, products and casts. Each
is a pass over all activations, and the gradient takes as many. TensorFlow has a single operation
for all of this, and another one for its gradient (``FusedBatchNormV3``, ``FusedBatchNormGradV3``).
For dropout, Keras draws a floating-point number for each value; here, two values share 32 random
bits.

Only the method `call` of Keras's own classes is replaced. The layers, settings and saved files of
models stay the same, and plain Keras opens these files without this library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    import tensorflow as tf

# Number of values of the 16-bit random numbers of dropout; the rate is accurate to 0.00001.
LEVELS = 2**16

_keras_normalise = layers.BatchNormalization.call
_keras_drop = layers.Dropout.call


def fuse_layers(fused: bool = True) -> None:
    """Turn the faster `BatchNormalization` and `Dropout` on or off.

    Other backends keep Keras's own implementation, and so do layers that the faster one does not
    cover (see `is_fusible`). Normalised values, their gradients and the moving averages equal
    Keras's up to rounding. Dropout follows the same rule as in Keras, but draws other masks from
    the same seed. On a GPU, both stay off: Keras compiles with XLA there, which fuses the
    operations by itself.

    If a model is compiled with ``jit_compile=True`` (which Keras does on a CPU only on request),
    XLA computes the fused operation with its own formula, which loses precision for channels whose
    mean is at least a hundred times their standard deviation.

    Parameters
    ----------
    fused : bool
        False restores Keras's own implementation.
    """
    fused = fused and keras.backend.backend() == "tensorflow"
    layers.BatchNormalization.call = _normalise if fused else _keras_normalise
    layers.Dropout.call = _drop if fused else _keras_drop


def is_fusible(
    layer: layers.BatchNormalization, inputs: tf.Tensor, mask: tf.Tensor | None = None
) -> bool:
    """Return whether the fused operation can replace a `BatchNormalization` layer.

    It can for unmasked maps of shape ``(n, height, width, channels)`` in float32 or bfloat16 that
    are normalised by channel, without renormalisation and on a single device. It cannot for a
    class derived from Keras's own, which may compute something else.

    Parameters
    ----------
    layer : keras.layers.BatchNormalization
    inputs : tensorflow.Tensor
    mask : tensorflow.Tensor, optional
    """
    return (
        type(layer) is layers.BatchNormalization
        and mask is None
        and len(inputs.shape) == 4
        and layer.axis in (-1, 3)
        and keras.backend.standardize_dtype(inputs.dtype) in ("float32", "bfloat16")
        and not layer.synchronized
        # Older versions of Keras have no `renorm`.
        and not getattr(layer, "renorm", False)
    )


def _normalise(
    self: layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Replace `keras.layers.BatchNormalization.call`."""
    if not is_fusible(self, inputs, mask):
        return _keras_normalise(self, inputs, training=training, mask=mask)
    import tensorflow as tf

    mean, variance = (tf.cast(v, "float32") for v in (self.moving_mean, self.moving_variance))
    scale = tf.cast(self.gamma, "float32") if self.scale else tf.ones_like(mean)
    offset = tf.cast(self.beta, "float32") if self.center else tf.zeros_like(mean)
    uses_batch = bool(training and self.trainable)
    outputs, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=scale,
        offset=offset,
        mean=[] if uses_batch else mean,
        variance=[] if uses_batch else variance,
        epsilon=self.epsilon,
        is_training=uses_batch,
    )
    if uses_batch:
        # The operation divides the sum of squares by n - 1, Keras by n.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
        biased = batch_variance * (tf.maximum(n - 1, 1) / n)
        keep = self.momentum
        self.moving_mean.assign(mean * keep + batch_mean * (1 - keep))
        self.moving_variance.assign(variance * keep + biased * (1 - keep))
    return tf.cast(outputs, self.compute_dtype)


def _drop(self: layers.Dropout, inputs: tf.Tensor, training: bool | None = False) -> tf.Tensor:
    """Replace `keras.layers.Dropout.call`."""
    kept = round((1 - self.rate) * LEVELS)
    if not training or self.noise_shape is not None or not 0 < kept < LEVELS:
        return _keras_drop(self, inputs, training=training)
    import tensorflow as tf

    seed = tf.cast(tf.convert_to_tensor(self.seed_generator.next()), "int32")
    n = tf.size(inputs)
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[(n + 1) // 2],
        key=[tf.bitcast(seed, "uint64")],
        counter=tf.zeros(2, "uint64"),
        alg=1,  # Philox, on any device
        dtype="uint32",
    )
    numbers = tf.reshape(tf.reshape(tf.bitcast(bits, "uint16"), [-1])[:n], tf.shape(inputs))
    scaled = inputs * tf.cast(LEVELS / kept, inputs.dtype)
    return tf.where(numbers < kept, scaled, tf.zeros_like(scaled))
