"""Folders in folders, so deep that no path leads to the last one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def nest(folder: Path, names: Iterable[str], file: str = "") -> None:
    """Make a folder in each other, and an empty file in each if it has a name."""
    here = os.getcwd()
    os.chdir(folder)
    for name in names:
        os.mkdir(name)
        os.chdir(name)
        if file:
            os.close(os.open(file, os.O_CREAT))
    os.chdir(here)
