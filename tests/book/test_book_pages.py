"""Open every page of the built book in a browser, as a reader on a desk and on a phone would.

The book is served on this machine. A request to any other host is recorded and refused, so a page
that needs the network shows up here. Screenshots of all pages stay in ``_build/screenshots``.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from course_utils.paths import CHECKOUT as ROOT

SCREENSHOTS = ROOT / "_build" / "screenshots"
SIZES = {"desktop": (1280, 900), "phone": (320, 700)}
CHAPTER = "book/05_convolution.html"

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)
pytestmark = pytest.mark.browser

# Settled: MathJax has drawn the formulas, and pictures further down have been loaded as well.
SETTLE = """async () => {
    for (const image of document.images) image.loading = 'eager';
    await Promise.all([...document.images].map(image => image.decode().catch(() => {})));
    if (window.MathJax?.startup) await MathJax.startup.promise;
    await document.fonts.ready;
}"""

OBSERVE = """() => {
    const name = e => e.tagName.toLowerCase() + (e.className?.baseVal ?? '.' + e.className)
        + ' ' + (e.textContent || '').trim().slice(0, 40);
    const article = document.querySelector('article') ?? document.body;
    const scrolls = e => e && e !== article
        && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    const width = document.documentElement.clientWidth;
    // A drawing shows only a part of a picture that contains many.
    const hidden = e => e.closest('mjx-assistive-mml, .visually-hidden, .sr-only, svg image');
    return {
        overflow: document.documentElement.scrollWidth - width,
        cut_off: [...article.querySelectorAll('*')]
            .filter(e => e.getClientRects().length && !hidden(e)
                && e.getBoundingClientRect().right > width + 1 && !scrolls(e))
            .map(name),
        broken_images: [...document.images].filter(i => !i.naturalWidth).map(i => i.src),
        silent_images: [...article.querySelectorAll('img')]
            .filter(i => !i.alt.trim() || /^_images|\\.(png|svg|jpe?g)$/.test(i.alt))
            .map(i => i.src),
        formulas: article.querySelectorAll('.math').length,
        drawn: article.querySelectorAll('.math mjx-container').length,
        math_errors: [...article.querySelectorAll('mjx-merror, [data-mjx-error]')].map(name),
    };
}"""


@dataclass
class Visit:
    """What one page did at one size."""

    page: str
    foreign: list[str]
    errors: list[str]
    seen: dict


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without writing a line for each."""

    def log_message(self, *args) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def html(built_book: Path) -> Path:
    """The folder of the book's pages."""
    return built_book / "html"


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """Serve the book on the loopback interface and give its address."""
    handler = functools.partial(QuietHandler, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def open_page(browser, size: str, colors: str = "light"):
    """Make a page that refuses other hosts; gives the page and its lists of findings."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colors)
    foreign, errors = [], []

    def keep_home(route):
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            foreign.append(route.request.url)
            route.abort()

    context.route("**/*", keep_home)
    page = context.new_page()
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "response",
        lambda answer: (
            errors.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    return page, foreign, errors


@pytest.fixture(scope="module", params=list(SIZES))
def visits(request, browser, html: Path, address: str) -> list[Visit]:
    """Visit every page at one size, look at it and keep a screenshot."""
    folder = SCREENSHOTS / request.param
    folder.mkdir(parents=True, exist_ok=True)
    visited = []
    for file in sorted(html.rglob("*.html")):
        name = file.relative_to(html).as_posix()
        if name.startswith("_static/"):
            continue
        page, foreign, errors = open_page(browser, request.param)
        page.goto(f"{address}/{name}", wait_until="load")
        page.wait_for_load_state("networkidle")
        page.evaluate(SETTLE)
        seen = page.evaluate(OBSERVE)
        page.screenshot(path=folder / f"{file.stem}.png", full_page=True)
        visited.append(Visit(name, foreign, errors, seen))
        page.context.close()
    return visited


def findings(visits: list[Visit], what: str) -> dict[str, object]:
    """Collect, for each page, what was seen and should not have been."""
    return {visit.page: visit.seen[what] for visit in visits if visit.seen[what]}


def test_every_page_of_the_contents_is_built(visits):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    expected = {f"{name}.html" for name in [toc["root"], *chapters]}
    assert expected <= {visit.page for visit in visits}


def test_no_request_leaves_the_book(visits):
    assert {visit.page: visit.foreign for visit in visits if visit.foreign} == {}


def test_no_errors_in_the_console(visits):
    assert {visit.page: visit.errors for visit in visits if visit.errors} == {}


def test_images_are_loaded(visits):
    assert findings(visits, "broken_images") == {}


def test_images_have_a_text(visits):
    assert findings(visits, "silent_images") == {}


def test_nothing_is_wider_than_the_screen(visits):
    assert {v.page: v.seen["overflow"] for v in visits if v.seen["overflow"] > 0} == {}
    assert findings(visits, "cut_off") == {}


def test_formulas_are_drawn(visits):
    assert any(visit.seen["formulas"] for visit in visits)
    undrawn = {v.page: v.seen for v in visits if v.seen["drawn"] < v.seen["formulas"]}
    assert undrawn == {}
    assert findings(visits, "math_errors") == {}


def test_dark_pages_are_kept_for_the_eye(browser, address):
    (SCREENSHOTS / "dark").mkdir(parents=True, exist_ok=True)
    for name in ("index", "05_convolution", "status"):
        page, _, errors = open_page(browser, "desktop", colors="dark")
        page.goto(f"{address}/book/{name}.html", wait_until="load")
        page.evaluate(SETTLE)
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.screenshot(path=SCREENSHOTS / "dark" / f"{name}.png", full_page=True)
        assert errors == []
        page.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_search_finds_a_page_and_leads_to_it(browser, address, size):
    page, foreign, errors = open_page(browser, size)
    page.goto(f"{address}/book/index.html")
    page.locator(".search-button:visible, .search-button-field:visible").first.click()
    page.locator("dialog[open] input[type=search]").fill("softmax")
    page.keyboard.press("Enter")
    hit = page.locator("#search-results .search a").first
    hit.wait_for()
    hit.click()
    page.wait_for_load_state("load")
    assert "search.html" not in page.url
    assert "softmax" in page.inner_text("article").lower()
    assert (foreign, errors) == ([], [])
    page.context.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_solution_is_folded_until_asked_for(browser, address, html, size):
    chapters = sorted(html.glob("book/0*.html"))
    chapter = next(file for file in chapters if 'class="solution dropdown' in file.read_text())
    page, _, errors = open_page(browser, size)
    page.goto(f"{address}/book/{chapter.name}")
    solution = page.locator(".solution.dropdown").first
    body = solution.locator(".section, p:not(.admonition-title)").first
    assert not body.is_visible()
    solution.locator(".toggle-button").first.click()
    body.wait_for(state="visible")
    assert errors == []
    page.context.close()


def test_a_chapter_can_be_downloaded_and_launched(browser, address):
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    repository = urlsplit(config["repository"]["url"]).path
    page, foreign, _ = open_page(browser, "desktop")
    page.goto(f"{address}/{CHAPTER}")
    links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
    notebook = CHAPTER.replace(".html", ".ipynb")
    assert any(link.endswith(f"_sources/{notebook}") for link in links)
    assert page.request.get(f"{address}/_sources/{notebook}").json()["nbformat"] == 4
    colab = f"https://colab.research.google.com/github{repository}/blob/main/{notebook}"
    assert colab in links
    assert any(link.startswith(f"https://mybinder.org/v2/gh{repository}/main") for link in links)
    assert foreign == []
    page.context.close()
