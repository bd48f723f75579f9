"""Child processes that take their orders from a parent, and never outlive it.

The parent writes the orders as one line of JSON on the child's standard input and leaves that pipe
open. When the parent ends, however it ends, the operating system closes the pipe, and the child
ends itself and its own children.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import psutil

from course_utils.paths import CHECKOUT


def child_environment() -> dict[str, str]:
    """Return this process's environment, with this library first on Python's search path."""
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), path]))}


def start_child(
    module: str, orders: Mapping[str, Any], *, environment: Mapping[str, str], **options: Any
) -> psutil.Popen:
    """Start ``python -m module``, which calls `read_orders`.

    Parameters
    ----------
    module : str
        The full name of the module.
    orders : mapping
        JSON values.
    environment : mapping
        The child's environment variables; see `child_environment`.
    **options
        More options of `subprocess.Popen`. The child's standard streams are text.

    Returns
    -------
    psutil.Popen
        The child, which ends as soon as its ``stdin`` is closed.
    """
    child = psutil.Popen(
        # Without -P, a file of the current folder such as `random.py` would be imported for
        # Python's own.
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        text=True,
        env=dict(environment),
        **options,
    )
    with contextlib.suppress(BrokenPipeError):  # The child has already died; its log says why.
        child.stdin.write(json.dumps(orders) + "\n")
        child.stdin.flush()
    return child


def read_orders() -> dict[str, Any]:
    """Return the parent's orders, and from now on end this process when the parent ends."""
    orders = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    return orders


def _die_with_parent() -> None:
    """Wait for the end of standard input, then kill this process and its children."""
    # sys.stdin.read() would keep Python from shutting down, since it holds the stream's lock.
    os.read(0, 1)
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(1)
