"""Formgrader, served by Jupyter as a lecturer starts it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from course_utils.grading.gradebook import open_gradebook


@contextlib.contextmanager
def formgrader_of(course: Path) -> Iterator[str]:
    """Serve formgrader on this machine for a course; yield its address, with the token `test`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (course / "jupyter.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root",
             "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
             "--IdentityProvider.token=test"],
            cwd=course, env=os.environ | {"PATH": programs}, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def submission_id(course: Path, assignment: str, student: str) -> str:
    """Return the id under which formgrader shows a submission."""
    with open_gradebook(course) as gradebook:
        return gradebook.find_submission_notebook(assignment, assignment, student).id


def _wait_for(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the Jupyter server did not start")
