"""A relay between a kernel's sockets and its client, which forwards bytes and counts them.

ZeroMQ receives everything that a kernel sends, even if nobody reads it, and its own limits count
messages, each of which can have any number of parts. The relay limits the total number of bytes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

# Bytes that are forwarded at a time.
CHUNK = 2**16


class Relay:
    """Forwards connections from a new socket to each of a kernel's, from `listen` to `close`.

    Parameters
    ----------
    kernel : Path
        Prefix of the names of the kernel's sockets; a hyphen and a number follow.
    most : int
        Bytes that the kernel may send on all its sockets together.
    on_excess : callable
        Called if the kernel sends more; nothing is forwarded from then on.

    Attributes
    ----------
    ip : str
        Prefix of the names of the new sockets, to which a client connects.
    """

    def __init__(self, kernel: Path, most: int, on_excess: Callable[[], None]) -> None:
        self._kernel, self._left, self._on_excess = kernel, most, on_excess
        self._folder = Path(tempfile.mkdtemp(prefix="relay-"))
        self.ip = str(self._folder / "kernel")
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def listen(self, numbers: Iterable[int]) -> None:
        """Accept connections for the kernel's sockets with these numbers."""
        for number in numbers:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{self.ip}-{number}")
            listener.listen()
            self._start(listener, self._accept, listener, number)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            self._left = -1
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, owned: socket.socket, serve: Callable[..., None], *arguments: object) -> None:
        """Serve a socket in a new thread, which closes the socket at the end."""

        def run() -> None:
            with owned:
                with contextlib.suppress(OSError):
                    serve(*arguments)
                with self._lock:
                    self._open.discard(owned)

        with self._lock:
            self._open.add(owned)
        threading.Thread(target=run, daemon=True).start()

    def _accept(self, listener: socket.socket, number: int) -> None:
        while True:
            client, _ = listener.accept()
            kernel = socket.socket(socket.AF_UNIX)
            try:
                _connect(kernel, f"{self._kernel}-{number}")
            except OSError:
                # The kernel does not listen yet; the client will try again.
                client.close()
                kernel.close()
                continue
            self._start(client, self._pass_on, client, kernel, False)
            self._start(kernel, self._pass_on, kernel, client, True)

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(CHUNK):
                if counted and not self._allows(len(data)):
                    self._on_excess()
                    return
                target.sendall(data)
        finally:
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

    def _allows(self, size: int) -> bool:
        with self._lock:
            self._left -= size
            return self._left >= 0


def _connect(client: socket.socket, name: str) -> None:
    """Connect to the socket with this name, without following a symbolic link."""
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise ConnectionRefusedError(f"{name} is no socket.")
        client.connect(f"/proc/self/fd/{place}")
    finally:
        os.close(place)
