"""Quizzes: their form in every chapter, and what a reader does with them in a small book."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browsers import FAINT, SMALL, UNSEEN
from docutils import nodes
from small_books import write_settings
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from course_utils.paths import CHECKOUT as ROOT

sys.path.append(str(ROOT / "book" / "_ext"))
quizzes = pytest.importorskip("quizzes")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)

LESSON = """# A lesson

## Quiz

**1. Which is $x^2$ for $x = 3$?** (one answer)

a) $2 \\cdot 3$, or 6 b) $3^2$, or 9 c) 3

```{dropdown} Answer and reasons
- a) Wrong: this is $2x$.
- b) **Right**: $3 \\cdot 3 = 9$.
- c) Wrong: this is `x`.
```

**2. Which numbers are *even*?** (Two answers are right.)

- a) 2
- b) 3
- c) `4`
- d) 5

```{dropdown} Answer and reasons
**a** and **c** are right.

- a) is right: it is twice 1.
- b) and d) are wrong: they are odd.
- c) is right: it is twice 2.
```

## Take-aways

- Numbers are even or odd.
"""
# Mistakes in a quiz: the text that is replaced, its replacement, and a part of the message.
WRONG_FORMS = {
    "a reason is missing": ("- c) Wrong: this is `x`.", "", "its reasons a, b."),
    "no verdict": ("a) Wrong: this", "a) No: this", '"a) No: this is 2x." must begin like'),
    "too many are right": ("a) Wrong", "a) **Right**", "the reasons say that a and b are right"),
    "none is right": ("b) **Right**", "b) Wrong", "but the reasons say that none is right."),
    "no number of answers": (" (one answer)", "", '(one answer)" was expected'),
    "another number": ("**1. ", "**2. ", '"**1. The question?** (one answer)" was expected'),
    "a letter is left out": ("b) $3^2$", "c) $3^2$", 'do not begin with "a) ", "b) "'),
    "no options": ("a) $2 \\cdot 3$, or 6 b) $3^2$, or 9 c) 3", "", "its options and a dropdown"),
    "a contradiction": ("**a** and **c**", "**a** and **b**", "the reasons: a and c are right"),
}  # fmt: skip


def read(folder: Path, pages: dict[str, str]) -> dict[str, list]:
    """The questions of each page, after Sphinx has read it with the extension."""
    for name, text in ({"index": "# Pages"} | pages).items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    settings = {
        "extensions": ["myst_parser", "sphinx_design", "quizzes"],
        "myst_enable_extensions": ["dollarmath"],
        "suppress_warnings": ["toc.not_included", "ref.term"],
    }
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            str(folder), None, str(folder / "out"), str(folder / "read"), "dummy", settings,
            status=None, warning=None,
        )  # fmt: skip
        app.build()
        return {page: list(app.env.get_doctree(page).findall(quizzes.Question)) for page in pages}


def quiz_of(chapter: Path) -> str:
    """The section "Quiz" of a notebook."""
    cells = json.loads(chapter.read_text("utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return re.search(r"^## Quiz$.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]


def test_every_chapter_has_a_quiz_in_the_expected_form(tmp_path):
    texts = {path.stem: quiz_of(path) for path in sorted(ROOT.glob("book/*.ipynb"))}
    found = read(tmp_path, {name: f"# {name}\n\n{text}" for name, text in texts.items()})
    assert len(found) == 14
    for name, text in texts.items():
        said = re.findall(r"\*\* \((one|two) answers?( (is|are) right\.)?\)", text, re.IGNORECASE)
        numbers = [{"one": 1, "two": 2}[word.lower()] for word, *_ in said]
        assert len(numbers) == text.count("{dropdown}") >= 5
        assert [len(question["right"]) for question in found[name]] == numbers, name


def test_the_parts_of_a_question_are_marked(tmp_path):
    first, second = read(tmp_path, {"lesson": LESSON})["lesson"]
    assert (first["right"], second["right"]) == ("b", "ac")
    assert first["title"] == "Which is x^2 for x = 3?"

    def texts(question, name):
        elements = question.findall(nodes.Element)
        return [element.astext() for element in elements if name in element["classes"]]

    assert texts(first, "quiz-option") == ["a) 2 \\cdot 3, or 6 ", "b) 3^2, or 9 ", "c) 3"]
    assert texts(second, "quiz-option") == ["a) 2", "b) 3", "c) 4", "d) 5"]
    assert texts(second, "quiz-reason-b") == texts(second, "quiz-reason-d")
    assert texts(second, "quiz-reason-d") == ["b) and d) are wrong: they are odd."]


@pytest.mark.parametrize("form", WRONG_FORMS)
def test_another_form_fails_the_build_and_says_where(tmp_path, form):
    right, wrong, message = WRONG_FORMS[form]
    assert LESSON.count(right) == 1
    number = 2 if form == "a contradiction" else 1
    with pytest.raises(quizzes.QuizError) as error:
        read(tmp_path, {"lesson": LESSON.replace(right, wrong)})
    assert f"lesson.md, question {number} of the quiz: " in str(error.value)
    assert message in str(error.value)


# In the browser

SIZES = {"desktop": (1280, 900), "phone": (390, 800), "narrow": (320, 700)}
SCRIPT_BYTES = 9_000
# Makes the browser refuse to remember. The theme's own scripts fail then; ours must not.
REFUSED = "refused"
FORGETFUL = f"""Object.defineProperty(window, 'localStorage', {{
    get() {{ throw new DOMException('{REFUSED}', 'SecurityError'); }} }});
    window.failed = [];
    addEventListener('error', event => failed.push(event.filename));"""
CONTROLS = ":is(.quiz-form, .chapter-read, .progress-tool) :is(label, button, a)"
FOCUSED = ":is(.quiz-form, .chapter-read, .progress-tool) :is(input, button, a)"
LESSON_COLOURS = (
    (".quiz-form .is-right, .quiz-form .is-wrong", "borderLeftColor", 3),
    (".quiz-form label, .quiz-reason, .quiz-result, .chapter-read :is(label, a)", "color", 4.5),
    (".quiz-buttons button", "color", 4.5),
    (".quiz-buttons button", "borderTopColor", 3),
)
PROGRESS_COLOURS = (
    (".progress-table :is(th, td, a), .progress-summary, .progress-forget", "color", 4.5),
    (".progress-forget", "borderTopColor", 3),
)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The folder of a small book with two lessons, made with the project's settings."""
    book = tmp_path_factory.mktemp("book")
    write_settings(book, "progress", "lesson", "other", "plain")
    pages = {
        "progress": (ROOT / "book" / "progress.md").read_text("utf-8"),
        "lesson": LESSON,
        "other": LESSON.replace("A lesson", "Another lesson").replace("$x = 3$", "$x = +3$"),
        "plain": "# No quiz\n\nNothing is asked.",
    }
    for name, text in pages.items():
        (book / "book" / f"{name}.md").write_text(text, "utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going"]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return book / "_build" / "html" / "book"


@pytest.fixture
def visit(browser, html):
    """Return a function that opens a page; it fails after the test if anything went wrong."""
    wrong, contexts = [], []

    def opened(name: str = "lesson", size: str = "desktop", script: str = "", **settings):
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        page.on(
            "pageerror", lambda error: None if str(error) == REFUSED else wrong.append(str(error))
        )
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url)
            ),
        )
        page.goto((html / f"{name}.html").as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def question(page, number: int):
    return page.locator(f"#question-{number}")


def answer(page, number: int, *letters: str) -> str:
    """Choose options, press the button, and return what is announced."""
    asked = question(page, number)
    for letter in letters:
        asked.get_by_label(f"{letter}) ").check()
    asked.get_by_role("button", name="Check").click()
    return asked.get_by_role("status").inner_text()


def reasons(page, number: int) -> list[str]:
    return question(page, number).locator(".quiz-reason:visible").all_inner_texts()


def row(page, chapter: str) -> list[str]:
    """What the page of the progress says about a chapter."""
    cells = page.locator(f"tr[data-chapter='book/{chapter}'] td")
    return [" | ".join(text.split("\n")) for text in cells.all_inner_texts()]


@pytest.mark.browser
def test_an_answer_is_judged_with_all_reasons_and_can_be_given_again(visit):
    page = visit()
    asked = question(page, 1)
    assert not asked.get_by_text("Answer and reasons").is_visible()
    assert answer(page, 1) == "Choose an answer first."
    assert reasons(page, 1) == []
    assert answer(page, 1, "a") == "✗ Not right: the right answer is b."
    first, second, third = reasons(page, 1)
    assert first.startswith("✗ Wrong: this is")
    assert second.startswith("✓ Right: ")
    assert page.locator("#question-1-b mjx-container").is_visible()
    assert third == "✗ Wrong: this is x."
    described = asked.get_by_label("a) ").get_attribute("aria-describedby")
    assert page.locator(f"[id='{described}']").inner_text() == first
    asked.get_by_role("button", name="Try again").click()
    assert reasons(page, 1) == []
    assert asked.get_by_role("status").inner_text() == ""
    assert asked.locator(":checked").count() == 0
    assert asked.get_by_label("a) ").evaluate("field => field === document.activeElement")
    assert answer(page, 1, "b") == "✓ Right: b."


@pytest.mark.browser
def test_two_answers_are_checked_together(visit):
    page = visit()
    assert answer(page, 2, "a") == "Choose two answers first."
    assert answer(page, 2, "b") == "✗ You chose 1 of the 2 right answers: a and c."
    odd = "✗ b) and d) are wrong: they are odd."
    even = ["✓ a) is right: it is twice 1.", "✓ c) is right: it is twice 2."]
    assert reasons(page, 2) == [even[0], odd, even[1], odd]
    # Another choice is another answer: what was said about the first one is taken away.
    question(page, 2).get_by_label("b) ").uncheck()
    assert reasons(page, 2) == []
    assert answer(page, 2, "c") == "✓ Right: a and c."


@pytest.mark.browser
def test_the_keyboard_does_all(visit):
    page = visit()
    fields = question(page, 1).get_by_role("radio")
    fields.first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert question(page, 1).get_by_role("status").inner_text() == "✓ Right: b."
    again = question(page, 1).get_by_role("button", name="Try again")
    for _ in range(4):  # from the field, over the formulas of the options, to the buttons
        page.keyboard.press("Tab")
        if again.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert fields.nth(1).evaluate("field => !field.checked")
    assert fields.first.evaluate("field => field === document.activeElement")
    question(page, 2).get_by_role("checkbox").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert question(page, 2).get_by_role("status").inner_text() == "✓ Right: a and c."
    groups = page.get_by_role("radiogroup").or_(page.get_by_role("group"))
    assert groups.count() == 2
    assert page.get_by_role("group", name="2. Which numbers are even?").count() == 1


@pytest.mark.browser
def test_progress_is_kept_shown_and_forgotten(visit, html):
    page = visit("progress")
    assert row(page, "lesson") == row(page, "other") == ["no", "0 of 2", "0", ""]
    page.goto((html / "lesson.html").as_uri())
    answer(page, 1, "a")
    answer(page, 1, "b")
    answer(page, 2, "a", "d")
    page.get_by_label("I have read this chapter").check()
    page.get_by_role("link", name="Your progress", exact=True).last.click()
    page.wait_for_url("**/progress.html")
    assert row(page, "lesson") == ["✓ yes", "1 of 2", "0", "2. Which numbers are even?"]
    assert row(page, "other") == ["no", "0 of 2", "0", ""]
    status = page.locator(".progress-summary")
    assert status.inner_text() == (
        "You have read 1 of 2 chapters and answered 1 of 4 questions correctly."
    )
    page.get_by_role("link", name="2. Which numbers are even?").click()
    page.wait_for_url("**/lesson.html#question-2")
    assert page.get_by_label("I have read this chapter").is_checked()
    answer(page, 2, "a", "c")
    page.get_by_label("I have read this chapter").uncheck()
    page.goto((html / "other.html").as_uri())
    answer(page, 1, "b")
    page.goto((html / "progress.html").as_uri())
    assert row(page, "lesson") == ["no", "2 of 2", "0", ""]
    assert row(page, "other") == ["no", "1 of 2", "1", ""]
    asked = []
    forget = page.get_by_role("button", name="Forget everything")
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    forget.click()
    assert row(page, "lesson") == ["no", "2 of 2", "0", ""]
    page.once("dialog", lambda dialog: dialog.accept())
    forget.click()
    assert row(page, "lesson") == row(page, "other") == ["no", "0 of 2", "0", ""]
    assert len(asked) == 1
    page.reload()
    assert row(page, "lesson") == ["no", "0 of 2", "0", ""]


@pytest.mark.browser
def test_all_works_where_nothing_is_remembered(visit, html):
    page = visit(script=FORGETFUL)
    assert answer(page, 1, "b") == "✓ Right: b."
    assert page.locator(".chapter-read").inner_text().startswith("This browser does not remember")
    assert "quiz.js" not in " ".join(page.evaluate("failed"))
    page.goto((html / "progress.html").as_uri())
    assert "does not remember your progress" in page.locator(".progress-summary").inner_text()
    assert not page.get_by_role("button", name="Forget everything").is_visible()
    assert "quiz.js" not in " ".join(page.evaluate("failed"))


@pytest.mark.browser
def test_without_scripts_a_quiz_is_text_to_unfold(visit, html):
    page = visit(java_script_enabled=False)
    assert page.locator("article :is(input, button)").count() == 0
    text = question(page, 2).inner_text()
    assert re.search(r"even\? \(Two answers are right.\)\s+a\) 2\s+b\) 3\s+c\) 4\s+d\) 5", text)
    assert question(page, 1).locator("> p").last.inner_text().startswith("a) ")
    question(page, 2).locator("summary").click()
    assert question(page, 2).get_by_text("b) and d) are wrong: they are odd.").is_visible()
    page.goto((html / "progress.html").as_uri())
    sentence = page.locator("article noscript p")
    assert sentence.is_visible()
    assert "This page needs JavaScript" in sentence.inner_text()
    assert not page.locator(".progress-tool").is_visible()


@pytest.mark.browser
def test_paper_shows_questions_and_reasons_without_fields(visit):
    page = visit()
    answer(page, 1, "a")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(":is(.quiz-form, .chapter-read) :is(input, button):visible").count() == 0
    assert page.locator(".quiz-reason:visible").count() == 0
    assert page.get_by_text("b) and d) are wrong: they are odd.").is_visible()
    assert page.get_by_text("c) Wrong: this is x.").is_visible()


@pytest.mark.browser
def test_all_fits_every_screen_and_can_be_seen_in_both_modes(visit, html):
    page = visit(size="phone")
    root = page.locator("html")
    answer(page, 1, "a")
    answer(page, 2, "a", "b")
    for name, parts, widest in (
        ("lesson", LESSON_COLOURS, ".quiz-form"),
        ("progress", PROGRESS_COLOURS, ".progress-table"),
    ):
        if name == "progress":
            page.goto((html / "progress.html").as_uri())
            assert page.get_by_role("link", name="2. Which numbers are even?").is_visible()
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            assert root.evaluate("root => root.scrollWidth - root.clientWidth") == 0
            box = page.locator(widest).first.bounding_box()
            assert box["x"] + box["width"] <= width
            assert page.evaluate(SMALL, CONTROLS) == []
        for mode in ("light", "dark"):
            page.emulate_media(color_scheme=mode)
            page.wait_for_function(f"document.documentElement.dataset.theme === '{mode}'")
            assert page.evaluate(FAINT, parts) == []
        assert page.evaluate(UNSEEN, FOCUSED) == []


@pytest.mark.process
def test_the_script_is_short_and_where_it_is_needed(html):
    assert (html.parent / "_static" / "quiz.js").stat().st_size < SCRIPT_BYTES
    for name in ("lesson", "other", "progress", "plain"):
        text = (html / f"{name}.html").read_text("utf-8")
        assert ("quiz.js" in text) == (name != "plain")
