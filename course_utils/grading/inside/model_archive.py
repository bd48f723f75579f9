"""Checking the archive of a submitted network before anything in it is built or loaded."""

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

# Files in an archive that Keras writes.
ENTRIES = {"metadata.json", "config.json", "model.weights.h5"}

# Modules that Keras writes for layers, their settings and dtypes; they contain only Keras' own
# classes.
MODULES = {"keras", "keras.layers", "keras.initializers", "keras.regularizers",
           "keras.constraints", "keras.src.models.functional", "keras.src.models.sequential",
           "keras.models", "keras.activations", "keras.dtype_policies"}  # fmt: skip

# Modules that Keras writes for `x + y`, `x / 255`, `x[:, 1:]` and `keras.ops.relu(x)`.
OPERATIONS = {"keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.activations.activations"}

# Module and class of `keras.ops.cast`.
CAST = ("keras.src.ops.core", "Cast")

# Classes in these modules that can run code of the archive's author.
FORBIDDEN = {"Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer"}

# Class names of tensors and plain values.
PLAIN_KINDS = {"__keras_tensor__", "__tuple__", "__slice__", "__ellipsis__"}


def read_structure(path: Path) -> str:
    """Check everything in a network's archive and return the network's structure, as JSON.

    Raises
    ------
    SubmissionError
        If the archive is damaged, or contains files that Keras does not write, files that are too
        large when they are unpacked, weights that refer to other files, or anything but Keras' own
        layers.
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
            f"{path.name} is damaged: it is not a Keras model ({type(error).__name__}). Train "
            "again."
        ) from error
    return checked_structure(structure, path.name)


def checked_structure(structure: str, name: str) -> str:
    """Check every class in a network's structure and return the structure without the optimizer.

    Raises
    ------
    SubmissionError
        If the structure cannot be read, or contains anything but Keras' own layers.
    """
    try:
        parts = _without_training(json.loads(structure))
        problem = _first_problem(parts)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is damaged: its structure cannot be read.") from error
    if problem:
        raise SubmissionError(f"{name} is not loaded: it contains {problem}, but only Keras' own "
                              "layers, without custom code, are accepted.")  # fmt: skip
    return json.dumps(parts)


def _check_entries(name: str, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(names) != len(set(names)) or set(names) != ENTRIES:
        strange = sorted(set(names) - ENTRIES)[:3]
        raise SubmissionError(
            f"{name} is not loaded: a Keras model has {', '.join(sorted(ENTRIES))}, each once; "
            f"this one has {'also ' + ', '.join(map(repr, strange)) if strange else 'other files'}."
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
    """Check every entry; one that is stored in another file could reveal that file's content."""
    for key in group:
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise SubmissionError(f"{name} is not loaded: its weights refer to another file.")
        item = group[key]
        if isinstance(item, h5py.Group):
            _check_weights(name, item)
        elif item.external or item.is_virtual or item.nbytes > MAX_MODEL_BYTES:
            raise SubmissionError(f"{name} is not loaded: its weights are elsewhere or too large.")


def _without_training(part: Any) -> Any:
    """Remove optimizers, losses and metrics, because nothing is trained here."""
    if isinstance(part, dict):
        return {k: _without_training(v) for k, v in part.items() if k != "compile_config"}
    return [_without_training(item) for item in part] if isinstance(part, list) else part


def _first_problem(part: Any) -> str:
    """Return the first thing in a structure that is not allowed; empty if there is none."""
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
    """Count the numbers in a list and its nested lists."""
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
    # A name with a dot could lead to another module.
    plain = isinstance(module, str) and kind.isidentifier() and not kind.startswith("__")
    is_layer = plain and kind not in FORBIDDEN and module in MODULES
    return "" if is_layer or (plain and _is_operation(module, kind)) else f"{kind} of {module}"


def _is_operation(module: Any, kind: str) -> bool:
    """Tell whether a class is a mathematical operation of Keras; none of these takes a function."""
    if (module, kind) == CAST:
        return True
    found = getattr(sys.modules.get(module), kind, None) if module in OPERATIONS else None
    return isinstance(found, type) and issubclass(found, keras.Operation)
