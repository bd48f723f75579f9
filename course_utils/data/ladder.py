"""The data ladder: the places where a data set is searched, in their order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_utils import env, paths
from course_utils.data import download, stand_in
from course_utils.data.cache import Meta, load_or_make
from course_utils.data.catalogue import DEFAULT, SPECS, spec_of
from course_utils.data.dataset import Dataset, Source
from course_utils.data.formats import read, relevant_files
from course_utils.data.spec import Spec
from course_utils.data.splits import split
from course_utils.errors import CacheError, DataError
from course_utils.runtime import cache_dir, keras_home, start_folder

STAND_IN = "stand-in"

_FROM_ENVIRONMENT = f"${env.DATA.name}"

# Version of the decoded data; raise it when the same files are decoded or split in another way.
_CACHE_VERSION = "1"

# Keys of the data sets whose stand-in was announced in this process.
_announced: set[str] = set()


class Rung(NamedTuple):
    """One rung of the ladder, for people to read.

    Attributes
    ----------
    rung : str
        Its name.
    location : str
        The file or folder, or the servers of a download; empty for the stand-in.
    found : bool
        Whether the data set is there.
    detail : str
        A remark, such as the size of the files, or why there is nothing.
    """

    rung: str
    location: str
    found: bool
    detail: str


class _Place(NamedTuple):
    """A folder or file to look in; what the user chose must hold the data."""

    rung: str
    path: Path
    chosen_by_user: bool = False


def places(path: str | os.PathLike | None) -> Iterator[_Place]:
    """Yield the folders and files to look in, first the preferred one.

    Parameters
    ----------
    path : str or path, optional
        A path given by the user; if there is one, nothing else is searched.
    """
    if path is not None:
        yield _Place("path given", Path(path).expanduser(), chosen_by_user=True)
        return
    if env.DATA.value:
        yield _Place(_FROM_ENVIRONMENT, Path(env.DATA.value).expanduser(), chosen_by_user=True)
    for rung in ("./data", "../shared/data"):
        for start in dict.fromkeys([start_folder(), paths.CHECKOUT]):
            # Links stay unresolved: a sandbox has to know those on the way.
            yield _Place(rung, Path(os.path.normpath(start / rung)))
    yield _Place("user's cache", cache_dir() / "downloads")
    yield _Place("Keras' cache", keras_home() / "datasets")


def _search(path: Path, spec: Spec) -> list[Path]:
    """Find what could be a data set, at a path or up to two folders below it; the best is first."""
    found: list[tuple[int, str, Path]] = []

    def visit(folder: Path, depth: int) -> None:
        rank = spec.recognise(folder)
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
    return [candidate for _, _, candidate in sorted(found)]


def _find(place: _Place, spec: Spec) -> list[Path]:
    """Return what could be the data set at a place; empty if the next place is to be tried.

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
        return []
    found = _search(place.path, spec)
    if found or not place.chosen_by_user:
        return found
    others = [other for other in SPECS.values() if other.key != spec.key]
    if place.rung == _FROM_ENVIRONMENT and any(_search(place.path, other) for other in others):
        return []  # the place of another data set only
    if place.path.is_file():  # whatever its name: the user knows what it is
        several = any(known.is_one_of_several(place.path.name) for known in SPECS.values())
        return [place.path.parent if several else place.path]
    raise DataError(
        f"{place.path} ({place.rung}) holds no {spec.title}; give the path of {spec.sources}."
    )


def find_sources(dataset: str = DEFAULT, path: str | None = None) -> list[Rung]:
    """List every rung of the data ladder and what is on it. Nothing is read or downloaded.

    Parameters
    ----------
    dataset : str
        A key of the catalogue, such as ``"cifar10"``.
    path : str, optional
        A path or ``"stand-in"``, as for `load_cifar10`.

    Returns
    -------
    list of Rung
        The first one found is the one that is used, unless a download, whose success is not
        known in advance, comes before it.

    Raises
    ------
    DataError
        For a `dataset` that is not in the catalogue.
    """
    spec = spec_of(dataset)
    drawn = Rung(STAND_IN, "", True, "drawn, not photographs")
    if _asks_for_stand_in(path):
        return [drawn]
    rungs = [_describe(place, spec) for place in places(path)]
    if path is None:
        rungs += [Rung("download", *download.describe(spec)), drawn]
    return rungs


def _asks_for_stand_in(path: str | os.PathLike | None) -> bool:
    """Tell whether the user wants the stand-in, by the path or by the environment."""
    return (env.DATA.value if path is None else path) == STAND_IN


def _describe(place: _Place, spec: Spec) -> Rung:
    """Say what is at a place."""
    try:
        candidates = _find(place, spec)
    except DataError as error:
        return Rung(place.rung, str(place.path), False, str(error))
    if not candidates:
        detail = f"no {spec.title} there" if place.path.exists() else "does not exist"
        return Rung(place.rung, str(place.path), False, detail)
    found = candidates[0]
    size = sum(status.st_size for _, status in relevant_files(found, spec))
    what = "folder" if found.is_dir() else "file"
    return Rung(place.rung, str(found), True, f"{what}, {size / 1e6:,.0f} MB")


def load(
    dataset: str | Spec, path: str | os.PathLike | None = None, limit: int | None = None
) -> Dataset:
    """Load a data set of the catalogue from the first place that holds it.

    Parameters
    ----------
    dataset : str or Spec
        A key of the catalogue, such as ``"cifar10"``, or an entry.
    path : str or path, optional
        A path or ``"stand-in"``, as for `load_cifar10`.
    limit : int, optional
        The largest number of training images, as for `load_cifar10`.

    Raises
    ------
    DataError
        For a key that is not in the catalogue, and as `load_cifar10` does.

    Examples
    --------
    >>> load("mnist", "stand-in", limit=100).x_train.shape  # doctest: +ELLIPSIS
    Using the stand-in for MNIST ...
    (100, 28, 28, 1)
    """
    data = _load_all(spec_of(dataset), path)
    return data if limit is None else data.limited(limit)


def _load_all(spec: Spec, path: str | os.PathLike | None) -> Dataset:
    """Climb the ladder and open what the first rung holds."""
    asked_for = _asks_for_stand_in(path)
    if not asked_for:
        for place in places(path):
            try:
                if data := _open_first(place, spec):
                    return data
            except CacheError:
                raise
            except DataError as error:
                if place.chosen_by_user:
                    raise
                print(f"Skipped: {error}")
        if downloaded := download.fetch(spec):
            return _open(downloaded, spec, "download")
    return _open_stand_in(spec, asked_for)


def _open_first(place: _Place, spec: Spec) -> Dataset | None:
    """Open the first data set at a place that can be read; None if there is none.

    Raises
    ------
    DataError
        If none of those that are there can be read: the last one's error.
    """
    candidates = _find(place, spec)
    for found in candidates[:-1]:
        try:
            return _open(found, spec, place.rung)
        except CacheError:
            raise
        except DataError as error:
            print(f"Skipped: {error}")
    return _open(candidates[-1], spec, place.rung) if candidates else None


def _open(path: Path, spec: Spec, rung: str) -> Dataset:
    """Load a source, from the cache if it was decoded before."""
    path = path.resolve()

    def make() -> tuple[dict[str, np.ndarray], Meta]:
        decoded = read(path, spec)
        meta: Meta = {"location": str(path), "kind": decoded.kind, "detail": decoded.detail}
        if path.is_file():
            with path.open("rb") as file:
                meta["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return _split_arrays(decoded[:4], spec), meta

    arrays, meta = load_or_make(f"{spec.key}-{_cache_key(path, spec)}", make)
    kind = "Keras cache" if rung == "Keras' cache" else spec.kinds[meta["kind"]]
    name = f"{spec.title} ({' '.join(filter(None, (meta['detail'], kind)))})"
    source = Source(name, meta["kind"], str(path), meta["fingerprint"], is_stand_in=False)
    return Dataset(**arrays, class_names=spec.class_names, source=source)


def _cache_key(path: Path, spec: Spec) -> str:
    """Return a key of a source: its path, and names, sizes and times of its files.

    No content is read.
    """
    digest = hashlib.sha256(f"{_CACHE_VERSION} {path} {spec}".encode())
    try:
        for name, status in relevant_files(path, spec):
            digest.update(f"\n{name} {status.st_size} {status.st_mtime_ns}".encode())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); check the path and its permissions."
        ) from error
    return digest.hexdigest()[:24]


def _split_arrays(
    decoded: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], spec: Spec
) -> dict[str, np.ndarray]:
    """Set the validation images aside; `decoded` are training and test images with labels."""
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

    def make() -> tuple[dict[str, np.ndarray], Meta]:
        return _split_arrays(stand_in.draw(drawn), drawn), {}

    arrays, meta = load_or_make(f"stand-in-{spec.key}-{stand_in.VERSION}", make)
    source = Source(drawn.title, STAND_IN, "", meta["fingerprint"], is_stand_in=True)
    if spec.key not in _announced:
        _announced.add(spec.key)
        why = "as asked" if asked_for else f"no {spec.title} was found, see `course data`"
        print(f"Using the {drawn.title}: {why}. Accuracies on it say nothing about {spec.title}.")
    return Dataset(**arrays, class_names=drawn.class_names, source=source)
