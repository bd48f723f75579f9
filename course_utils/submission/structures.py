"""The closed table of what a submitted network may consist of, and the check against it.

A structure is the JSON that Keras writes for a network. `checked_structure` copies it part by part
into a new one: the classes, the settings and the kinds of values that are in the table, and nothing
else. Whatever is not in the table is refused, so nothing outside of it can ever be built.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Set
from typing import Any

import keras

from course_utils.errors import SubmissionError
from course_utils.submission.contract import MAX_NUMBERS, MAX_SCALARS


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Layers of `keras.layers`. Not among them: layers that take functions, files, vocabularies or
# modules of other libraries (Lambda, TFSMLayer, TextVectorization, JaxLayer ...).
LAYERS = _names("""
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
    AdditiveAttention AlphaDropout Attention Average AveragePooling1D AveragePooling2D
    AveragePooling3D BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate
    Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
    ConvLSTM3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D
    Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention
    Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D
    MaxPooling3D Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization RNN RandomBrightness RandomContrast RandomCrop RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom ReLU RepeatVector
    Rescaling Reshape Resizing SeparableConv1D SeparableConv2D SimpleRNN SimpleRNNCell Softmax
    SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells
    Subtract TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
""")

# Objects among the settings of a layer, by the module that Keras writes. Until 3.6, it wrote
# `OrthogonalInitializer` and `IdentityInitializer`.
PARTS = {
    "keras.initializers": _names("""
        Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer
        LecunNormal LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform
        TruncatedNormal VarianceScaling Zeros
    """),
    "keras.regularizers": _names("L1 L2 L1L2 OrthogonalRegularizer"),
    "keras.constraints": _names("MaxNorm MinMaxNorm NonNeg UnitNorm"),
}  # fmt: skip

# Nonlinearities that a setting may name.
ACTIVATIONS = _names("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu
    linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus
    softsign sparse_plus sparsemax sparse_sigmoid squareplus swish tanh tanh_shrink threshold
""")

# Operations, by the module that Keras writes for `x + y`, `x / 255`, `x[:, 1:]`, and
# `keras.ops.relu(x)`: those that compute their output element by element, by shape, by sums along
# axes, or as a layer does. None takes a function. Keras cannot load adaptive pooling or transposed
# convolutions again if they are operations, so these are not among them.
OPERATIONS = {
    "keras.src.ops.numpy": _names("""
        Absolute Add Amax Amin Any All Arctan Arctan2 Arctanh Argmax Argmin Average BroadcastTo Ceil
        Clip Concatenate Cos Cosh Divide DivideNoNan Dot Einsum Equal Exp Exp2 ExpandDims Expm1 Flip
        Floor FloorDivide GetItem Greater GreaterEqual Hstack Less LessEqual Log Log10 Log1p Log2
        Logaddexp LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Median Min Minimum Mod
        Moveaxis Multiply Negative NotEqual OnesLike Outer Pad Power Prod Ravel Reciprocal Repeat
        Reshape Roll Round Sign Sin Sinh Sort Split Sqrt Square Squeeze Stack Std Subtract Sum
        Swapaxes Take Tan Tanh Tensordot Tile Transpose TrueDivide Var Vstack Where ZerosLike
    """),
    "keras.src.ops.nn": _names("""
        AveragePool Celu Conv DepthwiseConv Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh
        LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Normalize OneHot Relu Relu6 RMSNorm Selu
        SeparableConv Sigmoid Silu Softmax Softplus Softsign SoftShrink Sparsemax SparsePlus
        SparseSigmoid Squareplus TanhShrink Threshold
    """),
    "keras.src.ops.core": frozenset(["Cast"]),
    "keras.src.ops.math": frozenset(["Logsumexp", "Rsqrt", "Erf"]),
    "keras.src.activations.activations": frozenset(["ReLU", "Mish"]),
}  # fmt: skip

POLICIES = frozenset(["keras", "keras.dtype_policies"])
SEQUENTIAL = frozenset(["keras", "keras.models", "keras.src.models.sequential"])
FUNCTIONAL = frozenset(["keras", "keras.models", "keras.src.models.functional"])

# Settings of every layer, beside the parameters of its class.
COMMON = frozenset(["name", "trainable", "dtype", "autocast", "activity_regularizer"])
# Settings that a class takes from its further arguments.
FURTHER = {"LayerNormalization": frozenset(["rms_scaling"])}
# Settings that an earlier version of Keras (3.5) wrote, and later ones refuse.
OUTDATED = {"RandomRotation": frozenset(["value_range"])}
# Settings whose text names a nonlinearity, or one of the parts.
NAMES_ACTIVATION = re.compile(r"(^|_)activation$")
NAMES_PART = re.compile(r"(^|_)(?P<kind>initializer|regularizer|constraint)$")
# Other texts: names, paddings, formats, equations of `Einsum`. No class in the table opens or
# imports anything by a name.
TEXT = re.compile(r"[\w .,:>+*&/()-]{0,200}")
DTYPES = re.compile(r"(mixed_)?(b?float16|float32|float64)|u?int(8|16|32|64)|bool|string")
# Settings that hold another layer: of wrappers and of recurrent layers.
HOLD_LAYERS = _names("backward_layer cell cells layer")
# Layers that a setting may hold as a nonlinearity: they have no weights.
NONLINEARITIES = _names("Activation ELU LeakyReLU ReLU Softmax")
# Settings that are lists of numbers with which a layer computes.
HOLD_NUMBERS = frozenset(["mean", "variance", "bin_boundaries", "scale", "offset"])
# Settings that are single numbers with which a layer or an operation computes.
COMPUTE = _names("""
    alpha b default_value epsilon initial mask_value max_value negative_slope threshold x_max x_min
""")
# Nested networks, and nested lists.
MAX_NESTED, MAX_LISTS = 30, 10


class _Refused(Exception):
    """Says what a structure contains that is not in the table."""


def checked_structure(structure: str, name: str) -> str:
    """Return a structure that consists only of what is in the table, as JSON.

    Parameters
    ----------
    structure : str
        JSON, from a student.
    name : str
        The network's name, for the message.

    Raises
    ------
    SubmissionError
        If the structure cannot be read, or contains anything else.
    """
    try:
        return _checked(structure)
    except _Refused as error:
        raise SubmissionError(
            f"{name} is not loaded: it contains {error}, but only layers and operations of Keras "
            "that hold no code are accepted."
        ) from error
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is damaged: its structure cannot be read.") from error


def refused_part(structure: str) -> str:
    """Return the part of a structure, as Keras writes it, that is not in the table, as a phrase.

    Examples
    --------
    >>> import keras
    >>> from course_utils.submission.structures import refused_part
    >>> layers = [keras.Input((4,)), keras.layers.Dense(2, name="two?")]
    >>> refused_part(keras.Sequential(layers).to_json())
    "the text 'two?'"
    >>> refused_part(keras.Sequential(layers[:1]).to_json())
    ''
    """
    try:
        _checked(structure)
    except _Refused as error:
        return str(error)
    return ""


def _checked(structure: str) -> str:
    checked = _model(json.loads(structure), 0)
    if (numbers := _constants(checked)) > MAX_NUMBERS:
        raise _Refused(f"{numbers} numbers in constants, which could be weights")
    if (numbers := _scalars(checked)) > MAX_SCALARS:
        raise _Refused(f"{numbers} numbers as settings or inputs, which could be weights")
    return json.dumps(checked)


def _model(part: Any, depth: int) -> dict[str, Any]:
    """Copy a sequential or functional network."""
    if depth > MAX_NESTED:
        raise _Refused("networks nested too deeply")
    kind, module, config = _object(part)
    if kind == "Sequential" and module in SEQUENTIAL:
        layers = [_layer(each, depth) for each in _list(config.get("layers"))]
        copied = {"layers": layers, "build_input_shape": _value(config.get("build_input_shape"))}
    elif kind == "Functional" and module in FUNCTIONAL:
        copied = {
            "layers": [_placed(each, depth) for each in _list(config.get("layers"))],
            "input_layers": _value(config.get("input_layers")),
            "output_layers": _value(config.get("output_layers")),
        }
    else:
        raise _Refused(_named(part))
    copied |= {key: _setting(key, each, depth) for key, each in config.items() if key in COMMON}
    _check_settings(config, copied.keys(), kind)
    return _rebuilt(part, copied)


def _placed(part: Any, depth: int) -> dict[str, Any]:
    """Copy a layer or operation of a functional network, with its inputs."""
    copied = _layer(part, depth, operations=True)
    nodes = _list(part.get("inbound_nodes"))
    return copied | {"name": _text(part.get("name")), "inbound_nodes": [_node(n) for n in nodes]}


def _node(part: Any) -> dict[str, Any]:
    """Copy the inputs of one call: tensors, numbers, shapes and slices, but no texts."""
    known = isinstance(part, dict) and set(part) == {"args", "kwargs"}
    if not known or not isinstance(part["kwargs"], dict) or "class_name" in part["kwargs"]:
        raise _Refused("a call in an unknown form")
    return {
        "args": [_argument(each) for each in _list(part["args"])],
        "kwargs": {_text(key): _argument(each) for key, each in part["kwargs"].items()},
    }


def _argument(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float):
        return part
    if isinstance(part, list):
        if not any(isinstance(each, dict | list) for each in part):
            _check_list(part)
        return [_argument(each) for each in part]
    kind, config = _kind(part), part.get("config") if isinstance(part, dict) else None
    if kind == "__keras_tensor__" and isinstance(config, dict):
        copied: Any = {
            "shape": _value(config.get("shape")),
            "dtype": _dtype(config.get("dtype")),
            "keras_history": _value(config.get("keras_history")),
        }
    elif kind in ("__numpy__", "__tensor__") and isinstance(config, dict):
        copied = {"value": _array(config.get("value")), "dtype": _dtype(config.get("dtype"))}
    elif kind == "__slice__" and isinstance(config, dict):
        copied = {key: _argument(config.get(key)) for key in ("start", "stop", "step")}
    elif kind == "__tuple__" and set(part) <= {"class_name", "items", "config"}:
        return {"class_name": kind, "items": _argument(part.get("items"))}
    elif kind == "__ellipsis__":
        copied = {}
    else:
        raise _Refused(f"a call with {_named(part)}")
    return {"class_name": kind, "config": copied}


def _layer(part: Any, depth: int, operations: bool = False) -> dict[str, Any]:
    """Copy a layer, a network among the layers, or an operation."""
    kind, module, config = _object(part)
    if kind in ("Sequential", "Functional"):
        return _model(part, depth + 1)
    if operations and kind in OPERATIONS.get(module, ()):
        allowed = _parameters(getattr(sys.modules[module], kind))
    elif module == "keras.layers" and kind in LAYERS:
        allowed = _parameters(getattr(keras.layers, kind))
    else:
        raise _Refused(_named(part))
    outdated = OUTDATED.get(kind, frozenset())
    kept = {key: each for key, each in config.items() if key not in outdated}
    _check_settings(kept, allowed, kind)
    return _rebuilt(part, {key: _setting(key, each, depth) for key, each in kept.items()})


def _check_settings(config: dict[str, Any], allowed: Set[str], kind: str) -> None:
    if unknown := config.keys() - allowed:
        raise _Refused(f"the setting {_shown(min(unknown))!r} of {kind}")


@functools.cache
def _parameters(kind: type[Any]) -> frozenset[str]:
    """Return the settings that a class accepts, itself or through the classes it derives from."""
    own = {
        each.name
        for base in kind.__mro__[:-1]
        for each in inspect.signature(base).parameters.values()
        if each.kind is each.POSITIONAL_OR_KEYWORD or each.kind is each.KEYWORD_ONLY
    }
    return COMMON | own | FURTHER.get(kind.__name__, frozenset())


def _setting(key: str, part: Any, depth: int) -> Any:
    """Copy the value of a setting."""
    if key in COMPUTE | HOLD_NUMBERS and not isinstance(part, dict):
        return _array(part)
    if isinstance(part, str):
        if NAMES_ACTIVATION.search(key) and part not in ACTIVATIONS:
            raise _Refused(f"the activation {_shown(part)!r}")
        if (named := NAMES_PART.search(key)) and part not in PARTS[f"keras.{named['kind']}s"]:
            raise _Refused(f"the {named['kind']} {_shown(part)!r}")
        return _dtype(part) if key == "dtype" else _text(part)
    if isinstance(part, list) and any(isinstance(each, dict) for each in part):
        return [_setting(key, each, depth + 1) for each in part]  # such as the cells of an RNN
    if not isinstance(part, dict):
        return _value(part)
    if "class_name" not in part:  # such as the clipping of `BatchNormalization`
        return _values(part)
    kind, module, config = _object(part)
    if kind in PARTS.get(module, ()):
        return _rebuilt(part, _values(config))
    if key == "dtype" and module in POLICIES:
        return _policies(part) if kind == "DTypePolicyMap" else _policy(part)
    if depth > MAX_NESTED:
        raise _Refused("layers nested too deeply")
    is_nonlinearity = NAMES_ACTIVATION.search(key) and kind in NONLINEARITIES
    if not is_nonlinearity and key not in HOLD_LAYERS:
        raise _Refused(f"{_named(part)} as {_shown(key)}")
    return _layer(part, depth + 1)


def _policy(part: Any) -> Any:
    """Copy a precision: its name, an object with its name, or nothing for the usual one."""
    if part is None or isinstance(part, str):
        return part and _dtype(part)
    kind, module, config = _object(part)
    if kind != "DTypePolicy" or module not in POLICIES:
        raise _Refused(_named(part))
    return _rebuilt(part, {"name": _policy(config.get("name"))})


def _policies(part: dict[str, Any]) -> dict[str, Any]:
    """Copy the precisions of the layers in a layer: one for each path, and one for all others."""
    config, by_path = part["config"], part["config"].get("policy_map")
    if not isinstance(by_path, dict):
        raise _Refused(_named(part))
    return _rebuilt(
        part,
        {
            "default_policy": _policy(config.get("default_policy")),
            "policy_map": {_text(path): _policy(each) for path, each in by_path.items()},
        },
    )


def _rebuilt(part: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return an object with a checked configuration, without the optimizer and the losses."""
    shapes = part.get("build_config")
    copied = {
        "module": part["module"],
        "class_name": part["class_name"],
        "config": config,
        "registered_name": None,
    }
    if isinstance(shapes, dict):
        copied["build_config"] = _values(shapes)
    return copied


def _values(part: dict[str, Any]) -> dict[str, Any]:
    """Copy plain values with their names, none of which makes them an object."""
    if "class_name" in part:
        raise _Refused(_named(part))
    return {
        _text(key): _values(each) if isinstance(each, dict) else _value(each)
        for key, each in part.items()
    }


def _value(part: Any) -> Any:
    """Copy plain values: numbers, truth values, short texts, and lists of them."""
    _check_list(part)
    return _plain(part)


def _array(part: Any) -> Any:
    """Copy a number, a truth value or a list of them. NumPy would make numbers of texts, too."""
    _check_list(part)
    if part is None or isinstance(part, bool | int | float):
        return part
    if isinstance(part, list):
        return [_array(each) for each in part]
    raise _Refused(f"{_shown(part)!r} instead of a number")


def _plain(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float):
        return part
    if isinstance(part, list):
        return [_plain(each) for each in part]
    return _text(part)


def _check_list(part: Any) -> None:
    """Refuse long lists and lists in many lists."""
    if (numbers := _numbers(part, 0)) > MAX_NUMBERS:
        raise _Refused(f"a list of {numbers} numbers, which could be weights")


def _numbers(part: Any, depth: int) -> int:
    """Count the numbers in a list and its nested lists."""
    if depth > MAX_LISTS:
        raise _Refused("lists nested too deeply")
    if isinstance(part, list):
        return sum(_numbers(each, depth + 1) for each in part)
    return _is_number(part)


def _is_number(part: Any) -> bool:
    return isinstance(part, int | float) and not isinstance(part, bool)


def _constants(part: Any) -> int:
    """Count the numbers in all constants of a checked structure."""
    if isinstance(part, list):
        return sum(map(_constants, part))
    if not isinstance(part, dict) or part.get("module") in PARTS:  # weights replace initial values
        return 0
    if part.get("class_name") in ("__numpy__", "__tensor__"):
        return max(1, _values_in(part["config"]["value"]))
    lists = sum(_values_in(part[key]) for key in HOLD_NUMBERS & part.keys())
    return lists + sum(map(_constants, part.values()))


def _values_in(part: Any) -> int:
    """Count the values of an array, truth values among them, or a number that is none."""
    if isinstance(part, list):
        return sum(_values_in(each) if isinstance(each, list) else 1 for each in part)
    return _is_number(part)


def _scalars(part: Any) -> int:
    """Count the single numbers of a checked structure with which it computes.

    They are those that are called with tensors, and settings other than those that Keras chooses.
    """
    if isinstance(part, list):
        return sum(map(_scalars, part))
    if not isinstance(part, dict) or part.get("module") in PARTS:
        return 0
    kind, config = _kind(part), part.get("config")
    count = sum(map(_scalars, part.values()))
    if kind != "GetItem":  # whose numbers are places
        count += _in_calls(part.get("inbound_nodes"))
    if isinstance(config, dict) and COMPUTE & config.keys():
        usual = _defaults(getattr(sys.modules[part["module"]], kind))
        for key in COMPUTE & config.keys():
            count += _is_number(config[key]) and config[key] != usual.get(key)
    return count


def _in_calls(part: Any) -> int:
    """Count the numbers in the inputs of calls, beside tensors and constants."""
    if isinstance(part, list):
        return sum(map(_in_calls, part))
    if isinstance(part, dict):
        return 0 if "config" in part else sum(map(_in_calls, part.values()))
    return _is_number(part)


@functools.cache
def _defaults(kind: type[Any]) -> dict[str, Any]:
    """Return the settings of a class where nothing else is said."""
    return {each.name: each.default for each in inspect.signature(kind).parameters.values()}


def _text(part: Any) -> str:
    if not isinstance(part, str) or not TEXT.fullmatch(part):
        raise _Refused(f"the text {_shown(part)!r}")
    return part


def _dtype(part: Any) -> str:
    if not isinstance(part, str) or not DTYPES.fullmatch(part):
        raise _Refused(f"the dtype {_shown(part)!r}")
    return part


def _object(part: Any) -> tuple[str, str, dict[str, Any]]:
    """Return an object's class, module and configuration."""
    if not isinstance(part, dict) or not isinstance(part.get("config"), dict):
        raise _Refused(_named(part))
    kind, module = part.get("class_name"), part.get("module")
    if not isinstance(kind, str) or not isinstance(module, str):
        raise _Refused(_named(part))
    return kind, module, part["config"]


def _kind(part: Any) -> str:
    kind = part.get("class_name") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def _named(part: Any) -> str:
    """Return how a part is called in a message."""
    if not isinstance(part, dict) or "class_name" not in part:
        return f"{type(part).__name__} instead of a layer"
    if not isinstance(part["class_name"], str):
        return "a class without a name"
    return f"{_shown(part['class_name'])} of {_shown(part.get('module'))}"


def _shown(part: Any) -> str:
    """Return a text of a student in a form that every program can print."""
    return ascii(str(part)[:60])[1:-1]


def _list(part: Any) -> list[Any]:
    if not isinstance(part, list):
        raise _Refused(f"{type(part).__name__} instead of a list")
    return part
