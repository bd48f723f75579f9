"""Read CIFAR-10's Python batches without running code that hides in them.

Loading a pickle calls the functions that it names. The official batches name three, all of
NumPy; this reader knows these, and one that Python 3 writes, and refuses every other name.
"""

from __future__ import annotations

import io
import pickle
import re

import numpy as np
from numpy._core.multiarray import _reconstruct as _numpy_reconstruct

from course_utils.errors import DataError

_PLAIN_DTYPE = re.compile(r"[|<>=]?[biu][1248]")


class _ArrayType:
    """A substitute for ``numpy.ndarray`` in a pickle, where it is an argument, never called."""


def _reconstruct(kind: object, shape: object, dtype: object) -> object:
    """Make the empty array that a pickle fills afterwards."""
    if kind is not _ArrayType or shape != (0,):
        raise pickle.UnpicklingError("an unusual array")
    return _numpy_reconstruct(np.ndarray, (0,), b"b")


def _dtype(name: object, *flags: object) -> np.dtype:
    """Make an integer dtype; a pickle could otherwise ask for one that holds objects."""
    text = name.decode("ascii") if isinstance(name, bytes) else name
    if not isinstance(text, str) or not _PLAIN_DTYPE.fullmatch(text):
        raise pickle.UnpicklingError(f"an array of {name!r}")
    return np.dtype(text, copy=True)


def _encode(text: object, encoding: object) -> bytes:
    """Turn text to bytes in the one encoding that pickle itself writes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _BatchUnpickler(pickle.Unpickler):
    """An unpickler that refuses every name but the allowed ones."""

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the name {module}.{name}") from None


def load_batch(data: bytes, where: str) -> dict[bytes, object]:
    """Return the dictionary that a pickled CIFAR-10 batch holds.

    Parameters
    ----------
    data : bytes
        The pickle.
    where : str
        The name that the error message gives it.

    Returns
    -------
    dict
        Images under ``b"data"`` and labels under ``b"labels"``, if it is a batch; neither is
        checked here.

    Raises
    ------
    DataError
        If the pickle is damaged, or holds something other than numbers, text, lists,
        dictionaries and integer arrays.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{where} is not a CIFAR-10 batch and was not opened further (it holds {error}); "
            "get it again from https://www.cs.toronto.edu/~kriz/cifar.html."
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(
            f"{where} is damaged ({type(error).__name__}: {error}); delete it and get it again."
        ) from None
    if not isinstance(batch, dict):
        raise DataError(
            f"{where} holds a {type(batch).__name__} where CIFAR-10 has a dictionary; "
            "get it again from https://www.cs.toronto.edu/~kriz/cifar.html."
        )
    # Batches written again by Python 3 have text keys.
    return {k.encode() if isinstance(k, str) else k: v for k, v in batch.items()}
