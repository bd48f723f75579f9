"""What `jupyter-book build` does with the project's own settings, shown on a tiny book."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browsers import ARGUMENTS, CHROMIUM
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_books import write_contents, write_settings

from course_utils.batch.book import book_cache_path, store_in_book_cache

pytestmark = pytest.mark.process
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
PAGES = {
    "index.md": "# A tiny book\n\n```{run-results}\n```\n",
    "status.md": "# Status\n\n```{run-status}\n```\n",
}
# Every run leaves a word in this file.
COUNT = (
    "from pathlib import Path\n\nwith Path('runs.txt').open('a') as file:\n    file.write('run')"
)
REPORT = """
import base64, sys
from IPython.display import Image, display

print("noise " * 2, file=sys.stderr)
display(Image(data=base64.b64decode({pixel!r}), format="png", alt="A single pixel."))
report = {{
    "profile": "fast",
    "metrics": {{"test_accuracy": {accuracy}}},
    "source": {{"name": "CIFAR-10 (Python archive)", "is_stand_in": False, "fingerprint": "0"}},
    "runtime": {{"backend": "jax", "device": "A device", "precision": "float32", "seed": 7}},
    "versions": {{"keras": "3.99"}},
}}
display({{"text/plain": "done", "application/vnd.course.report+json": report}}, raw=True)
"""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def notebook(*code: str) -> nbformat.NotebookNode:
    """A notebook with a title and some code."""
    cells = [new_markdown_cell("# A lesson", id="title")]
    cells += [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(code)]
    return new_notebook(cells=cells, metadata={"kernelspec": KERNELSPEC})


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A folder with the project's settings and extensions, and three pages of its own."""
    write_settings(tmp_path, "index", "status", "lesson", "plain")
    for name, text in PAGES.items():
        (tmp_path / "book" / name).write_text(text, "utf-8")
    write(tmp_path, "lesson", notebook(COUNT, REPORT.format(pixel=PIXEL, accuracy=0.4321)))
    write(tmp_path, "plain", notebook("6 * 7"))
    return tmp_path


def write(book: Path, name: str, content: nbformat.NotebookNode) -> Path:
    """Save a notebook of the book."""
    path = book / "book" / f"{name}.ipynb"
    nbformat.write(content, path)
    return path


def build(book: Path, *options: str) -> subprocess.CompletedProcess:
    """Build as the README says, warnings being errors unless other options are given."""
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "."]
    command += options or ("-n", "-W", "--keep-going")
    return subprocess.run(command, cwd=book, capture_output=True, text=True, check=False)


def assert_built(result: subprocess.CompletedProcess) -> None:
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def page(book: Path, name: str) -> str:
    return (book / "_build" / "html" / "book" / f"{name}.html").read_text("utf-8")


def words(book: Path, name: str) -> str:
    """The text of a page, without its markup."""
    article = re.search(r"<article.*</article>", page(book, name), re.DOTALL).group()
    return " ".join(re.sub(r"<[^>]+>", " ", article).split())


def test_a_book_is_built_run_once_and_says_what_ran(book):
    assert_built(build(book))
    status = words(book, "status")
    for fact in ("test accuracy 43.2%", "Python archive", "A device", "jax", "keras 3.99", "fast"):
        assert fact in status
    assert re.search(r"ran \d+\.\d s \d{4}-\d\d-\d\d \d\d:\d\d UTC fast", status)
    assert re.search(r"ran \d+\.\d s \d{4}-\d\d-\d\d \d\d:\d\d UTC – –", status)
    assert "43.2%" in words(book, "index")
    assert 'alt="A single pixel."' in page(book, "lesson")
    assert "noise noise" not in words(book, "lesson")
    assert "done" in words(book, "lesson")

    assert_built(build(book, "-n", "-W", "--keep-going", "--all"))
    assert (book / "book" / "runs.txt").read_text() == "run"

    write(book, "lesson", notebook(COUNT, REPORT.format(pixel=PIXEL, accuracy=0.5432)))
    assert_built(build(book))
    assert "test accuracy 54.3%" in words(book, "status")
    assert "54.3%" in words(book, "index")


def test_a_failing_cell_fails_every_build(book):
    write(book, "plain", notebook("raise ValueError('not like this')"))
    for _ in range(2):
        result = build(book)
        assert result.returncode != 0
        assert "not like this" in result.stdout + result.stderr


def test_a_broken_reference_fails_every_build(book):
    broken = ["{ref}`nowhere`", "{term}`nonsense`", "{cite:p}`nobody1900`", "[](missing.ipynb)"]
    text = "# A tiny book\n\n" + "\n\n".join(broken)
    (book / "book" / "index.md").write_text(text, "utf-8")
    write(book, "lesson", notebook("1"))
    # Warnings only, this time. Sphinx must not count the page as done for the strict builds.
    assert_built(build(book, "-n"))
    for _ in range(2):
        result = build(book)
        assert result.returncode != 0
        for target in ("nowhere", "nonsense", "nobody1900", "missing.ipynb"):
            assert target in result.stderr


def test_stored_outputs_are_shown_and_nothing_is_run(book):
    source = notebook("raise AssertionError('executed')")
    path = write(book, "plain", source)
    executed = notebook("raise AssertionError('executed')")
    executed.cells[1].outputs = [new_output("stream", name="stdout", text="stored long ago")]
    executed.cells[1].execution_count = 1
    store_in_book_cache(path, source, executed, 83.0, book_cache_path(book))
    assert_built(build(book))
    assert "stored long ago" in words(book, "plain")
    assert "ran 1 min 23 s" in words(book, "status")


EXERCISES = """# A lesson of exercises

{}

```{{dropdown}} What is an epoch?
A pass over all training images.
```
"""
EXERCISE = """```{{exercise}}
:label: task-{0}
Do it {0} times.
```

```{{solution}} task-{0}
:class: dropdown
It is done {0} times.
```
"""


FOLDED = "document.querySelectorAll('details:not([open])').length"
# The buttons that look the same with the keyboard's focus and without it.
UNSEEN = """async () => {
    const unseen = [];
    for (const button of document.querySelectorAll('header button, .bd-header-article .btn, '
            + '.search-button-field')) {
        if (!button.getClientRects().length) continue;
        button.focus({focusVisible: true});
        const style = getComputedStyle(button);
        if (style.outlineStyle === 'none' || !parseFloat(style.outlineWidth))
            unseen.push(button.className);
    }
    return unseen;
}"""


# A network that says how bright the two halves of an image are.
NETWORK = """
import base64, json
import numpy as np
from IPython.display import display
from course_utils.web_page.fragment import PAGE_KEY, fragment

def text(numbers, dtype):
    return base64.b64encode(np.array(numbers, dtype).tobytes()).decode()

weights = {"kernel": text([[1, 0], [0, 1]], "<f4"), "bias": text([0, 0], "<f4")}
weights = {name: {"type": "float32", "data": data} for name, data in weights.items()}
dense = {"kind": "dense", "type": "Dense", "filters": 2, "activation": "softmax"}
layers = [{"kind": "flatten", "type": "Flatten"}, dense | {"weights": weights}]
content = {
    "network": {"input": [1, 2, 1], "parameters": 6, "layers": layers},
    "classes": ["left", "right"],
    "source": "two pixels",
    "labels": [0, 1],
    "images": text([5, 2, 1, 3], "uint8"),
}
html = fragment(json.dumps(content)).replace("exploreNetwork(document", "outdated(document")
display({"text/html": html}, raw=True, metadata={"text/html": {PAGE_KEY: True}})
"""


@pytest.mark.browser
def test_a_network_of_a_chapter_is_on_both_pages_with_the_scripts_of_today(book):
    write(book, "lesson", notebook(NETWORK))
    text = "# Book\n\n```{trained-network} lesson\n```\n\n```{trained-network} plain\n```\n"
    (book / "book" / "index.md").write_text(text, "utf-8")
    assert_built(build(book))
    assert words(book, "index").count("shown here once its chapter has been run") == 1
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name in ("lesson", "index"):
            opened, errors = chromium.new_page(), []
            opened.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            opened.goto((book / "_build" / "html" / "book" / f"{name}.html").as_uri())
            # exp(5) / (exp(5) + exp(2))
            assert opened.locator(".answer .percent").all_inner_texts() == ["95.3%", "4.7%"]
            assert errors == []
        chromium.close()


@pytest.mark.browser
def test_pages_are_accessible_on_the_screen_and_complete_on_paper(book):
    """Ids are unique, headings have a text, buttons show their focus; paper shows all."""
    text = EXERCISES.format("\n".join(map(EXERCISE.format, (1, 2))))
    (book / "book" / "index.md").write_text(text, "utf-8")
    write_contents(book, "index", "status")
    assert_built(build(book))
    html = book / "_build" / "html"
    for name in ("book/index", "genindex", "search"):
        content = (html / f"{name}.html").read_text("utf-8")
        ids = re.findall(r'<(?:section|div|details|figure)[^>]* id="([^"]+)"', content)
        assert len(ids) == len(set(ids)), sorted(ids)
        headings = re.findall(r"<h1[^>]*>(.*?)</h1>", content, re.DOTALL)
        assert headings
        assert all(re.sub(r"<[^>]*>", "", each).strip() for each in headings)
    assert 'id="solution-content-2"' in page(book, "index")
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = chromium.new_page()
        opened.goto((html / "book" / "index.html").as_uri())
        assert opened.evaluate(UNSEEN) == []
        opened.evaluate(
            f"() => addEventListener('beforeprint', () => {{ window.left = {FOLDED} }})"
        )
        before = opened.evaluate(FOLDED)
        opened.pdf()
        assert before > 0
        assert (opened.evaluate("left"), opened.evaluate(FOLDED)) == (0, before)
        chromium.close()
