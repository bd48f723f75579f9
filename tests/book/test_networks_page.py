"""The page of networks, alone in a small book, opened from a file as a reader does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browsers import FAINT, SMALL, UNSEEN
from small_books import write_settings

from course_utils.paths import CHECKOUT as ROOT

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)
pytestmark = pytest.mark.browser

PAGES = ("networks", "glossary", "bibliography")
SIZES = {"desktop": (1280, 900), "phone": (390, 800), "narrow": (320, 700)}
# Bytes that the page and its script may have.
PAGE_BYTES, SCRIPT_BYTES = 3_000_000, 12_000

ROWS = "table.networks > tbody"
SHOWN = f"{ROWS}:not([hidden])"
COLUMN = """(table, column) => [...table.tBodies].filter(row => !row.hidden)
    .map(row => row.rows[0].cells[column].dataset.value)"""
# The elements that are wider than the page and do not scroll in a frame of their own.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const framed = e => e.closest('.network-frame, .network-confusion, .highlight');
    const wide = [...document.querySelectorAll('article *')].filter(e => e.getClientRects().length
        && e.getBoundingClientRect().right > width + 1 && !framed(e) && !e.closest('.sr-only'));
    return [document.documentElement.scrollWidth - width, wide.map(e => e.outerHTML.slice(0, 90))];
}"""
CONTROLS = """.networks-tool :is(button, input, select, summary, .network-frame,
    .network-point[tabindex="0"])"""
# Part of the page, its colour, and the contrast that this needs at least.
COLOURS = (
    (".network-mark", "stroke", 3),
    (".network-line", "stroke", 3),
    (".networks-tool svg text", "fill", 4.5),
    (".networks :is(code, td, th, pre), .network-count", "color", 4.5),
    (".network-filter label, .network-filter select, .networks button", "color", 4.5),
    (".network-filter select, .network-filter input", "borderTopColor", 3),
)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The folder of a small book with this page, made with the project's settings."""
    book = tmp_path_factory.mktemp("book")
    write_settings(book, *PAGES)
    for name in ("networks.md", "bibliography.md"):
        shutil.copy(ROOT / "book" / name, book / "book")
    terms = ("bfloat16", "confidence interval")
    glossary = "\n\n".join(f"{term}\n  A term." for term in terms)
    (book / "book" / "glossary.md").write_text(f"# Glossary\n\n```{{glossary}}\n{glossary}\n```\n")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going"]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return book / "_build" / "html"


@pytest.fixture
def visit(browser, html):
    """Return a function that opens the page; it fails after the test if anything went wrong."""
    wrong, contexts = [], []

    def opened(size: str = "desktop", fragment: str = "", **settings):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url)
            ),
        )
        page.goto((html / "book" / "networks.html").as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def column(page, number: int) -> list[str]:
    """The values of a column, from the first row that is shown to the last."""
    return page.locator("table.networks").evaluate(COLUMN, number)


def names(page) -> list[str]:
    return page.locator(f"{SHOWN} > tr:first-child > th code").all_inner_texts()


def field(page, label: str):
    return page.locator(".network-filter").get_by_label(label)


def test_every_network_of_the_documents_has_a_row(visit):
    from course_utils.reproduction import choose

    page = visit()
    assert names(page) == choose([])
    assert (
        page.locator("[role=status]").inner_text()
        == f"{len(choose([]))} of {len(choose([]))} networks"
    )
    assert page.locator(".network-plot").count() == 2


@pytest.mark.parametrize(("heading", "number"), [("Parameters", 4), ("Measured", 2), ("Kind", 6)])
def test_a_heading_sorts_by_mouse_and_keyboard(visit, heading, number):
    page = visit()
    button = page.get_by_role("columnheader", name=heading).get_by_role("button")
    before = [value for value in column(page, number) if value]
    empty = len(column(page, number)) - len(before)
    key = str if heading == "Kind" else float
    button.click()
    rising = sorted(before, key=key)
    assert column(page, number) == rising + [""] * empty
    button.press("Enter")
    assert column(page, number) == rising[::-1] + [""] * empty
    told = page.locator("th[aria-sort]")
    assert told.count() == 1
    assert told.get_attribute("aria-sort") == "descending"
    assert heading in told.inner_text()


def test_filters_hide_rows_and_points_and_the_number_is_told(visit):
    page = visit()
    every, status = len(names(page)), page.locator("[role=status]")
    field(page, "Document").select_option("dl")
    found = names(page)
    assert found
    assert all(name.startswith("dl/") for name in found)
    assert status.inner_text() == f"{len(found)} of {every} networks"
    points = page.locator(".network-point:not([hidden])").evaluate_all(
        "all => all.map(point => point.getAttribute('href'))"
    )
    assert points
    assert all(point.startswith("#network-dl-") for point in points)
    field(page, "Kind").select_option("BatchNorm")
    assert names(page) == [name for name in found if name not in ("dl/1", "dl/2")]
    field(page, "Measured").select_option("yes")
    assert page.locator(f"{SHOWN}[data-measured=no]").count() == 0
    field(page, "Find a network").fill("nothing is called so")
    assert names(page) == []
    assert status.inner_text() == f"0 of {every} networks"
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function(f"document.querySelectorAll('{SHOWN}').length === {every}")
    field(page, "Find a network").fill("SECOND BLOCK")
    assert "dl/2" in names(page)


def test_a_row_opens_by_mouse_and_keyboard(visit):
    page = visit()
    row = page.locator("#network-dl-1")
    button, content = row.get_by_role("button"), row.locator(".network-about-content")
    assert button.get_attribute("aria-expanded") == "false"
    assert not content.is_visible()
    button.click()
    content.wait_for()
    page.wait_for_function("document.querySelector('#network-dl-1 button').ariaExpanded === 'true'")
    assert "course zoo train dl/1" in content.inner_text()
    assert "adam" in content.inner_text()
    assert "What differs from the document" in content.inner_text()
    button.press("Enter")
    content.wait_for(state="hidden")


def test_a_measured_row_has_curves_and_another_says_that_it_has_none(visit):
    page = visit()
    for measured in ("yes", "no"):
        row = page.locator(f"{ROWS}[data-measured={measured}]").first
        if not row.count():
            continue  # One day, all networks are measured.
        row.get_by_role("button").click()
        content = row.locator(".network-about-content")
        content.wait_for()
        pictures = content.get_by_role("img")
        assert pictures.count() == (2 if measured == "yes" else 0)
        assert ("Not yet measured" in content.inner_text()) == (measured == "no")
        if measured == "yes":
            assert "training ends at" in pictures.first.get_attribute("aria-label")


def test_a_point_leads_to_its_row_even_if_that_is_filtered_away(visit):
    page = visit()
    point = page.locator(".network-point").first
    target = point.get_attribute("href")
    point.focus()
    page.keyboard.press("Enter")
    row = page.locator(target)
    row.locator(".network-about-content").wait_for()
    assert row.locator("button").evaluate("button => button === document.activeElement")
    field(page, "Find a network").fill("nothing is called so")
    page.evaluate("location.hash = ''")
    page.evaluate(f"location.hash = '{target}'")
    row.locator(".network-about-content").wait_for()
    other = visit(fragment=target)
    other.locator(f"{target} .network-about-content").wait_for()


def test_the_arrow_keys_walk_through_a_plot(visit):
    page = visit()
    plot = page.locator(".network-plot").first
    reachable = plot.locator(".network-point[tabindex='0']")
    assert reachable.count() == 1
    first = reachable.get_attribute("href")
    reachable.focus()
    page.keyboard.press("ArrowRight")
    assert reachable.count() == 1
    assert reachable.get_attribute("href") != first
    assert reachable.evaluate("point => point === document.activeElement")
    assert reachable.locator("text").is_visible()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # There is nothing before the first one.
    assert reachable.get_attribute("href") == first


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(visit, size):
    page = visit(size)
    page.locator(f"{ROWS}[data-measured=yes] button").first.click()
    page.locator(f"{ROWS} .network-about-content:visible").wait_for()
    assert page.evaluate(TOO_WIDE) == [0, []]
    content = page.locator(".network-about-content:visible").bounding_box()
    assert content["x"] + content["width"] <= SIZES[size][0]
    if size == "desktop":
        frame = page.locator(".network-frame")
        assert frame.evaluate("frame => frame.scrollWidth - frame.clientWidth") == 0


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_colours_and_focus_can_be_seen(visit, colours):
    page = visit(color_scheme=colours)
    assert page.locator("html").get_attribute("data-theme") == colours
    page.locator(f"{ROWS}[data-measured=yes] button").first.click()
    assert page.evaluate(FAINT, COLOURS) == []
    assert page.evaluate(UNSEEN, CONTROLS) == []
    assert page.evaluate(SMALL, ".networks-tool :is(button, input, select)") == []


def test_without_scripts_it_is_a_plain_table(visit):
    page = visit(java_script_enabled=False)
    assert not page.locator(".network-filter").is_visible()
    assert page.locator(f"{ROWS} button").count() == 0
    row = page.locator("#network-dl-1")
    content = row.locator(".network-about-content")
    assert not content.is_visible()
    row.locator("summary").click()
    assert content.is_visible()


def test_paper_shows_what_is_folded(visit):
    page = visit()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".network-about-content:visible").count() == page.locator(ROWS).count()
    assert not page.locator(".network-filter").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".network-about-content:visible").count() == 0


def test_the_page_is_light(html):
    page = html / "book" / "networks.html"
    assert page.stat().st_size < PAGE_BYTES
    assert (html / "_static" / "networks.js").stat().st_size < SCRIPT_BYTES
    text = page.read_text("utf-8")
    assert "networks.js" in text
    assert "networks.js" not in (html / "book" / "glossary.html").read_text("utf-8")
