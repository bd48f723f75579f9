"""Building the HTML book from chapters whose outputs are already in its cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from course_utils.errors import RunError
from course_utils.files import write_atomically

# Sphinx writes escape sequences for colours even where there is no terminal.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Build:
    """How a build of the book ended.

    Attributes
    ----------
    passed : bool
        Whether there was neither an error nor a warning.
    seconds : float
    warnings : str
        All that the build complained about.
    log : Path
        Everything that it printed.
    first_page : Path
    """

    passed: bool
    seconds: float
    warnings: str
    log: Path
    first_page: Path


def build_book(root: Path) -> Build:
    """Run ``jupyter-book build . -n -W --keep-going`` in `root`, strictly.

    Raises
    ------
    RunError
        If `root` is not a book's folder, or Jupyter Book is not installed.
    """
    for name in ("_config.yml", "_toc.yml"):
        if not (root / name).is_file():
            raise RunError(f"There is no {name} in {root}: change to the course's folder.")
    command = Path(sys.executable).parent / "jupyter-book"
    if not command.exists():
        raise RunError("Jupyter Book is not installed here: pip install -r requirements.txt.")
    build = root / "_build"
    # Kept parse results hide the warnings of pages that did not change, and with them failures.
    shutil.rmtree(build / ".doctrees", ignore_errors=True)
    started = time.monotonic()
    process = subprocess.run(
        [command, "build", ".", "-n", "-W", "--keep-going"],
        cwd=root,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"} | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    printed, warnings = (COLOUR.sub("", text) for text in (process.stdout, process.stderr))
    log = write_atomically(build / "book.log", printed + warnings)
    first_page = build / "html" / "index.html"
    passed = process.returncode == 0 and first_page.is_file()
    return Build(passed, seconds, warnings.strip(), log, first_page)
