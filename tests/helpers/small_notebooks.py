"""Notebooks of a few lines, some of which hang, and runs of them that a test can end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil

PARAMETERS = 'profile = "fast"\nseed = 0\nepochs = None\nlimit = None\ndata_path = None'
COUNT = """
from pathlib import Path
with Path({path!r}).open("a") as file:
    file.write("x")
"""
# Says who it is, then hangs in a way that no interrupt ends.
HANG = """
import os, time
from pathlib import Path
here = Path({path!r})
again = here.exists()
here.write_text(str(os.getpid()))
while not again:
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        pass
"""
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def write_notebook(path: Path, *code: str, text: str = "# Title") -> Path:
    """Write a notebook of a text cell, a parameters cell and code cells."""
    new = nbformat.v4
    cells = [
        new.new_markdown_cell(text, id="title"),
        new.new_code_cell(PARAMETERS, id="parameters", metadata={"tags": ["parameters"]}),
        *(new.new_code_cell(source, id=f"code-{n}") for n, source in enumerate(code, 1)),
    ]
    notebook = new.new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook))
    return path


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def is_running(pid_file: Path) -> bool:
    try:
        return psutil.Process(int(pid_file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_course_run(folder: Path, pid_file: Path, *options: str) -> subprocess.Popen:
    """Run the notebooks of a folder in a process of its own, until one of them hangs."""
    command = [sys.executable, "-m", "course_utils.cli", "run", folder, "--out", folder / "out"]
    command += ["--jobs", "1"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A background job starts with SIGINT ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(lambda: pid_file.exists() and pid_file.read_text())
    return process
