"""Text that somebody else wrote, made safe to print."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console

from course_utils.paths import PACKAGE
from course_utils.printable import PrintableRecords, escape, printable
from course_utils.progress import PlainProgress

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe \u2066x \x9b31m \r \x00 \u2028 \u200b \ue000 \ud800"
)


def is_harmless(text: str) -> bool:
    return all(map(str.isprintable, text.replace("\n", "")))


def test_what_a_terminal_obeys_is_replaced():
    assert not is_harmless(HOSTILE)
    assert is_harmless(printable(HOSTILE))
    assert printable("two\nlines, 1 × ä 漢 🙂") == "two\nlines, 1 × ä 漢 🙂"


@pytest.mark.parametrize("text", [HOSTILE, "[bold red]x[/]", "[link=http://x]x[/link]"])
def test_rich_prints_texts_of_others_as_they_are(text):
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, color_system=None, width=200)
    console.print(escape(text), highlight=False)
    progress = PlainProgress(console)
    progress.begin(1)
    progress.step(text, text)
    progress.end(text, "failed", failed=True, reason=text)
    assert is_harmless(output.getvalue())
    assert printable(text) in output.getvalue()
    assert output.getvalue().count(printable(text)) == 5


def test_log_records_are_printable_with_their_tracebacks():
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.addFilter(PrintableRecords())
    log = logging.getLogger("test_printable")
    log.propagate = False
    log.addHandler(handler)
    log.warning("of %s: 100%%", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception(HOSTILE)
    log.removeHandler(handler)
    assert is_harmless(output.getvalue())
    assert f"of {printable(HOSTILE)}: 100%" in output.getvalue()
    assert f"ValueError: {printable(HOSTILE)}" in output.getvalue()


def test_nothing_else_escapes_texts_for_rich():
    users = [path.name for path in PACKAGE.rglob("*.py") if "rich.markup" in path.read_text()]
    assert users == ["printable.py"]
