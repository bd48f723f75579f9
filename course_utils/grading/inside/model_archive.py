"""Checking the archive of a submitted network before anything in it is built or loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import h5py

from course_utils.errors import SubmissionError
from course_utils.grading.sandbox.limits import MAX_CONFIG_BYTES, MAX_RATIO
from course_utils.submission.contract import MAX_MODEL_BYTES
from course_utils.submission.network_file import ENTRIES, HAND_IN_AGAIN, why_it_cannot_be_loaded
from course_utils.submission.structures import checked_structure


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
            _check_entries(path, archive.infolist())
            structure = archive.read("config.json").decode("utf-8")
            with archive.open("model.weights.h5") as weights, h5py.File(weights, "r") as file:
                _check_weights(path.name, file)
    except SubmissionError:
        raise
    except Exception as error:
        raise SubmissionError(
            why_it_cannot_be_loaded(path)
            or f"{path.name} is damaged ({type(error).__name__}): {HAND_IN_AGAIN}."
        ) from error
    try:
        return checked_structure(structure, path.name)
    except SubmissionError as error:
        raise SubmissionError(why_it_cannot_be_loaded(path) or str(error)) from error


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    # Macs add files of their own to an archive that they pack; Keras does not read them.
    entries = [entry for entry in entries if not entry.filename.startswith("__MACOSX/")]
    name, names = path.name, [entry.filename for entry in entries]
    if not ENTRIES.issubset(names):
        raise SubmissionError(why_it_cannot_be_loaded(path))
    if len(names) != len(ENTRIES):
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
