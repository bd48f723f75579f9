"""Download published files: verified, resumed after a cut, from several servers."""

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

from course_utils import env
from course_utils.data.spec import Download, Spec
from course_utils.files import locked, storing
from course_utils.runtime import cache_dir

CONTENT = "The download"

# Time in which a server must answer, in seconds; without a network, the wait before the stand-in.
PROBE_SECONDS = 3

# Silence after which a server counts as gone, in seconds.
_READ_SECONDS = 20

# Attempts with one server, each of which continues where the last one was cut.
_ATTEMPTS = 5

# Bytes read at a time.
_BLOCK = 1 << 18

# Errors of a server or of the connection to it. A wrong checksum is a ValueError of pooch.
FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, ValueError)


def is_off() -> bool:
    """Tell whether ``COURSE_OFFLINE`` forbids downloads."""
    return env.OFFLINE.is_on


def describe(spec: Spec) -> tuple[str, bool, str]:
    """Return the servers, False (nothing is here yet) and a remark, for `find_sources`."""
    hosts = dict.fromkeys(_host(url) for file in spec.downloads for url in file.urls)
    size = sum(file.size for file in spec.downloads) / 1e6
    remark = "switched off by COURSE_OFFLINE" if is_off() else f"{size:,.0f} MB, not tried here"
    return ", ".join(hosts), False, remark


def fetch(spec: Spec) -> Path | None:
    """Download a data set into the user's cache.

    If several processes call this at once, one of them downloads. A cut download is kept as
    ``<name>.part`` and continued, from another server if necessary.

    Parameters
    ----------
    spec : Spec
        The data set.

    Returns
    -------
    pathlib.Path or None
        The file, or the folder of several; None if downloads are switched off, if no server
        answers within a few seconds, or if none sends the published bytes.

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
            return folder / file.name if fetch_file(file, folder) else None
        return _fetch_folder(spec, folder / spec.key)


def _fetch_folder(spec: Spec, folder: Path) -> Path | None:
    """Download several files; their folder appears when all of them are complete."""
    hidden = folder.with_name(f".{folder.name}.part")  # the ladder skips hidden folders
    if folder.exists():
        folder.replace(hidden)
    if not all(fetch_file(file, hidden) for file in spec.downloads):
        return None
    hidden.replace(folder)
    return folder


def fetch_file(file: Download, folder: Path) -> bool:
    """Download one file from the first server that sends all of it.

    The file appears in the folder under its name when it is complete and its size and checksum
    are right; a wrong file is removed. Why a server failed is printed, one line for each. The
    caller keeps other processes out.

    Returns
    -------
    bool
        Whether a server sent it.

    Raises
    ------
    OSError
        If the folder cannot be written or is full.
    """
    for url in _answering(file.urls):
        try:
            pooch.get_logger().setLevel("ERROR")  # pooch would write its notes to stderr
            pooch.retrieve(
                url,
                known_hash=f"md5:{file.md5}" if file.md5 else None,
                fname=file.name,
                path=folder,
                downloader=_Resuming(file, folder / f"{file.name}.part"),
            )
            return True
        except FAILURES as error:
            print(f"{_host(url)} did not deliver {file.name}: {_reason(error)}.")
    return False


def _answering(urls: tuple[str, ...]) -> list[str]:
    """Return the URLs whose servers answer, in the given order; all are asked at once."""
    answered: set[str] = set()

    def probe(url: str) -> None:
        try:
            requests.head(url, timeout=PROBE_SECONDS, allow_redirects=True)
            answered.add(url)
        except FAILURES:
            pass

    # Daemon threads: one that waits for a name server that does not answer is abandoned.
    threads = [threading.Thread(target=probe, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [url for url in urls if url in answered]


class _Resuming:
    """A downloader for pooch that continues where an earlier, cut download stopped."""

    def __init__(self, file: Download, part: Path) -> None:
        self.file = file
        self.part = part

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        try:
            self._complete(url)
            os.replace(self.part, output_file)
        except requests.RequestException:  # an OSError, too, but no fault of the disk
            raise
        except OSError:
            self.part.unlink(missing_ok=True)  # a full disk: leave nothing behind
            raise

    def _complete(self, url: str) -> None:
        """Append to the part file until it is complete, as long as every attempt adds bytes."""
        for attempt in range(_ATTEMPTS):
            before = self._have()
            if before == self.file.size:
                return
            try:
                self._append(url, before)
            except FAILURES:
                if attempt == _ATTEMPTS - 1 or self._have() <= before:
                    raise
        if self._have() != self.file.size:
            raise ValueError(f"it sent {self._have():,} bytes of {self.file.size:,}")

    def _have(self) -> int:
        """Return the size of the part file in bytes."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _append(self, url: str, start: int) -> None:
        """Request the bytes from `start` on, or all of them if the server cannot continue."""
        headers = {"Accept-Encoding": "identity"}
        if 0 < start < self.file.size:
            headers["Range"] = f"bytes={start}-"
        with requests.get(
            url, headers=headers, stream=True, timeout=(PROBE_SECONDS, _READ_SECONDS)
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
        """Tell whether a partial answer is the rest of this file."""
        expected = rf"bytes {start}-\d+/({self.file.size}|\*)"
        return bool(re.fullmatch(expected, response.headers.get("Content-Range", "")))


class _Progress:
    """One line on standard output that is overwritten at every percent."""

    def __init__(self, file: Download, host: str) -> None:
        self.file = file
        self.host = host
        self.shown = -1

    def show(self, have: int) -> None:
        """Show how much of the file is there, given in bytes."""
        percent = 100 * have // self.file.size
        if percent != self.shown:
            self.shown = percent
            size = f"{self.file.size / 1e6:,.1f} MB"
            line = f"Downloading {self.file.name} from {self.host}: {percent}% of {size}"
            print(f"\r{line}", end="", flush=True)

    def end(self) -> None:
        """End the line, if there is one."""
        if self.shown >= 0:
            print()


def _host(url: str) -> str:
    """Return the server's name in an address."""
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
