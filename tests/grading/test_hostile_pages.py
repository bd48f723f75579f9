"""What a submission shows, in the feedback and in formgrader, opened in a real browser.

Whatever it is made of, it runs nothing, loads nothing, and links to pages only. What an honest
student wrote looks as it should.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from browsers import ARGUMENTS, CHROMIUM
from formgraders import formgrader_of, submission_id
from hostile import NETWORK, copy_files, prepend
from hostile_texts import ENCODED, FORMULAS, MARKDOWN, TAGS
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_raw_cell
from nbgrading import (
    ASSIGNMENTS,
    add_assignment,
    grade_by_command,
    hand_in,
    make_course,
    new_cell,
    said,
    solved,
    value_cells,
)

from course_utils.grading.assignment.course import nbgrader

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.sandbox]

NAME = "display"
NETWORKS = ASSIGNMENTS / "solutions" / "a2-cnn"
HOSTILE, HONEST = "hostile", "honest"
GIVEN = "from course_utils import load_cifar10\n\ndata = load_cifar10()"
NETWORK_TEST = (
    "### BEGIN HIDDEN TESTS\nfrom course_utils.grading import grade\n"
    f'grade.network("{NETWORK}", data)\n### END HIDDEN TESTS'
)
ELSEWHERE = "http://elsewhere.example"
UNFILTERED = "http://unfiltered.example/"
(PACKAGED,) = importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations
MATHJAX = Path(PACKAGED) / "static" / "mathjax"
# Nothing on this page keeps a formula from making links or setting styles.
START_MATHJAX = """
window.MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true},
  loader: {load: ["[tex]/html", "[tex]/unicode"]},
};
document.write('<script src="http://mathjax.example/tex-chtml-full.js"></script>');
"""
# A picture of one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)

PROGRAM = """
from IPython.display import HTML, Latex, Markdown, display

formulas, encoded, tags, markdown = {texts!r}
for text in formulas + encoded:
    display(HTML(text), Markdown(text), Latex(text))
    display({{"text/latex": text}}, raw=True)
for text in tags:
    display(HTML(text), Markdown(text), {{"image/svg+xml": text, "text/plain": text}})
for text in markdown:
    display(Markdown(text))
script = "<script>owned()</script>"
display({{"text/html": ["<scr", "ipt>owned()</script>"]}}, raw=True)
display({{"image/png": '"><script>owned()</script>', "image/jpeg": script}}, raw=True)
display({{"application/javascript": "owned()", "text/vnd.mermaid": script}}, raw=True)
sizes = {{"text/html": {{"isolated": True}}, "filenames": {{"image/png": "http://elsewhere.example/o"}},
         "image/png": {{"width": "1 onerror=owned()", "alt": '"><script>owned()</script>'}}}}
display({{"image/png": {pixel!r}, "text/html": script}}, raw=True, metadata=sizes)
"""


def hostile(notebook: NotebookNode) -> NotebookNode:
    """Show everything in every way: in Markdown and raw cells, and as outputs of each kind."""
    texts = (FORMULAS, ENCODED, TAGS, MARKDOWN)
    for text in itertools.chain(*texts):
        cell = new_markdown_cell(f"owned {text}")
        cell.attachments = {"a.png": {"image/svg+xml": '"><script>owned()</script>'}}
        notebook.cells += [cell, new_raw_cell(f"owned {text}")]
        notebook.cells[-1].metadata["tags"] = ['x"><script>owned()</script>', "mermaid"]
    prepend(notebook, textwrap.dedent(PROGRAM).format(texts=texts, pixel=PIXEL))
    return notebook


WELL_WRITTEN = r"""
# My *result*

The loss is $L = -\frac{1}{n}\sum_{i=1}^{n} \log p_{i, y_i}$;
[Keras](https://keras.io) minimises it.

$$
\begin{aligned}
\hat{y} &= \operatorname{softmax}(\mathbf{W}x + b) \\
\nabla_\theta L &\approx \left( \frac{\partial L}{\partial \theta} \right)
\end{aligned}
$$

| layer | units |
|:------|------:|
| dense | 64 |

```python
x = 1 < 2
```

![five](attachment:five.png)

Costs $5 & more: 1 < 2 > 0.
"""
SHOWN = """
from IPython.display import HTML, Latex, Markdown, display
display(HTML("<table><tr><th>bold</th><td><b>7</b></td></tr></table>"), Latex(r"$\\alpha_1$"))
display(Markdown("**strong** $\\\\beta$"))
size = {"image/png": {"width": 7, "alt": "seven"}}
display({"image/png": %r, "text/plain": "p"}, raw=True, metadata=size)
"""


def honest(notebook: NotebookNode) -> NotebookNode:
    cell = new_markdown_cell(WELL_WRITTEN, attachments={"five.png": {"image/png": PIXEL}})
    notebook.cells.append(cell)
    prepend(notebook, textwrap.dedent(SHOWN % PIXEL))
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory, cifar10):
    """A course in which a hostile and an honest submission have been graded."""
    course = make_course(tmp_path_factory.mktemp("display") / "course")
    cells = [new_cell("given", GIVEN, tags=("for-tests",)), *value_cells("value", 7, points=2),
             new_cell("network-test", NETWORK_TEST, points=5)]  # fmt: skip
    add_assignment(course, NAME, cells)
    folder = hand_in(course, HONEST, NAME, honest(solved(course, NAME)), files=False)
    copy_files(NETWORKS, folder)
    script = FORMULAS[0] + TAGS[0] + TAGS[1]
    named = {"value": f"value = type({script!r}, (), {{}})()"}
    folder = hand_in(course, HOSTILE, NAME, hostile(solved(course, NAME, named)), files=False)
    copy_files(NETWORKS, folder)
    record = folder / f"{NETWORK}.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"design": script}))
    grade_by_command(course, NAME)
    return course


class Browser:
    """A browser, logged in to formgrader, that reaches nothing but this machine and MathJax.

    Attributes
    ----------
    asked : list of str
        Addresses of other machines that pages asked for.
    unfiltered : str
        The page at the address `UNFILTERED`.
    """

    def __init__(self, browser, formgrader: str) -> None:
        self.asked: list[str] = []
        self.unfiltered = ""
        self._here = (formgrader, "file:")
        context = browser.new_context()
        context.route("**/*", self._answer)
        context.add_init_script("window.owned = () => { window.wasOwned = true; }")
        self.page = context.new_page()
        self.page.on("dialog", lambda dialog: dialog.dismiss())
        self.page.goto(f"{formgrader}/formgrader?token=test")

    def open(self, address: str) -> None:
        """Open a page, and wait until MathJax has displayed its formulas."""
        self.asked.clear()
        self.page.goto(address)
        self.page.evaluate("MathJax.startup.promise")

    def _answer(self, route) -> None:
        url = route.request.url
        if url.startswith(self._here):
            route.continue_()
        elif "/mathjax/2.7.7/" in url:
            route.fulfill(body=START_MATHJAX, content_type="text/javascript")
        elif url.startswith("http://mathjax.example/"):
            route.fulfill(path=MATHJAX / url.removeprefix("http://mathjax.example/").split("?")[0])
        elif url == UNFILTERED:
            route.fulfill(body=self.unfiltered, content_type="text/html")
        else:
            self.asked.append(url)
            route.abort()


@pytest.fixture(scope="module")
def browser(course):
    with formgrader_of(course) as formgrader, playwright.sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = Browser(started, formgrader)
        opened.formgrader = formgrader
        yield opened
        started.close()


def open_page(browser: Browser, course: Path, student: str, where: str) -> None:
    if where == "feedback":
        browser.open((course / "feedback" / student / NAME / f"{NAME}.html").as_uri())
    else:
        number = submission_id(course, NAME, student)
        browser.open(f"{browser.formgrader}/formgrader/submissions/{number}/")


# Parts of both pages that contain the students' work.
CELLS = ".text_cell_render, .output_area, .input_area"
# Elements that a cell may not contain, in a browser, after MathJax has done its work.
FORBIDDEN = """
    (cells) => [...document.querySelectorAll(cells)]
      .flatMap((cell) => [...cell.querySelectorAll("*")])
      .filter((element) => {
        const tag = element.tagName.toLowerCase();
        const link = element.getAttribute("href") ?? element.getAttribute("xlink:href");
        const source = element.getAttribute("src");
        return ["script", "style", "iframe", "form", "input", "button", "link", "meta", "base",
                "object", "embed", "video", "audio", "svg", "textarea"].includes(tag)
          || (link !== null && !/^(https?:|mailto:|#)/.test(element.href))
          || (source !== null && !/^data:image\\/(png|jpeg|gif|webp);base64,/.test(source))
          || element.getAttributeNames().some((name) => name.startsWith("on"))
          || ["fixed", "absolute"].includes(getComputedStyle(element).position)
             && !element.closest("mjx-container")
          || getComputedStyle(element).backgroundImage !== "none"
          || element.matches(".score, .full-credit, .panel-heading, #toc, .mermaid");
      }).map((element) => element.outerHTML.slice(0, 300))
"""


@pytest.mark.parametrize("where", ["feedback", "formgrader"])
def test_nothing_of_a_hostile_submission_acts_or_loads(browser, course, where):
    open_page(browser, course, HOSTILE, where)
    page = browser.page
    assert page.inner_text("body").count("owned") > len(FORMULAS + ENCODED + TAGS + MARKDOWN)
    assert page.evaluate(FORBIDDEN, CELLS) == []
    assert [url for url in browser.asked if url.startswith(ELSEWHERE)] == []
    assert not page.evaluate("window.wasOwned")


@pytest.mark.parametrize("text", [*FORMULAS[:5], *ENCODED[:2], *TAGS[:7]])
def test_without_a_filter_the_same_acts(browser, text):
    """The test above can find something: here it is."""
    mathjax = "<script src=http://x.example/mathjax/2.7.7/latest.js></script>"
    browser.unfiltered = f"{mathjax}<div class=output_area>{text}</div>"
    browser.open(UNFILTERED)
    assert browser.page.evaluate(FORBIDDEN, CELLS) or browser.page.evaluate("window.wasOwned")


@pytest.mark.parametrize("where", ["feedback", "formgrader"])
def test_what_an_honest_student_wrote_looks_as_it_should(browser, course, where):
    open_page(browser, course, HONEST, where)
    page = browser.page
    assert page.locator(":is(.text_cell_render, .output_area) mjx-container").count() == 4
    assert page.locator("mjx-merror").count() == 0
    assert page.inner_text(".text_cell_render h1 >> nth=-1") == "My result"
    assert page.get_attribute("text=Keras >> nth=-1", "href") == "https://keras.io"
    assert page.inner_text("td:has-text('64')") == "64"
    assert page.get_attribute("td:has-text('64')", "style") == "text-align:right;"
    assert page.locator("img[alt=five]").evaluate("(image) => image.naturalWidth") == 1
    assert page.get_attribute("img[alt=seven]", "width") == "7"
    assert "Costs $5 & more: 1 < 2 > 0." in page.inner_text("body")
    assert page.locator(".highlight .mi").count() > 0
    assert page.locator(".output_area b").inner_text() == "7"


def test_nothing_that_a_submission_is_called_controls_the_terminal(course):
    name = "\x1b[2Jred\u202egpj.\x07\r\x9b31m.txt"
    (course / "submitted" / HOSTILE / NAME / name).write_text("")
    logged = nbgrader(course, "autograde", NAME, f"--student={HOSTILE}", "--force")
    printed = subprocess.run(
        [sys.executable, "-m", "course_utils.cli", "grade", NAME],
        cwd=course, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (log,) = course.glob(f".examined/logs/{HOSTILE}/*.log")
    assert "red" in logged
    assert "red" in log.read_text()
    assert HOSTILE in printed
    for text in (logged, printed, log.read_text()):
        assert all(map(str.isprintable, text.replace("\n", "")))


def test_the_student_is_told_what_was_wrong_all_the_same(course):
    assert "value is not correct" in said(course, HOSTILE, NAME, "value-test")
    assert "belongs to the question" in said(course, HOSTILE, NAME, "network-test")
