"""The HTML around an exported network: a part of a page, or a page of its own.

Keras is not needed here, so the book can put the outputs of an executed chapter on a page with the
scripts as they are now.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path

FOLDER = Path(__file__).parent
# Key in the metadata of a notebook's output that is a network's page.
PAGE_KEY = "course_network_page"
# The element with the exported network.
DATA = re.compile(r'<script type="application/json">(.*?)</script>', re.DOTALL)
START = "exploreNetwork(document.currentScript.parentElement);"
# Text and background of a page of its own; inside another page, these are the other page's.
BODY_STYLE = """
:root { color-scheme: light dark; }
body {
  max-width: 72rem;
  margin: 0 auto;
  padding: 1rem;
  color: light-dark(#1d2330, #dfe4ec);
  background: light-dark(#fff, #12161d);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
"""


def fragment(data: str) -> str:
    """Return a network with images as HTML that works inside any page.

    Parameters
    ----------
    data : str
        JSON: what `course_utils.web_page.page` collects.
    """
    scripts = "".join(f"<script>{script}</script>\n" for script in _scripts())
    return (
        '<div class="network-explorer">\n'
        f"<p>{html.escape(sentence(data))}</p>\n"
        f'<script type="application/json">{inside_script(data)}</script>\n'
        f"<style>{_read('style.css')}</style>\n{scripts}</div>"
    )


def data_of(part: str) -> str:
    """Return the JSON in a fragment."""
    found = DATA.search(part)
    assert found, "no fragment"
    return found[1]


def sentence(data: str) -> str:
    """Return what a reader without scripts sees."""
    content = json.loads(data)
    return (
        f"A trained network of {content['network']['parameters']:,} parameters, with images of "
        f"{content['source']}: what every layer makes of an image. "
        "This part of the page needs JavaScript."
    )


def whole_page(data: str, title: str) -> str:
    """Return a page of its own, which may neither load nor send anything."""
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, _scripts())),
        "style-src": " ".join(map(_hash, (BODY_STYLE, _read("style.css")))),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    policy = "; ".join(f"{name} {value}" for name, value in allowed.items())
    title = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{BODY_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{fragment(data)}\n</body>\n</html>\n"
    )


def _scripts() -> list[str]:
    return [_read("network.js"), _read("explorer.js"), START]


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def inside_script(data: str) -> str:
    """Return the same JSON without a character that could end the element around it."""
    return data.replace("<", "\\u003c")


def _hash(content: str) -> str:
    """Return a source of a Content-Security-Policy: this very script or style, and no other."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
