"""The data ladder: where a data set is looked for, in which order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_utils import paths
from course_utils.data import download, stand_in
from course_utils.data.cache import load_or_make
from course_utils.data.catalogue import SPECS, Spec
from course_utils.data.dataset import Dataset, Source
from course_utils.data.formats import (
    KIND_NAMES,
    is_one_of_several,
    read,
    recognise,
    relevant_files,
)
from course_utils.data.splits import split
from course_utils.errors import CacheError, DataError
from course_utils.runtime import cache_dir, keras_home, start_folder

STAND_IN = "stand-in"

# Raise it when the same files are decoded or split in another way than before.
_CACHE_VERSION = "1"

_announced: set[str] = set()


class Rung(NamedTuple):
    """One rung of the ladder, for people to read."""

    rung: str
    location: str
    found: bool
    detail: str


class _Place(NamedTuple):
    rung: str
    path: Path
    chosen_by_user: bool = False


def places(path: str | os.PathLike | None) -> Iterator[_Place]:
    """Yield the folders and files to look in; a path given by hand is the only one."""
    if path is not None:
        yield _Place("path given", Path(path).expanduser(), chosen_by_user=True)
        return
    if from_environment := os.environ.get("COURSE_DATA"):
        place = Path(from_environment).expanduser()
        yield _Place("$COURSE_DATA", place, chosen_by_user=True)
    for rung in ("./data", "../shared/data"):
        for start in dict.fromkeys([start_folder(), paths.CHECKOUT]):
            # Not resolved: a sandbox has to know the links on the way.
            yield _Place(rung, Path(os.path.normpath(start / rung)))
    yield _Place("user's cache", cache_dir() / "downloads")
    yield _Place("Keras' cache", keras_home() / "datasets")


def _search(path: Path, spec: Spec) -> Path | None:
    """Find a data set at a path, or up to two folders below it."""
    found: list[tuple[int, str, Path]] = []

    def visit(folder: Path, depth: int) -> None:
        rank = recognise(folder, spec)
        if rank is not None:
            found.append((rank, str(folder), folder))
        elif depth and folder.is_dir():
            for child in sorted(folder.iterdir()):
                if not child.name.startswith("."):
                    visit(child, depth - 1)

    try:
        visit(path, 2)
    except PermissionError as error:
        raise DataError(
            f"{error.filename} may not be read; change its permissions, or give another path."
        ) from None
    return min(found)[2] if found else None


def _find(place: _Place, spec: Spec) -> Path | None:
    """Return the data set at a place, or None if the next place is to be tried.

    Raises
    ------
    DataError
        If the user named this place and nothing is there.
    """
    if not place.path.exists():
        if place.chosen_by_user:
            raise DataError(
                f"{place.path} ({place.rung}) does not exist; correct the path, or leave it out "
                "to search the usual places."
            )
        return None
    found = _search(place.path, spec)
    if found or not place.chosen_by_user:
        return found
    others = [other for other in SPECS.values() if other.key != spec.key]
    if place.rung == "$COURSE_DATA" and any(_search(place.path, other) for other in others):
        return None  # it is the place of the other data set only
    if place.path.is_file():  # whatever its name: the user knows what it is
        return place.path.parent if is_one_of_several(place.path) else place.path
    raise DataError(
        f"{place.path} ({place.rung}) holds no {spec.title}; give the path of its official "
        "archive or folder" + (", or of an image folder." if spec.key == "cifar10" else ".")
    )


def find_sources(dataset: str = "cifar10", path: str | None = None) -> list[Rung]:
    """List every rung of the data ladder and what is on it. Nothing is read or downloaded.

    Parameters
    ----------
    dataset : {"cifar10", "mnist"}
        Which data set.
    path : str, optional
        As for `load_cifar10`.

    Returns
    -------
    list of Rung
        ``(rung, location, found, detail)``; the first one found is the one that is used, unless
        a download, of which nothing is known here, stands before it and succeeds.

    Raises
    ------
    DataError
        For another `dataset`.
    """
    if dataset not in SPECS:
        raise DataError(f"Unknown data set {dataset!r}: choose one of {', '.join(SPECS)}.")
    spec = SPECS[dataset]
    drawn = Rung(STAND_IN, "", True, "drawn, not photographs")
    if _asks_for_stand_in(path):
        return [drawn]
    rungs = [_describe(place, spec) for place in places(path)]
    if path is None:
        rungs += [Rung("download", *download.describe(spec)), drawn]
    return rungs


def _asks_for_stand_in(path: str | os.PathLike | None) -> bool:
    return STAND_IN in (path, os.environ.get("COURSE_DATA") if path is None else None)


def _describe(place: _Place, spec: Spec) -> Rung:
    try:
        found = _find(place, spec)
    except DataError as error:
        return Rung(place.rung, str(place.path), False, str(error))
    if found is None:
        detail = f"no {spec.title} there" if place.path.exists() else "does not exist"
        return Rung(place.rung, str(place.path), False, detail)
    size = sum(status.st_size for _, status in relevant_files(found, spec))
    what = "folder" if found.is_dir() else "file"
    return Rung(place.rung, str(found), True, f"{what}, {size / 1e6:,.0f} MB")


def load(spec: Spec, path: str | os.PathLike | None, limit: int | None) -> Dataset:
    """Climb the ladder and load what the first rung holds."""
    data = _load_all(spec, path)
    return data if limit is None else data.limited(limit)


def _load_all(spec: Spec, path: str | os.PathLike | None) -> Dataset:
    asked_for = _asks_for_stand_in(path)
    if not asked_for:
        for place in places(path):
            try:
                if found := _find(place, spec):
                    return _open(found, spec, place.rung)
            except CacheError:
                raise
            except DataError as error:
                if place.chosen_by_user:
                    raise
                print(f"Skipped: {error}")
        if downloaded := download.fetch(spec):
            return _open(downloaded, spec, "download")
    return _open_stand_in(spec, asked_for)


def _open(path: Path, spec: Spec, rung: str) -> Dataset:
    """Load a source, from the cache if it was decoded before."""
    path = path.resolve()

    def make() -> tuple[dict[str, np.ndarray], dict[str, object]]:
        decoded = read(path, spec)
        meta = {"location": str(path), "kind": decoded.kind, "detail": decoded.detail}
        if path.is_file():
            with path.open("rb") as file:
                meta["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return _split_arrays(decoded[:4], spec), meta

    arrays, meta = load_or_make(f"{spec.key}-{_cache_key(path, spec)}", make)
    kind = "Keras cache" if rung == "Keras' cache" else KIND_NAMES[meta["kind"]]
    name = f"{spec.title} ({' '.join(filter(None, (meta['detail'], kind)))})"
    source = Source(name, meta["kind"], str(path), meta["fingerprint"], is_stand_in=False)
    return Dataset(**arrays, class_names=spec.class_names, source=source)


def _cache_key(path: Path, spec: Spec) -> str:
    """Name a source by its path and its files' names, sizes and times: no content is read."""
    digest = hashlib.sha256(f"{_CACHE_VERSION} {path} {spec}".encode())
    try:
        for name, status in relevant_files(path, spec):
            digest.update(f"\n{name} {status.st_size} {status.st_mtime_ns}".encode())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); check the path and its permissions."
        ) from error
    return digest.hexdigest()[:24]


def _split_arrays(decoded: tuple[np.ndarray, ...], spec: Spec) -> dict[str, np.ndarray]:
    x, y, x_test, y_test = decoded
    kept, chosen = split(y, spec.validation)
    return {
        "x_train": x[kept],
        "y_train": y[kept],
        "x_val": x[chosen],
        "y_val": y[chosen],
        "x_test": x_test,
        "y_test": y_test,
    }


def _open_stand_in(spec: Spec, asked_for: bool) -> Dataset:
    """Draw the stand-in, or take it from the cache, and say once that it is one."""
    drawn = stand_in.spec_for(spec)

    def make() -> tuple[dict[str, np.ndarray], dict[str, object]]:
        return _split_arrays(stand_in.draw(drawn), drawn), {}

    arrays, meta = load_or_make(f"stand-in-{spec.key}-{stand_in.VERSION}", make)
    source = Source(drawn.title, STAND_IN, "", meta["fingerprint"], is_stand_in=True)
    if spec.key not in _announced:
        _announced.add(spec.key)
        why = "as asked" if asked_for else f"no {spec.title} was found, see `course data`"
        print(f"Using the {drawn.title}: {why}. Accuracies on it say nothing about {spec.title}.")
    return Dataset(**arrays, class_names=drawn.class_names, source=source)
