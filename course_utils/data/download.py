"""Fetch a data set's published files: verified, resumed after a cut, from several sources."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from course_utils.data.catalogue import Download, Spec
from course_utils.files import locked, storing
from course_utils.runtime import cache_dir

CONTENT = "The download"

_PROBE_SECONDS = 3  # without a network, the wait before the stand-in is drawn
_READ_SECONDS = 20  # a server silent for so long counts as gone
_ATTEMPTS = 5  # with one server, each going on where the last one was cut
_BLOCK = 1 << 18

# What a server or the way to it can do wrong. A wrong checksum is pooch's ValueError.
_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, ValueError)


def is_off() -> bool:
    """Tell whether ``COURSE_OFFLINE`` forbids downloads."""
    return os.environ.get("COURSE_OFFLINE", "0") not in ("", "0")


def describe(spec: Spec) -> tuple[str, bool, str]:
    """Return location, False (nothing is here yet) and a remark for `find_sources`."""
    hosts = dict.fromkeys(_host(url) for file in spec.downloads for url in file.urls)
    size = sum(file.size for file in spec.downloads) / 1e6
    remark = "switched off by COURSE_OFFLINE" if is_off() else f"{size:,.0f} MB, not tried here"
    return ", ".join(hosts), False, remark


def fetch(spec: Spec) -> Path | None:
    """Download a data set into the user's cache.

    Several processes that call this at once download once. A cut download is kept as
    ``<name>.part`` and continued, by another server if need be.

    Parameters
    ----------
    spec : Spec
        What to fetch.

    Returns
    -------
    pathlib.Path or None
        The file, or the folder of several; None if downloads are switched off, no server
        answers within a few seconds, or none sends what was published.

    Raises
    ------
    CacheError
        If the cache folder cannot be written or is full.
    """
    if is_off() or not spec.downloads:
        return None
    folder = cache_dir() / "downloads"
    with storing(CONTENT, folder), locked(folder / f".{spec.key}", CONTENT):
        if len(spec.downloads) == 1:
            (file,) = spec.downloads
            return folder / file.name if _fetch_file(file, folder) else None
        return _fetch_folder(spec, folder / spec.key)


def _fetch_folder(spec: Spec, folder: Path) -> Path | None:
    """Get several files; their folder appears when all are there."""
    hidden = folder.with_name(f".{folder.name}.part")  # the ladder passes over hidden folders
    if folder.exists():
        folder.replace(hidden)
    if not all(_fetch_file(file, hidden) for file in spec.downloads):
        return None
    hidden.replace(folder)
    return folder


def _fetch_file(file: Download, folder: Path) -> bool:
    """Get one file from the first server that sends it whole; tell whether one did."""
    for url in _answering(file.urls):
        try:
            pooch.get_logger().setLevel("ERROR")  # pooch would write its notes to stderr
            pooch.retrieve(
                url,
                known_hash=f"md5:{file.md5}",
                fname=file.name,
                path=folder,
                downloader=_Resuming(file, folder / f"{file.name}.part"),
            )
            return True
        except _FAILURES as error:
            print(f"{_host(url)} did not deliver {file.name}: {_reason(error)}.")
    return False


def _answering(urls: tuple[str, ...]) -> list[str]:
    """Return those URLs whose server answers at all, asked all at once, in the given order."""
    answered = set()

    def probe(url: str) -> None:
        try:
            requests.head(url, timeout=_PROBE_SECONDS, allow_redirects=True)
            answered.add(url)
        except _FAILURES:
            pass

    # A name server that does not answer can hold a thread for longer: it is left behind.
    threads = [threading.Thread(target=probe, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [url for url in urls if url in answered]


class _Resuming:
    """A downloader for pooch that goes on where an earlier, cut download stopped."""

    def __init__(self, file: Download, part: Path) -> None:
        self.file = file
        self.part = part

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        try:
            self._complete(url)
            os.replace(self.part, output_file)
        except requests.RequestException:  # also an OSError, but of the network's
            raise
        except OSError:
            self.part.unlink(missing_ok=True)  # a full disk: leave nothing behind
            raise

    def _complete(self, url: str) -> None:
        """Append to the part file until it is whole, while every attempt brings some more."""
        for attempt in range(_ATTEMPTS):
            before = self._have()
            if before == self.file.size:
                return
            try:
                self._append(url, before)
            except _FAILURES:
                if attempt == _ATTEMPTS - 1 or self._have() <= before:
                    raise
        if self._have() != self.file.size:
            raise ValueError(f"it sent {self._have():,} bytes of {self.file.size:,}")

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _append(self, url: str, start: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if 0 < start < self.file.size:
            headers["Range"] = f"bytes={start}-"
        with requests.get(
            url, headers=headers, stream=True, timeout=(_PROBE_SECONDS, _READ_SECONDS)
        ) as response:
            response.raise_for_status()
            continued = response.status_code == 206 and self._starts_at(response, start)
            if not continued:
                start = 0
            announced = int(response.headers.get("Content-Length", self.file.size - start))
            if announced != self.file.size - start:
                raise ValueError(f"it has another file, of {start + announced:,} bytes")
            with self.part.open("ab" if continued else "wb") as out:
                progress = _Progress(self.file, _host(url))
                for block in response.raw.stream(_BLOCK, decode_content=False):
                    out.write(block)
                    progress.show(out.tell())
                progress.end()

    def _starts_at(self, response: requests.Response, start: int) -> bool:
        expected = rf"bytes {start}-\d+/({self.file.size}|\*)"
        return bool(re.fullmatch(expected, response.headers.get("Content-Range", "")))


class _Progress:
    """One line on standard output that is written over at every percent."""

    def __init__(self, file: Download, host: str) -> None:
        self.file = file
        self.host = host
        self.shown = -1

    def show(self, have: int) -> None:
        percent = 100 * have // self.file.size
        if percent != self.shown:
            self.shown = percent
            size = f"{self.file.size / 1e6:,.1f} MB"
            line = f"Downloading {self.file.name} from {self.host}: {percent}% of {size}"
            print(f"\r{line}", end="", flush=True)

    def end(self) -> None:
        if self.shown >= 0:
            print()


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong with a server."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if isinstance(error, requests.Timeout):
        return "it fell silent"
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        return "the connection broke"
    return "wrong checksum" if "hash" in str(error) else str(error)
