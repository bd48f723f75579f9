"""Where files are, inside a sandbox."""

from __future__ import annotations

import sys
from pathlib import Path

from course_utils.paths import PACKAGE

# The folder of the sandbox itself.
INSIDE = Path("/sandbox")
# Folders below it: the submission, read-only, and the place where a program may write.
HANDED_IN, WORK = "handed-in", "work"
# System folders that a program sees, read-only.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/fonts",
          "/etc/ld.so.cache", "/etc/localtime")  # fmt: skip
DEVICES = ("null", "full", "random", "urandom")


def python_folders() -> list[Path]:
    """Return the folders that a Python program of the course reads to start."""
    return [Path(sys.prefix), Path(sys.base_prefix), PACKAGE]


def kernel_cache(folder: Path) -> Path:
    """Return the data cache of a kernel in the sandbox whose folder is `folder`."""
    return folder / WORK / "cache"
