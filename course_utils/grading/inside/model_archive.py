"""What may be in a handed-in network: looked at before anything of it is built or loaded."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from course_utils.errors import SubmissionError
from course_utils.grading.sandbox.limits import MAX_CONFIG_BYTES, MAX_NUMBERS, MAX_RATIO
from course_utils.submission.contract import MAX_MODEL_BYTES

ENTRIES = {"metadata.json", "config.json", "model.weights.h5"}

# What Keras writes for layers, weights' settings and number formats; all of it is Keras' own.
MODULES = {"keras", "keras.layers", "keras.initializers", "keras.regularizers",
           "keras.constraints", "keras.src.models.functional", "keras.src.models.sequential",
           "keras.models", "keras.activations", "keras.dtype_policies"}  # fmt: skip

# What `x + y`, `x / 255`, `x[:, 1:]` and `keras.ops.relu(x)` stand as.
OPERATIONS = {"keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.activations.activations"}

CAST = ("keras.src.ops.core", "Cast")

# Classes of these modules that run code of the archive's author.
FORBIDDEN = {"Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer"}

PLAIN_KINDS = {"__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__"}


def read_structure(path: Path) -> str:
    """Return a network's structure, as JSON, after a look at everything in its archive.

    Raises
    ------
    SubmissionError
        For an archive with other files than Keras writes, with names that lead elsewhere, with
        files that grow too much when they are unpacked, with weights that refer to other files,
        or with anything but Keras' own layers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path.name, archive.infolist())
            structure = archive.read("config.json").decode("utf-8")
            with archive.open("model.weights.h5") as weights, h5py.File(weights, "r") as file:
                _check_weights(path.name, file)
    except SubmissionError:
        raise
    except Exception as error:
        raise SubmissionError(
            f"{path.name} is damaged: it is no Keras model ({type(error).__name__}). Train again."
        ) from error
    return checked_structure(structure, path.name)


def checked_structure(structure: str, name: str) -> str:
    """Return a network's structure without its optimizer, after a look at every class in it.

    Raises
    ------
    SubmissionError
        Where it names anything but Keras' own layers.
    """
    try:
        parts = _without_training(json.loads(structure))
        problem = _first_problem(parts)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is damaged: its structure cannot be read.") from error
    if problem:
        raise SubmissionError(f"{name} is not loaded: it holds {problem}, and only layers of Keras "
                              "itself, without code of their own, are accepted.")  # fmt: skip
    return json.dumps(parts)


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) != len(set(names)) or set(names) != ENTRIES:
        strange = sorted(set(names) - ENTRIES)[:3]
        raise SubmissionError(
            f"{name} is not loaded: a Keras model holds {', '.join(sorted(ENTRIES))}, each once; "
            f"this one {'also ' + ', '.join(map(repr, strange)) if strange else 'other files'}."
        )
    for entry in entries:
        most = MAX_MODEL_BYTES if entry.filename.endswith(".h5") else MAX_CONFIG_BYTES
        packed = max(entry.compress_size, 1)
        if entry.file_size > most or entry.file_size > MAX_RATIO * packed:
            raise SubmissionError(
                f"{name} is not loaded: its {entry.filename} would take "
                f"{entry.file_size / 2**20:.0f} MB when it is unpacked."
            )


def _check_weights(name: str, group: h5py.Group) -> None:
    """Look at every entry: one that lies in another file could show what is in that file."""
    for key in group:
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise SubmissionError(f"{name} is not loaded: its weights refer to another place.")
        item = group[key]
        if isinstance(item, h5py.Group):
            _check_weights(name, item)
        elif item.external or item.is_virtual or item.nbytes > MAX_MODEL_BYTES:
            raise SubmissionError(f"{name} is not loaded: its weights lie elsewhere.")


def _without_training(part: Any) -> Any:
    """Leave out optimizers, losses and metrics: nothing is trained here."""
    if isinstance(part, dict):
        return {k: _without_training(v) for k, v in part.items() if k != "compile_config"}
    return [_without_training(item) for item in part] if isinstance(part, list) else part


def _first_problem(part: Any) -> str:
    """Return what is not allowed in a piece of the structure; empty where all is."""
    if isinstance(part, dict):
        if problem := _strange_class(part):
            return problem
        part = list(part.values())
    if isinstance(part, list):
        if (numbers := _numbers(part)) > MAX_NUMBERS:
            return f"a list of {numbers} numbers, which could be weights"
        return next(filter(None, map(_first_problem, part)), "")
    return ""


def _numbers(part: Any) -> int:
    """Count the numbers in a list, and in the lists in it."""
    if isinstance(part, list):
        return sum(map(_numbers, part))
    return isinstance(part, int | float)


def _strange_class(part: dict[str, Any]) -> str:
    kind = part.get("class_name")
    if not isinstance(kind, str):
        return "a class without a name" if "class_name" in part else ""
    if kind in PLAIN_KINDS:
        return ""
    module = part.get("module")
    # With a dot a name could lead further.
    plain = isinstance(module, str) and kind.isidentifier() and not kind.startswith("__")
    is_layer = plain and kind not in FORBIDDEN and module in MODULES
    return "" if is_layer or (plain and _is_operation(module, kind)) else f"{kind} of {module}"


def _is_operation(module: Any, kind: str) -> bool:
    """Tell whether it is a mathematical operation of Keras; none of these takes a function."""
    if (module, kind) == CAST:
        return True
    found = getattr(sys.modules.get(module), kind, None) if module in OPERATIONS else None
    return isinstance(found, type) and issubclass(found, keras.Operation)
