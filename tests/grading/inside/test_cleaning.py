"""Making a notebook harmless: what is kept, and what is not."""

from __future__ import annotations

import base64
import random
import re

import nbformat
import pytest
from graded_cells import answer_cell, clean_cells, graded_cell, result
from hostile_texts import ENCODED, FORMULAS, MARKDOWN, TAGS
from nbconvert.filters import strip_files_prefix
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from course_utils.grading.inside.cleaning import clean_cell
from course_utils.grading.inside.formulas import is_ordinary
from course_utils.grading.inside.harmless import TOO_WIDE, harmless_html, harmless_markdown
from course_utils.grading.nbgrader_steps import points
from course_utils.paths import CHECKOUT
from course_utils.submission.contract import GRADE_MIME, LECTURER

SCRIPT = "<script>owned()</script>"
PICTURE = base64.b64encode(b"a picture").decode()
EVERYTHING = [*FORMULAS, *ENCODED, *TAGS, *MARKDOWN]


def cleaned(*cells: NotebookNode) -> list[NotebookNode]:
    kept = clean_cells(cells)
    nbformat.validate(new_notebook(cells=kept))
    return kept


PIECES = [
    *EVERYTHING, "\n", "\n\n", "  \n", "> ", "# ", "- ", "1. ", "    ", "\t", "```", "~~~", "`",
    "|a|b|\n|-|-|\n|", "\n: ", "[a]: b\n", "$", "$$", "\\[", "\\(", "<div>", "</div>", "<pre>",
    "<!--", "<?", "<![CDATA[", "&amp;", "&#10;", "\r", "\x0b", "\x00", "\u2028", "\\", "_", "*",
    "\\begin{a}", "\\end{a}", "<td>", "<a>", "</a>", "<dd>", "<code>", "</code>",
]  # fmt: skip


def test_what_is_made_of_markdown_is_what_a_browser_reads():
    rng = random.Random(0)
    for _ in range(300):
        made = harmless_markdown("".join(rng.choices(PIECES, k=rng.randint(1, 12))), {})
        shown = markdown2html_mistune(made).strip()
        assert shown == made
        for read in (shown, strip_files_prefix(shown)):
            assert harmless_html(read).replace("\n", "&#10;") == read


def test_no_prefix_that_nbconvert_removes_hides_a_link():
    for text in ("<a href='files/javascript:owned()'>x</a>", "[x](/files/javascript:owned())"):
        shown = strip_files_prefix(markdown2html_mistune(harmless_markdown(text, {})))
        assert "href" not in shown


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_that_could_act_is_code_wherever_it_stands(text):
    shown = f"<code>{text.replace('&', '&amp;').replace('<', '&lt;')}</code>"
    assert harmless_html(text) == shown
    html, latex = new_output("display_data", {"text/html": text}), {"text/latex": text}
    (raw, outputs) = cleaned(
        new_raw_cell(text),
        new_code_cell(outputs=[html, new_output("display_data", latex)]),
    )
    assert raw.source == outputs.outputs[0].data["text/html"] == shown
    assert outputs.outputs[1].data == {"text/plain": text}


@pytest.mark.parametrize(
    "text",
    [
        r"$L = -\frac{1}{n}\sum_{i=1}^{n} \log \hat{p}_i$", r"\(\mathbb{R}^{32 \times 32}\)",
        r"\begin{bmatrix} 1 & 2\\3 & 4\end{bmatrix}", r"$\left\lVert w \right\rVert_2^2$",
        r"$$\operatorname*{argmin}_\theta \mathcal{L}(\theta)$$", r"$50\,\% \; \text{of all}$",
        r"\begin{align*} a &\leq b \\ \therefore c &\to \infty \end{align*}", "costs $5", "none",
    ],
)  # fmt: skip
def test_an_ordinary_formula_stays_one(text):
    assert is_ordinary(text)
    assert "<code>" not in harmless_markdown(text, {})
    (cell,) = cleaned(new_code_cell(outputs=[new_output("display_data", {"text/latex": text})]))
    assert cell.outputs[0].data == {"text/latex": text}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"Both $L$ and $\mine{L}$ fall.", r"Both $L$ and <code>$\mine{L}$</code> fall."),
        (r"$$\mine$$ and $$x$$", r"<code>$$\mine$$</code> and $$x$$"),
        (r"$a$ and \mine{b}", r"<code>$a$ and \mine{b}</code>"),
        (r"costs $5, or $\mine{6}$", r"<code>costs $5, or $\mine{6}$</code>"),
        ("$a" + "{" * 31 + "$ $b$", f"<code>$a{'{' * 31}$</code> $b$"),
        (" ".join(["$" + r"\!" * 10 + "$"] * 3), None),
    ],
)
def test_only_the_formula_with_an_unknown_command_becomes_code(text, shown):
    assert harmless_html(text) == (shown or f"<code>{text}</code>")


def test_every_formula_of_the_course_is_ordinary():
    paths = [*CHECKOUT.glob("book/*.ipynb"), *CHECKOUT.glob("assignments/source/*/*.ipynb")]
    cells = [cell for path in paths for cell in nbformat.read(path, as_version=4).cells]
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    formulas = [each for text in texts for each in re.findall(r"\$+[^$`]+\$+", text)]
    assert len(formulas) > 100
    assert [each for each in formulas if not is_ordinary(each)] == []


@pytest.mark.parametrize("text", ["\\", "\\\x00", r"\Href{a}{b}", r"\begin{x}", r"\begin x", "\\é"])
def test_a_command_that_nobody_knows_is_not_ordinary(text):
    assert not is_ordinary(text)


def test_only_fields_that_are_displayed_are_kept():
    cell = answer_cell("1")
    cell.metadata.update(tags=["mermaid"], collapsed=SCRIPT, magics_language=SCRIPT)
    cell.execution_count = SCRIPT
    cell.outputs = [
        NotebookNode(output_type="execute_result", execution_count=SCRIPT, data={
            "text/plain": "shown", "text/html": ["<scr", "ipt>"], "image/png": SCRIPT,
            "image/jpeg": PICTURE, "application/javascript": "owned()", "image/svg+xml": "<svg/>",
            GRADE_MIME: {"fraction": 1},
        }, metadata={
            "image/jpeg": {"width": 5, "height": SCRIPT, "alt": "x", "unconfined": True},
            "filenames": {"image/png": "http://elsewhere.example"}, LECTURER: True,
            "text/html": {"isolated": True},
        }),
        NotebookNode(output_type="display_data", data=SCRIPT, metadata=[SCRIPT]),
        NotebookNode(output_type="stream", name=SCRIPT, text="said"),
        NotebookNode(output_type="error", ename="E", evalue="x", traceback=["line", 1], html="x"),
        NotebookNode(output_type="update", data={"text/html": SCRIPT}),
    ]  # fmt: skip
    (kept,) = cleaned(cell)
    assert kept.metadata == {"nbgrader": cell.metadata.nbgrader}
    assert kept.execution_count is None
    assert kept.outputs == [
        {"output_type": "execute_result", "execution_count": None,
         "data": {"text/plain": "shown", "image/jpeg": PICTURE},
         "metadata": {"image/jpeg": {"width": 5, "alt": "x"}, "text/html": {}}},
        {"output_type": "display_data", "data": {}, "metadata": {}},
        {"output_type": "stream", "name": "stdout", "text": "said"},
        {"output_type": "error", "ename": "E", "evalue": "x", "traceback": ["line", "1"]},
    ]  # fmt: skip


def test_a_cell_of_an_older_format_has_no_id():
    cell = new_code_cell("1")
    cell.execution_count = True
    del cell["id"]
    kept = clean_cell(cell, of_test=False, is_locked=False)
    nbformat.validate(NotebookNode(new_notebook(), cells=[kept], nbformat_minor=4))
    assert kept.execution_count is None


def test_a_test_quotes_answers_without_formulas():
    said = result(0.5)
    said.data["text/html"] = '<div class="course-grade">not correct: "$x$"<br>hint: 1 < 2</div>'
    (cell,) = cleaned(graded_cell(outputs=[said, points._for_lecturer(r"copied \(x\)")]))
    shown, told = cell.outputs
    assert shown.data[GRADE_MIME] == said.data[GRADE_MIME]
    assert shown.data["text/html"] == (
        '<div class="course-grade">not correct: "<code>$x$</code>"<br>hint: 1 &lt; 2</div>'
    )
    assert told.metadata == {LECTURER: True}
    assert told.data["text/html"].endswith(r"<code> copied \(x\)</code></p>")


def test_the_lecturers_text_is_left_as_it_is():
    text = "# Why?\n### BEGIN MARK SCHEME\n$\\href{https://keras.io}{x}$\n### END MARK SCHEME"
    cell = new_markdown_cell(text, attachments={"x.png": {"text/html": SCRIPT}})
    cell.metadata["nbgrader"] = {"locked": True, "grade": False, "solution": False}
    (kept,) = cleaned(cell)
    assert kept.source == text
    assert kept.attachments == {}


def test_pictures_are_part_of_the_text_or_not_there():
    attachments = {"a.png": {"image/png": PICTURE}, "b.svg": {"image/svg+xml": PICTURE}}
    text = "![a](attachment:a.png) ![c](http://elsewhere.example/c.png)"
    (cell,) = cleaned(new_markdown_cell(text, attachments=attachments))
    assert "attachments" not in cell
    picture = f'<img src="data:image/png;base64,{PICTURE}" alt="a">'
    assert cell.source == f'<div><p>{picture} <img alt="c"></p></div>'
    (cell,) = cleaned(new_markdown_cell("![b](attachment:b.svg)", attachments=attachments))
    assert cell.source == "<div><pre>![b](attachment:b.svg)</pre></div>"


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{1}{" * 150 + "1" + "}" * 150,
        r"\left(" * 40 + r"\right)" * 40,
        r"\begin{alignat}{999999999}a\end{alignat}",
        r"\!" * 1_500,
        "x+" * 20_000,
    ],
)
def test_a_formula_that_a_browser_cannot_display_becomes_code(formula):
    assert not is_ordinary(f"${formula}$")
    assert is_ordinary(r"$\frac{a}{\sqrt{b_{i_j}}} \left(\{1\}\right)$")


def test_the_styles_of_a_table_are_left_out():
    table = "<style scoped>\n.dataframe { color: red }\n</style><table><tr><td>1</td></tr></table>"
    assert harmless_html(table) == "<table><tbody><tr><td>1</td></tr></tbody></table>"


def test_sizes_of_pictures_and_counts_are_usual_numbers():
    shown = new_output(
        "display_data",
        data={"image/png": PICTURE},
        metadata={"image/png": {"width": 10**9, "height": 20}},
    )
    cell = new_code_cell("1", outputs=[shown])
    cell.execution_count = -10
    (kept,) = cleaned(cell)
    assert kept.outputs[0].metadata == {"image/png": {"height": 20}}
    assert kept.execution_count is None


def table(cells: str, rows: int = 1) -> str:
    return f"<table><tbody>{f'<tr>{cells}</tr>' * rows}</tbody></table>"


NESTED = f"<td>{table('<td>1</td>')}</td>"


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        (table("<td>1</td>" * 500, rows=3), True),
        (table("<td>1</td>" * 501), False),
        (table("<td>1</td>") + table("<td>1</td>" * 501), False),
        (table(NESTED * 500), True),
        (table(NESTED * 501), False),
        (table('<td colspan="9999">1</td>'), False),
        (table('<td colspan="2">1</td>' * 250), True),
        (table('<td colspan="2">1</td>' * 251), False),
        # A group of rows has one header; each takes a column while it lasts.
        (table('<th rowspan="2">1</th>', rows=501), True),
        (table('<th rowspan="502">1</th>', rows=501), False),
        (table('<th rowspan="0">1</th>', rows=501), False),
        (table('<td colspan="-5" rowspan="x">1</td>'), True),
        ("</table><tr><td>" * 600 + "</table>", True),
    ],
)
def test_tables_with_many_columns_are_not_shown(text, is_shown):
    (cell,) = cleaned(new_code_cell(outputs=[new_output("display_data", {"text/html": text})]))
    assert (TOO_WIDE not in cell.outputs[0].data["text/html"]) is is_shown
    (raw,) = cleaned(new_raw_cell(text))
    assert (TOO_WIDE not in raw.source) is is_shown


def test_a_wide_table_in_markdown_is_not_shown():
    row = "|a" * 600 + "|\n"
    (cell,) = cleaned(new_markdown_cell(row + "|-" * 600 + "|\n" + row))
    assert TOO_WIDE in cell.source
