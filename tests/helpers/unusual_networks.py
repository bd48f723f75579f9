"""Networks with unusual settings: one around each layer that may be handed in."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops
from keras.src.utils.naming import to_snake_case

SEQUENCE, IMAGE, VOLUME = (6, 4), (8, 8, 4), (6, 6, 6, 4)
SHAPES = {"1D": SEQUENCE, "2D": IMAGE, "3D": VOLUME}
REGULARISED = {
    "kernel_regularizer": keras.regularizers.L1L2(1e-4, 1e-3),
    "kernel_initializer": keras.initializers.VarianceScaling(2.0, "fan_out", "uniform"),
    "kernel_constraint": keras.constraints.MinMaxNorm(0.1, 2.0, rate=0.5, axis=[0]),
    "bias_initializer": keras.initializers.Constant(0.1),
}
WINDOW = {"padding": "same", "strides": 2, "dilation_rate": 1, "activation": "mish"}

# Unusual settings of each layer, beside its rank; where there are none, its defaults are used.
SETTINGS = {
    "Activation": {"activation": "hard_silu"},
    "ActivityRegularization": {"l1": 0.1},
    "BatchNormalization": {"axis": 1, "momentum": 0.7, "epsilon": 0.1, "center": False},
    "CategoryEncoding": {"num_tokens": 9, "output_mode": "multi_hot"},
    "CenterCrop": {"height": 5, "width": 3},
    "Concatenate": {"axis": 1},
    "Dense": {"units": 5, "use_bias": False, "activation": layers.LeakyReLU(0.3)},
    "Discretization": {"bin_boundaries": [0.0, 0.5, 2.0], "output_mode": "int"},
    "Dot": {"axes": (1, 1), "normalize": True},
    "Dropout": {"rate": 0.3, "noise_shape": (None, 1, 4), "seed": 3},
    "ELU": {"alpha": 0.3},
    "EinsumDense": {"equation": "...x,xy->...y", "output_shape": 7, "bias_axes": "y"},
    "Embedding": {"input_dim": 9, "output_dim": 3, "mask_zero": True},
    "Flatten": {"data_format": "channels_first"},
    "GaussianDropout": {"rate": 0.2},
    "GaussianNoise": {"stddev": 0.2},
    "AlphaDropout": {"rate": 0.2},
    "GroupNormalization": {"groups": 2, "axis": -1},
    "GroupQueryAttention": {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
    "LayerNormalization": {"axis": [1, 2], "scale": False},
    "LeakyReLU": {"negative_slope": 0.05},
    "Masking": {"mask_value": 1.0},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3, "value_dim": 5, "dropout": 0.1},
    "Normalization": {"axis": -1, "mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0, 2.0, 3.0, 4.0]},
    "PReLU": {"shared_axes": [1], "alpha_initializer": "he_normal"},
    "Permute": {"dims": (2, 1)},
    "RNN": {"cell": layers.GRUCell(3), "go_backwards": True},
    "ReLU": {"max_value": 6, "negative_slope": 0.1, "threshold": 0.2},
    "RepeatVector": {"n": 3},
    "Rescaling": {"scale": 1 / 127.5, "offset": -1.0},
    "Reshape": {"target_shape": (-1, 2)},
    "Resizing": {"height": 4, "width": 6, "interpolation": "nearest"},
    "SpectralNormalization": {"layer": layers.Conv2D(3, 3), "power_iterations": 2},
    "StackedRNNCells": {"cells": [layers.LSTMCell(3), layers.GRUCell(2)]},
    "TimeDistributed": {"layer": layers.Conv1D(3, 3)},
    "UnitNormalization": {"axis": [1, 2]},
    "Bidirectional": {"layer": layers.LSTM(3, dropout=0.1), "merge_mode": "sum"},
    "RandomBrightness": {"factor": (-0.1, 0.2), "value_range": (0, 1)},
    "RandomContrast": {"factor": 0.2},
    "RandomCrop": {"height": 6, "width": 6},
    "RandomErasing": {"factor": 0.5},
    "RandomFlip": {"mode": "horizontal", "seed": 1},
    "RandomHue": {"factor": 0.1},
    "RandomRotation": {"factor": 0.1, "fill_mode": "nearest"},
    "RandomSaturation": {"factor": 0.4},
    "RandomSharpness": {"factor": 0.4},
    "RandomShear": {"x_factor": (0.0, 0.1)},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": (-0.2, 0.3)},
    "RandomZoom": {"height_factor": 0.1},
    "LSTM": {"units": 3, "return_sequences": True, "recurrent_activation": "hard_sigmoid"},
    "GRU": {"units": 3, "reset_after": False, "recurrent_initializer": "orthogonal"},
    "SimpleRNN": {"units": 3, "unroll": True},
    "LSTMCell": {"units": 3},
    "GRUCell": {"units": 3},
    "SimpleRNNCell": {"units": 3, "activation": "relu"},
}
RANKED = {
    "Conv": REGULARISED | WINDOW | {"filters": 3, "kernel_size": 3},
    "ConvTranspose": {"filters": 3, "kernel_size": 2, "strides": 2, "activation": "selu"},
    "SeparableConv": WINDOW | {"filters": 3, "kernel_size": 3, "depth_multiplier": 2},
    "DepthwiseConv": WINDOW | {"kernel_size": 3, "depth_multiplier": 2},
    "ConvLSTM": {"filters": 2, "kernel_size": 2, "padding": "same"},
    "MaxPooling": {"pool_size": 3, "strides": 1, "padding": "same"},
    "AveragePooling": {"pool_size": 3, "strides": 2},
    "GlobalMaxPooling": {"keepdims": True},
    "GlobalAveragePooling": {"keepdims": True},
    "AdaptiveMaxPooling": {"output_size": 2},
    "AdaptiveAveragePooling": {"output_size": 2},
    "Cropping": {"cropping": 1},
    "ZeroPadding": {"padding": 2},
    "UpSampling": {"size": 2},
    "SpatialDropout": {"rate": 0.3},
}
FLAT = ("RepeatVector", "Discretization", "CategoryEncoding", "Embedding")
SEVERAL = {
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "Maximum",
    "Minimum", "Multiply", "Subtract", "MultiHeadAttention", "GroupQueryAttention",
}  # fmt: skip
ON_SEQUENCES = SEVERAL | {
    "Bidirectional", "Dropout", "EinsumDense", "GRU", "LSTM", "Masking", "Permute", "RNN",
    "SimpleRNN",
}  # fmt: skip
CELLS = {"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"}


# Arguments of operations that need more than one or two images of shape (8, 8, 4).
KERNEL = ops.convert_to_tensor(np.linspace(-1, 1, 16).reshape(2, 2, 4, 1), "float32")
WHOLE = ops.convert_to_tensor([0, 2, 1])
CALLS = {
    "AveragePool": lambda x: ops.average_pool(x, 3, strides=2, padding="same"),
    "BroadcastTo": lambda x: ops.broadcast_to(ops.sum(x, axis=0), (3, 8, 8, 4)),
    "Cast": lambda x: ops.cast(x, "bfloat16"),
    "Clip": lambda x: ops.clip(x, 0.2, 0.5),
    "Concatenate": lambda x: ops.concatenate([x, x], axis=1),
    "Conv": lambda x: ops.conv(x, KERNEL, strides=2, padding="same"),
    "DepthwiseConv": lambda x: ops.depthwise_conv(x, KERNEL),
    "Dot": lambda x: ops.dot(x, ops.ones((4, 2))),
    "Einsum": lambda x: ops.einsum("bijc,bijd->bcd", x, x),
    "ExpandDims": lambda x: ops.expand_dims(x, 1),
    "GetItem": lambda x: x[:, 1:, ..., :2],
    "Hstack": lambda x: ops.hstack([x, x]),
    "LayerNorm": lambda x: ops.layer_normalization(x),
    "Matmul": lambda x: ops.matmul(x, ops.ones((4, 2))),
    "MaxPool": lambda x: ops.max_pool(x, 3, strides=2, padding="same"),
    "Mish": lambda x: keras.src.activations.activations.Mish()(x),
    "Moveaxis": lambda x: ops.moveaxis(x, 1, 3),
    "OneHot": lambda x: ops.one_hot(ops.cast(9 * x, "int32"), 9),
    "Pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0), (0, 0)), constant_values=0.5),
    "RMSNorm": lambda x: ops.rms_normalization(x),
    "ReLU": lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=0.5),
    "Repeat": lambda x: ops.repeat(x, 2, axis=1),
    "Reshape": lambda x: ops.reshape(x, (-1, 16, 16)),
    "Roll": lambda x: ops.roll(x, 2, axis=1),
    "SeparableConv": lambda x: ops.separable_conv(x, KERNEL, ops.ones((1, 1, 4, 2))),
    "Split": lambda x: ops.split(x, 2, axis=1)[0],
    "Stack": lambda x: ops.stack([x, x], axis=1),
    "Swapaxes": lambda x: ops.swapaxes(x, 1, 3),
    "Take": lambda x: ops.take(x, WHOLE, axis=1),
    "Tensordot": lambda x: ops.tensordot(x, ops.ones((4, 2)), axes=1),
    "Threshold": lambda x: ops.threshold(x, 0.5, 0.1),
    "Tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
    "Vstack": lambda x: ops.vstack([x, x]),
}


def call_operation(name: str, x: keras.KerasTensor) -> keras.KerasTensor:
    """Return what an operation of `keras.ops` computes, from one image or from two."""
    if name in CALLS:
        return CALLS[name](x)
    function = getattr(ops, to_snake_case(name), None) or getattr(ops, name.lower())
    try:
        return function(x)
    except TypeError:
        return function(x, 0.5 * x)


def _family(name: str) -> tuple[str, str]:
    """Return a layer's name without its rank, and its rank; the rank is empty if it has none."""
    kind, transposed, _ = name.partition("Transpose")
    rank = kind[-2:]
    family = kind[:-2] + transposed
    return (family, rank) if rank in SHAPES and family in RANKED else (name, "")


def layer_with(name: str) -> keras.Layer:
    """Return the layer with this name, with unusual settings."""
    if name == "InputLayer":
        return layers.InputLayer(shape=IMAGE, dtype="uint8", name="unusual.name (1)")
    family, rank = _family(name)
    return getattr(layers, name)(**(RANKED[family] if rank else SETTINGS.get(name, {})))


def network_with(name: str) -> keras.Model:
    """Return a network around the layer with this name, which has unusual settings."""
    layer, rank = layer_with(name), _family(name)[1]
    if name == "InputLayer":
        return keras.Model(layer.output, layers.Rescaling(1 / 255)(layer.output))
    shape = SHAPES.get(rank, IMAGE)
    if name.startswith("ConvLSTM") or name == "TimeDistributed":
        shape = (3, *SHAPES.get(rank, SEQUENCE))
    elif name in FLAT:
        shape = (4,)
    elif name in ON_SEQUENCES or name in CELLS:
        shape = SEQUENCE
    inputs = keras.Input(shape)
    if name in CELLS:
        return keras.Model(inputs, layers.RNN(layer)(inputs))
    if name in ("MultiHeadAttention", "GroupQueryAttention"):
        return keras.Model(inputs, layer(inputs, value=inputs))
    return keras.Model(inputs, layer([inputs, inputs] if name in SEVERAL else inputs))


def network_with_operators() -> keras.Model:
    """Return a network with operators, operations of `keras.ops`, and networks in it."""
    image = keras.Input(IMAGE, dtype="uint8")
    x = (image / 255 - 0.5) * 2
    x = ops.relu(x + layers.Conv2D(4, 3, padding="same", **REGULARISED)(x)) ** 2
    x = ops.concatenate([x[:, 1:, ..., :2], -x[:, :-1, :, 2:]], axis=-1)
    x = ops.where(x > 0, x, ops.convert_to_tensor([0.1, 0.2, 0.3, 0.4]) * x)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh")])
    deeper = keras.Sequential([keras.Input((4,)), inner, layers.Dropout(0.5), layers.Dense(3)])
    return keras.Model(image, ops.softmax(deeper(ops.mean(x, axis=(1, 2)))))


def network_of_many_layers() -> keras.Model:
    """Return a network with as many layers of the table as fit behind each other."""
    image = keras.Input(IMAGE, dtype="uint8")
    x = layers.Rescaling(1 / 255)(image)
    for name in ("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
                 "GroupNormalization", "Conv2D", "SeparableConv2D", "UpSampling2D",
                 "Conv2DTranspose", "PReLU", "MaxPooling2D", "ZeroPadding2D",
                 "BatchNormalization"):  # fmt: skip
        x = layer_with(name)(x)
    x = ops.relu(x[:, :6, :6] * 2 - 0.1)
    rows = layer_with("Bidirectional")(layers.Reshape((6, -1))(x))
    rows = layer_with("EinsumDense")(layer_with("RepeatVector")(rows))
    attended = layer_with("MultiHeadAttention")(rows, value=rows)
    found = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(rows + attended))
    return keras.Model(image, layers.Dense(4, "softmax")(found))


def networks_in_float16() -> dict[str, keras.Model]:
    """Return small networks in each form in which Keras saves float16."""
    half, mixed = keras.DTypePolicy("float16"), keras.DTypePolicy("mixed_float16")
    both = keras.dtype_policies.DTypePolicyMap("mixed_float16", {"attention/query": half})
    single = keras.DTypePolicy("float32")

    def network(image: str, convolution: object, attention: object, last: object) -> keras.Model:
        keras.utils.set_random_seed(0)
        x = inputs = keras.Input(IMAGE, dtype=image)
        x = layers.Rescaling(1 / 255, dtype=convolution)(x)
        adapted = layers.Normalization(dtype=convolution)
        adapted.adapt(np.random.default_rng(0).random((64, *IMAGE)))
        x = adapted(x)
        inner = [
            keras.Input(IMAGE),
            layers.Conv2D(6, 3, dtype=convolution),
            layers.BatchNormalization(dtype=convolution),
            layers.ReLU(dtype=convolution),
        ]
        x = keras.Sequential(inner, name="nested")(x)
        x = layers.Reshape((-1, 6), dtype=convolution)(x)
        x = layers.MultiHeadAttention(2, 3, dtype=attention, name="attention")(x, x)
        x = layers.TimeDistributed(layers.Dense(5, dtype=attention), dtype=attention)(x)
        x = layers.GlobalAveragePooling1D(dtype=last)(x) + 1
        return keras.Model(inputs, layers.Dense(3, "softmax", dtype=last)(x))

    return {
        "mixed": network("uint8", "mixed_float16", mixed, "float32"),
        "half": network("uint8", "float16", half, half),
        "half-inputs": network("float16", half, half, half),
        "one-layer": network("uint8", single, mixed, single),
        "a-map": network("uint8", mixed, both, single),
        "operations": _cast_to_half(),
    }


def _cast_to_half() -> keras.Model:
    inputs = keras.Input(IMAGE, dtype="uint8")
    x = ops.mean(ops.cast(inputs, "float16") / 255, axis=(1, 2))
    return keras.Model(inputs, layers.Softmax(dtype="float16")(x * 2))
