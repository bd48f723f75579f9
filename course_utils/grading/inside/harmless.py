"""Making harmless what a student wrote or displayed, for whoever opens it in a browser.

A lecturer who reads a notebook in formgrader is logged in, so a script in it could award points. A
picture from another server would tell that server who reads it, and when. Therefore Markdown is
rendered first, with nbconvert's own renderer, and what comes out passes an allow-list of tags,
attributes and links (`bleach`) and one of LaTeX commands (`formulas`). Only the result is kept.
"""

from __future__ import annotations

import base64
import html
import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from bleach.css_sanitizer import CSSSanitizer
from bleach.html5lib_shim import Filter
from bleach.sanitizer import Cleaner
from mistune import import_plugin
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.token import STANDARD_TYPES

from course_utils.grading.inside.formulas import is_ordinary, may_hold_a_formula
from course_utils.grading.sandbox.limits import MAX_COLUMNS

_TAGS = """
    a abbr b blockquote br caption code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins
    kbd li mark ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul
"""
TAGS = frozenset(_TAGS.split())

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")

_NUMBER = r"\d{1,4}"
# Classes of highlighted code. Others could give a text the look of the page's own parts.
_CLASS = "|".join(re.escape(name) for name in STANDARD_TYPES.values() if name)
_CELL = {"style": r"text-align:\s*(left|right|center);?", "colspan": _NUMBER, "rowspan": _NUMBER}
# Tag -> its attributes -> pattern of their values.
ATTRIBUTES = {
    "a": {"href": r"(https?://|mailto:|#).*", "title": r".*"},
    "abbr": {"title": r".*"},
    "div": {"class": r"highlight|course-grade"},
    "img": {
        "src": rf"data:({'|'.join(PICTURES)});base64,[A-Za-z0-9+/=\s]*",
        "alt": r".*", "title": r".*", "width": _NUMBER, "height": _NUMBER,
    },
    "ol": {"start": _NUMBER},
    "span": {"class": _CLASS},
    "td": _CELL,
    "th": _CELL,
}  # fmt: skip
LINKS = frozenset(("http", "https", "mailto", "data"))

# Styles, which are left out with their text.
STYLE = re.compile(r"<style\b[^>]*>.*?</style\s*>", re.DOTALL | re.IGNORECASE)

# HTML that is still not the same after so many readings is shown as text.
MOST_READINGS = 4

# Attributes with which a cell of a table takes several columns and rows.
SPANS = ("colspan", "rowspan")
TOO_WIDE = (
    f"A table with more than {MAX_COLUMNS} columns is not shown. The submitted notebook has it."
)

# MathJax looks for formulas in no text that is inside these.
CODE = ("code", "pre")
SPACE = re.compile(r"[ \t\n\f\r]+")
# A formula between dollars. Where MathJax sees other ones, a piece with a forbidden command is none
# of these, and the whole text becomes code.
FORMULA = re.compile(r"(\$\$[^$]+\$\$|\$[^$]+\$)")
_TEXT = ("Characters", "SpaceCharacters", "Entity")

# All that nbconvert uses but one: a checkbox in a list would be an element of a form.
PLUGINS = tuple(name for name in MarkdownWithMath.DEFAULT_PLUGINS if name != "task_lists")


def harmless_html(text: str, formulas: bool = True) -> str:
    r"""Return HTML without anything that acts, loads something, or moves over the page.

    What is not allowed is shown as text. A formula with a LaTeX command that is not allowed becomes
    code, in which MathJax finds no formula, and so does a text with such a command elsewhere.

    Parameters
    ----------
    text : str
        Anything; it need not be valid HTML.
    formulas : bool
        Whether formulas are displayed. If not, every text in which MathJax could find one becomes
        code.

    Examples
    --------
    >>> from course_utils.grading.inside.harmless import harmless_html
    >>> harmless_html("<b>bold</b><script>f()</script>")
    '<b>bold</b>&lt;script&gt;f()&lt;/script&gt;'
    >>> harmless_html("<p>$&#92;href{a}{b}$</p>")
    '<p><code>$\\href{a}{b}$</code></p>'
    """
    try:
        return _harmless(text, formulas)
    except _TooWide:
        return f"<p>{TOO_WIDE}</p>"


def _harmless(text: str, formulas: bool) -> str:
    # A browser reads what is written here. With tags that are nested wrongly it could find other
    # texts than were checked, so the result must be one that stays the same when it is read again.
    read = STYLE.sub("", text)  # such as that of every table of pandas
    for _ in range(MOST_READINGS):
        written = _clean(read, formulas)
        if written == read:
            return written
        read = written
    return f"<pre>{html.escape(text, quote=False)}</pre>"


def harmless_markdown(text: str, attachments: Mapping[str, Any]) -> str:
    """Return Markdown that is displayed as harmless HTML, by whatever renders it.

    It is one HTML block in one line, in which Markdown has no meaning.

    Parameters
    ----------
    text : str
        Markdown.
    attachments : mapping
        Name -> MIME bundle, as in a notebook's cell; pictures become part of the text.
    """
    try:
        renderer = IPythonRenderer(
            escape=False, attachments=harmless_attachments(attachments), exclude_anchor_links=True
        )
        parser = MarkdownWithMath(renderer=renderer, plugins=map(import_plugin, PLUGINS))
        rendered = parser.render(text)
    except Exception:
        # An attachment is missing, or the text is nested too deeply.
        rendered = f"<pre>{html.escape(text, quote=False)}</pre>"
    return f"<div>{harmless_html(rendered.strip())}</div>".replace("\n", "&#10;")


def is_base64(text: str) -> bool:
    """Tell whether a text is base64, as the pictures in a notebook are."""
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        return False
    return True


def harmless_attachments(attachments: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return only the pictures of a cell's attachments."""
    return {
        name: pictures
        for name, bundle in attachments.items()
        if (pictures := {
            kind: content
            for kind, content in bundle.items()
            if kind in PICTURES and isinstance(content, str) and is_base64(content)
        })
    }  # fmt: skip


def _clean(text: str, formulas: bool) -> str:
    return Cleaner(
        tags=TAGS,
        attributes=_is_allowed,
        protocols=LINKS,
        css_sanitizer=CSSSanitizer(allowed_css_properties=["text-align"]),
        filters=[_Formulas if formulas else _NoFormulas, _Tables],
    ).clean(text)


def _is_allowed(tag: str, name: str, value: str) -> bool:
    pattern = ATTRIBUTES.get(tag, {}).get(name)
    return pattern is not None and bool(re.fullmatch(pattern, html.unescape(value), re.DOTALL))


class _Formulas(Filter):
    """Turns texts with forbidden LaTeX commands into code, in a stream of html5lib's tokens."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        depth = 0
        for is_text, tokens in itertools.groupby(self.source, lambda t: t["type"] in _TEXT):
            if is_text:
                text = "".join(map(_decoded, tokens))
                if not depth and SPACE.fullmatch(text):
                    text = " "
                yield from [_text(text)] if depth else self._checked(text)
                continue
            for token in tokens:
                if token.get("name") in CODE:
                    depth += {"StartTag": 1, "EndTag": -1}.get(token["type"], 0)
                yield token

    def _checked(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield a text whose forbidden formulas are code or, if that is not enough, all of it."""
        pieces = [(piece, self.is_harmless(piece)) for piece in FORMULA.split(text) if piece]
        rest = "".join(piece for piece, harmless in pieces if harmless)
        if all(harmless or FORMULA.fullmatch(piece) for piece, harmless in pieces) and (
            self.is_harmless(rest)
        ):
            for piece, harmless in pieces:
                yield from [_text(piece)] if harmless else _as_code(piece)
        else:
            yield from _as_code(text)

    def is_harmless(self, text: str) -> bool:
        return is_ordinary(text)


class _NoFormulas(_Formulas):
    """Turns texts in which there could be a formula into code."""

    def is_harmless(self, text: str) -> bool:
        return not may_hold_a_formula(text)


class _TooWide(Exception):
    """A table has more columns than a browser displays in a short time."""


class _Tables(Filter):
    """Counts the columns of tables, in a stream of html5lib's tokens.

    A table of many columns takes a browser far more time than as many cells in rows. With spans, a
    few cells can make many columns.
    """

    def __iter__(self) -> Iterator[dict[str, Any]]:
        tables: list[_Columns] = []
        for token in self.source:
            name = token.get("name")
            if token["type"] == "EndTag" and name == "table":
                tables.pop()
            elif token["type"] == "StartTag":
                if name == "table":
                    tables.append(_Columns())
                elif name == "tr":
                    tables[-1].start_row()
                elif name in ("td", "th"):
                    tables[-1].add(*(int(token["data"].get((None, n), 1)) for n in SPANS))
            yield token


class _Columns:
    """Counts the columns of one table, row by row."""

    def __init__(self) -> None:
        self._row = 0
        self._here = 0
        # Columns that cells of earlier rows take: number of the last row that has them -> columns.
        self._from_above: Counter[int] = Counter()

    def start_row(self) -> None:
        self._row += 1
        self._from_above = Counter(
            {last: columns for last, columns in self._from_above.items() if last >= self._row}
        )
        self._here = self._from_above.total()

    def add(self, columns: int, rows: int) -> None:
        self._here += max(1, columns)
        if rows != 1:  # 0 stands for all rows
            self._from_above[self._row + rows - 1 if rows else sys.maxsize] += max(1, columns)
        if self._here > MAX_COLUMNS:
            raise _TooWide


def _decoded(token: dict[str, Any]) -> str:
    """Return the characters that a browser displays for a text token."""
    return html.unescape(f"&{token['name']};") if token["type"] == "Entity" else token["data"]


def _text(text: str) -> dict[str, Any]:
    return {"type": "Characters", "data": text}


def _as_code(text: str) -> Iterator[dict[str, Any]]:
    yield {"type": "StartTag", "name": "code", "namespace": None, "data": {}}
    yield _text(text)
    yield {"type": "EndTag", "name": "code", "namespace": None, "data": {}}
