"""Small books with the settings and extensions of the real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from course_utils.paths import CHECKOUT


def write_settings(book: Path, root: str, *chapters: str) -> None:
    """Put settings, extensions, scripts and papers into a folder, and a table of contents."""
    shutil.copy(CHECKOUT / "_config.yml", book)
    for name in ("_ext", "_static"):
        shutil.copytree(
            CHECKOUT / "book" / name,
            book / "book" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(CHECKOUT / "book" / "references.bib", book / "book")
    write_contents(book, root, *chapters)


def write_contents(book: Path, root: str, *chapters: str) -> None:
    """Name the pages of a small book: its first one, and all others."""
    files = [{"file": f"book/{name}"} for name in chapters]
    contents = {"format": "jb-book", "root": f"book/{root}", "chapters": files}
    (book / "_toc.yml").write_text(yaml.safe_dump(contents), "utf-8")
