"""Batch normalisation and dropout on a CPU, with TensorFlow, in fewer passes over memory.

Keras computes batch normalisation in training from means, differences, products and casts, each
of them a pass over all activations, and as many for the gradient. TensorFlow has one operation for
all of that and one for its gradient (``FusedBatchNormV3``, ``FusedBatchNormGradV3``). For dropout,
Keras draws a floating-point number for each value; here two values share 32 random bits.

Only the method `call` of Keras' own classes is replaced. A model's layers, settings and saved file
stay what they are, and plain Keras opens the file without this library.
"""

from __future__ import annotations

import keras
from keras import layers

# Dropout compares 16-bit random numbers, so its rate is off by less than 0.00001.
LEVELS = 2**16

_keras_normalise = layers.BatchNormalization.call
_keras_drop = layers.Dropout.call


def fuse_layers(fused: bool = True) -> None:
    """Turn the faster `BatchNormalization` and `Dropout` on or off.

    Other backends keep Keras' own implementation, and so do layers that the faster way cannot
    compute (see `is_fusible`). Normalised values, their gradients and moving averages are Keras'
    own within rounding. Dropout draws other masks than Keras from the same seed, by the same rule.
    On a GPU they stay off: there Keras compiles with XLA, which fuses the operations by itself.

    Where a model is compiled with ``jit_compile=True`` (on a CPU Keras does that on request only),
    XLA computes the fused operation by its own formula, which loses precision where a channel's
    mean is a hundred times its standard deviation or more.

    Parameters
    ----------
    fused : bool
        False puts Keras' own implementation back.
    """
    fused = fused and keras.backend.backend() == "tensorflow"
    layers.BatchNormalization.call = _normalise if fused else _keras_normalise
    layers.Dropout.call = _drop if fused else _keras_drop


def is_fusible(layer: layers.BatchNormalization, inputs, mask=None) -> bool:
    """Tell whether the fused operation computes what a `BatchNormalization` layer asks for.

    It does for unmasked maps of shape ``(n, height, width, channels)`` in float32 or bfloat16 that
    are normalised channel by channel, without renormalisation and on a single device. A class
    derived from Keras' own can compute something else.
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


def _normalise(self, inputs, training=None, mask=None):
    """Take the place of `keras.layers.BatchNormalization.call`."""
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
        # The operation's batch variance is divided by n - 1, Keras' by n.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), "float32")
        biased = batch_variance * (tf.maximum(n - 1, 1) / n)
        keep = self.momentum
        self.moving_mean.assign(mean * keep + batch_mean * (1 - keep))
        self.moving_variance.assign(variance * keep + biased * (1 - keep))
    return tf.cast(outputs, self.compute_dtype)


def _drop(self, inputs, training=False):
    """Take the place of `keras.layers.Dropout.call`."""
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
        alg=1,  # Philox, whatever the device
        dtype="uint32",
    )
    numbers = tf.reshape(tf.reshape(tf.bitcast(bits, "uint16"), [-1])[:n], tf.shape(inputs))
    scaled = inputs * tf.cast(LEVELS / kept, inputs.dtype)
    return tf.where(numbers < kept, scaled, tf.zeros_like(scaled))
