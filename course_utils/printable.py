"""Text that somebody else wrote, made safe to print.

A terminal obeys control characters, and characters that change the direction of writing make a line
look like another one. File names, error messages and answers can contain both.
"""

from __future__ import annotations

import logging

import rich.markup

# Names that a sentence lists, and characters of each.
MAX_LISTED = 20
MAX_NAME = 100


def printable(text: str) -> str:
    """Replace every character that cannot be printed; only line breaks are kept.

    Examples
    --------
    >>> from course_utils.printable import printable
    >>> printable("red: \\x1b[31m")
    'red: �[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def escape(text: str) -> str:
    """Return a printable text in which Rich finds no markup.

    Examples
    --------
    >>> from course_utils.printable import escape
    >>> escape("[red]a\\tb")
    '\\\\[red]a�b'
    """
    return rich.markup.escape(printable(text))


def listed(names: list[str]) -> str:
    """Return the first names of a list, each cut to a usual length, and how many more there are."""
    lines = (" ".join(name.split()) for name in names[:MAX_LISTED])
    shown = ", ".join(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}..." for name in lines)
    more = len(names) - MAX_LISTED
    return f"{shown} and {more:,} more" if more > 0 else shown


class PrintableRecords(logging.Filter):
    """Makes the messages and tracebacks of a log printable; lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record before a handler formats it."""
        record.msg, record.args = printable(record.getMessage()), None
        if record.exc_info:
            record.exc_text = printable(logging.Formatter().formatException(record.exc_info))
        return True
