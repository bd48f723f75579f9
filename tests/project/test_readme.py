"""The README's commands, as they are printed.

Each command's program, target and files are looked up; the quick ones are really run. `make book`
and `make test` are not: they would call themselves.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from executed_chapters import CHAPTERS, SHORT

from course_utils.paths import CHECKOUT as ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def printed_commands() -> list[list[str]]:
    """Every line of every `sh` block, split into words; comments and settings left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = (shlex.split(line, comments=True) for block in blocks for line in block.splitlines())
    without_settings = ([w for w in words if not re.match(r"[A-Z_]+=", w)] for words in lines)
    return [words for words in without_settings if words]


def name(words: list[str]) -> str:
    return Path(words[0]).name


COMMANDS = printed_commands()
MAKE = [words for words in COMMANDS if name(words) == "make"]
COURSE = [words for words in COMMANDS if name(words) == "course"]
PAPERMILL = [words for words in COMMANDS if name(words) == "papermill"]
# `test_cli.py` runs ``course doctor``.
QUICK = [words for words in COURSE if words[1:] == ["zoo", "list"]]
LONGEST = 600


def spelled(words: list[str]) -> str:
    return " ".join(words)


def run(words: list[str], cwd: Path) -> subprocess.CompletedProcess:
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def test_the_two_commands_come_first():
    assert COMMANDS[:2] == [["make", "book"], ["make", "test"]]


def test_every_program_is_known():
    elsewhere = {"make", "source", "cd"}
    for words in COMMANDS:
        assert name(words) in elsewhere or (BIN / name(words)).exists(), spelled(words)


def test_every_file_exists():
    for words in COMMANDS:
        for word in words[1:]:
            if word.startswith("book/"):
                assert (ROOT / word).exists(), spelled(words)
    for link in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_path_of_the_map_exists():
    table = README.split("## Map of the repository")[1].split("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", row):
            assert (ROOT / path).exists(), path


@pytest.mark.process
@pytest.mark.parametrize("words", MAKE, ids=spelled)
def test_make_target_exists(words):
    process = run(["make", "--dry-run", *words[1:]], ROOT)
    assert process.returncode == 0, process.stderr


@pytest.mark.process
@pytest.mark.parametrize("words", COURSE, ids=spelled)
def test_course_command_takes_these_options(words):
    subcommands = [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)]
    depth = len(subcommands) if words[1] == "zoo" else 1
    process = run(["course", *subcommands[:depth], "--help"], ROOT)
    assert process.returncode == 0, process.stderr
    for option in (word for word in words if word.startswith("-")):
        assert option in process.stdout


@pytest.mark.process
@pytest.mark.parametrize("words", QUICK, ids=spelled)
def test_quick_command_runs_as_printed(words, tmp_path):
    """In a folder with the repository's own entries, so that what it writes lands elsewhere."""
    for entry in ("book", "course_utils"):
        (tmp_path / entry).symlink_to(ROOT / entry)
    process = run([name(words), *words[1:]], tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr


def test_the_short_run_is_the_one_that_is_tested():
    """`test_chapters_alone.py` runs every chapter so, with papermill's own command."""
    (short,) = (words for words in PAPERMILL if "limit" in words)
    assert ROOT / short[1] in CHAPTERS
    assert short[3:] == [*SHORT]


def test_the_picture_is_small():
    picture = ROOT / re.search(r"!\[[^\]]+\]\(([^)]+)\)", README).group(1)
    assert picture.stat().st_size < 300_000
