"""What a file is that was handed in as a network, and what to do about it if it is something else.

Nothing is built or loaded here: names, first bytes and version numbers tell enough.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path, PurePosixPath

import h5py
import keras

from course_utils.printable import listed, printable

# Files in an archive that Keras writes.
ENTRIES = frozenset({"metadata.json", "config.json", "model.weights.h5"})
# Bytes that tell what a file is, and bytes of the file with Keras' version.
FIRST_BYTES, METADATA_BYTES = 1_000, 10_000
VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}")

SAVE = 'save it with model.save("{name}") where it was trained'
CONVERT = "load it with keras.models.load_model under its own name, then " + SAVE
SAVED_MODEL = f"a SavedModel, which Keras 3 does not load: {SAVE}"
WEIGHTS = f"the weights without the network: build the network, load the weights, then {SAVE}"
HAND_IN_AGAIN = "hand in the file that the training cell wrote"

# Advice if nothing is known to be wrong with a file.
TRY = (
    "If keras.models.load_model opens it where it was trained, hand that file in again; "
    "if not, train again"
)

# Under which other names a network is handed in: ending in place of .keras, what it is, what to do.
OTHER_NAMES = (
    (".weights.h5", f"holds {WEIGHTS}"),
    (".h5", f"is in Keras' older format: {CONVERT}"),
    (".hdf5", f"is in Keras' older format: {CONVERT}"),
    (".pt", f"is a file of PyTorch: {HAND_IN_AGAIN}"),
    (".pkl", f"is a pickle, which is never loaded: {SAVE}"),
)


def how_it_is_missing(path: Path) -> str:
    """Return a sentence about a network or its record that is not there, with what is there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from course_utils.submission.network_file import how_it_is_missing
    >>> how_it_is_missing(Path("a1-q2.keras"))
    'a1-q2.keras is missing: run the cell that creates it, and hand the file in.'
    """
    if path.is_dir():
        return f"{path.name} is {_of_folder(path, path.name)}."
    if path.suffix == ".keras" and (found := _under_another_name(path)):
        return f"{path.name} is missing. {found}."
    other = path.with_suffix(".json" if path.suffix == ".keras" else ".keras")
    if other.is_file():
        return (
            f"{path.name} is missing, but {other.name} is there. The training cell wrote both: "
            f"hand {path.name} in, too."
        )
    return f"{path.name} is missing: run the cell that creates it, and hand the file in."


def cannot_be_loaded(name: str, error: Exception) -> str:
    """Return a sentence about a network with which nothing is known to be wrong.

    Examples
    --------
    >>> from course_utils.submission.network_file import cannot_be_loaded
    >>> cannot_be_loaded("a1-q2.keras", ValueError("no weights.")).partition(" If")[0]
    'a1-q2.keras cannot be loaded (ValueError: no weights).'
    """
    lines = str(error).strip().splitlines()
    reason = f": {lines[0][:200].rstrip('.')}" if lines else ""
    return f"{name} cannot be loaded ({type(error).__name__}{reason}). {TRY}."


def _under_another_name(path: Path) -> str:
    """Return a sentence about what could be a missing network, without a full stop."""
    for ending, what in OTHER_NAMES:
        if (other := path.with_name(path.stem + ending)).exists():
            return f"{other.name} is there, but {what.format(name=path.name)}"
    if (folder := path.with_suffix("")).is_dir():
        return f"{folder.name} is there, but is {_of_folder(folder, path.name)}"
    # A network with a record of its own belongs to another question.
    networks = sorted(path.parent.glob("*.keras"))
    others = [each.name for each in networks if not each.with_suffix(".json").exists()]
    if not others:
        return ""
    names = printable(listed(others))
    return f"The folder has {names}: rename the network of this question to {path.name}"


def _of_folder(folder: Path, name: str) -> str:
    """Tell what a folder is that stands for a network."""
    if all((folder / entry).is_file() for entry in ENTRIES):
        return f"a folder with the files of a network, which was unpacked: {HAND_IN_AGAIN}"
    return f"a folder, perhaps {SAVED_MODEL.format(name=name)}"


def why_it_cannot_be_loaded(path: Path) -> str:
    """Return a sentence that says what a file is, if it is no network that this Keras loads.

    Returns
    -------
    str
        Empty if nothing but a failed attempt to load it shows what is wrong.
    """
    with path.open("rb") as file:
        first = file.read(FIRST_BYTES)
    try:
        what = _kind(path, first)
    except Exception:  # Damaged content makes zipfile and h5py raise many types.
        what = f"is damaged: {HAND_IN_AGAIN}"
    return f"{path.name} {what.format(name=path.name)}." if what else ""


def _kind(path: Path, first: bytes) -> str:
    text = first.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not first:
        return f"is empty, as after a transfer that was cut off: {HAND_IN_AGAIN}"
    if text.startswith(b"version https://git-lfs"):
        return "is only a pointer of Git LFS: run `git lfs pull`, then hand in the file itself"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is a web page, such as one to log in, that was saved under this name: download " \
               "the network again, and look at its size"  # fmt: skip
    if first.startswith(b"\x89HDF\r\n\x1a\n"):
        return _of_hdf5(path)
    if zipfile.is_zipfile(path):
        return _of_archive(path)
    if first.startswith(b"PK"):
        return (
            f"is damaged: its end is missing, as after a transfer that was cut off: {HAND_IN_AGAIN}"
        )
    return f"is damaged, or no file of Keras: {HAND_IN_AGAIN}"


def _of_hdf5(path: Path) -> str:
    with h5py.File(path, "r") as file:
        has_structure = "model_config" in file.attrs
    if not has_structure:
        return f"holds {WEIGHTS}"
    old = f"{path.stem}.h5"
    return f"is in Keras' older format, so its name was {old}: rename it back, and {CONVERT}"


def _of_archive(path: Path) -> str:
    """Tell what an archive is; Keras' own is fine unless its version is newer."""
    with zipfile.ZipFile(path) as archive:
        names = {PurePosixPath(name).name for name in archive.namelist()}
        if set(archive.namelist()) >= ENTRIES:
            return _of_newer_keras(archive)
    if "saved_model.pb" in names:
        return f"is the archive of {SAVED_MODEL}"
    if "data.pkl" in names:
        return f"is a file of PyTorch: {HAND_IN_AGAIN}"
    if names >= ENTRIES:
        return "was unpacked, and packed again with a folder around its files: " + HAND_IN_AGAIN
    if any(name.endswith(".keras") for name in names):
        return "is an archive with a network in it: hand in the file ending in .keras from it"
    return f"is damaged, or an archive of something else: {HAND_IN_AGAIN}"


def _of_newer_keras(archive: zipfile.ZipFile) -> str:
    with archive.open("metadata.json") as file:
        try:
            version = str(json.loads(file.read(METADATA_BYTES))["keras_version"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
    here = keras.__version__
    if not VERSION.fullmatch(version) or _numbers(version) <= _numbers(here):
        return ""
    return (
        f"was saved with Keras {version}, and Keras {here} does not load it: install the older "
        f"version (pip install keras=={here}), build the network again, load the weights, and "
        + SAVE.removesuffix(" where it was trained")
    )


def _numbers(version: str) -> list[int]:
    """Return the first two numbers of a version: files change only with these."""
    return [int(number) for number in version.split(".")[:2]]
