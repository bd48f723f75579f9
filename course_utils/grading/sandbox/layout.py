"""The layout of the file system inside a sandbox."""

from __future__ import annotations

import sys
from pathlib import Path

from course_utils.paths import PACKAGE

# Folder inside a sandbox that holds everything about the submission.
INSIDE = Path("/sandbox")
# Folders in `INSIDE`: the submission, which is read-only, and the program's working folder.
HANDED_IN, WORK = "handed-in", "work"
# System folders that a program sees, read-only.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/fonts",
          "/etc/ld.so.cache", "/etc/localtime")  # fmt: skip
# Devices in /dev that a program sees.
DEVICES = ("null", "full", "random", "urandom")


def python_folders() -> list[Path]:
    """Return the folders that a Python program of the course needs to start."""
    return [Path(sys.prefix), Path(sys.base_prefix), PACKAGE]


def private_cache(folder: Path) -> Path:
    """Return the data cache of the program in the sandbox with this folder."""
    return folder / WORK / "cache"


def link_cache(cache: Path, folder: Path) -> None:
    """Give the program in a sandbox its own cache, which links to everything in the grader's."""
    own = private_cache(folder)
    (own / "features").mkdir(parents=True)
    (own / "datasets").symlink_to(cache / "datasets")
    for path in (cache / "features").glob("*.npy"):
        (own / "features" / path.name).symlink_to(path)
