"""Quizzes that can be clicked, and the reader's progress.

The section "Quiz" of a chapter is plain Markdown, a question after the other::

    **1. Which numbers are even?** (two answers)

    - a) 2
    - b) 3
    - c) 4

    ```{dropdown} Answer and reasons
    - a) **Right**: it is twice 1.
    - b) Wrong: it is 2 and a half of 2.
    - c) **Right**: it is twice 2.
    ```

The options may also stand in one line, and a reason may say "b) is wrong: ...". This extension
checks that form and marks its parts; ``quiz.js`` makes fields of them. Without a script the page
stays as it is.

``{reading-progress}`` is a table of all quizzes, which the same script fills in.
"""

from __future__ import annotations

import re
from hashlib import sha256
from textwrap import shorten
from typing import Any

from docutils import nodes
from page_templates import TEMPLATES
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util.docutils import SphinxDirective
from sphinx_design.shared import is_component

LETTERS = "abcdefgh"
NUMBERS = {"one": 1, "two": 2, "three": 3}
HOW_MANY = re.compile(r"\((one|two|three) answers?( (is|are) right)?\.?\)$", re.IGNORECASE)
NEXT_OPTION = re.compile(rf"(?:^|(?<=\s))(?=[{LETTERS}]\) )")
REASON = re.compile(
    rf"(?P<letters>[{LETTERS}]\)((, | and )[{LETTERS}]\))*) ((is|are) )?"
    r"(?P<verdict>right|true|wrong|false)\b",
    re.IGNORECASE,
)
# Keys of a page's metadata.
QUIZ, PROGRESS = "quiz", "has_progress"
# Letters of a question that the table of the progress shows.
TITLE_WIDTH = 75


class QuizError(SphinxError):
    """A quiz that is not written in the form above."""

    category = "Quiz"


class Question(nodes.General, nodes.Element):
    """A question, its options and its reasons; ``right`` holds the letters of the right ones."""


class ProgressTable(nodes.General, nodes.Element):
    """Where the table will stand."""


class ReadingProgress(SphinxDirective):
    """Leave a placeholder: the quizzes are known when every page has been read."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname][PROGRESS] = True
        return [ProgressTable()]


def read_quiz(app: Sphinx, doctree: nodes.document) -> None:
    """Mark the questions of a page, and remember them for the table of the progress.

    Raises
    ------
    QuizError
        If a quiz is not in the form above; the message names file and question.
    """
    for section in doctree.findall(nodes.section):
        if section[0].astext() != "Quiz":
            continue
        title, *parts = section.children
        groups = [parts[start : start + 3] for start in range(0, len(parts), 3)]
        questions = []
        for number, group in enumerate(groups, start=1):
            try:
                questions.append(mark_question(number, group))
            except QuizError as error:
                page = app.env.doc2path(app.env.docname, base=False)
                raise QuizError(f"{page}, question {number} of the quiz: {error}") from None
        for question in questions:
            question["key"] = f"{app.env.docname}-{question['key']}"
        section.children = []
        section += [title, *questions]
        app.env.metadata[app.env.docname][QUIZ] = [
            {"id": question["ids"][0], "key": question["key"], "title": question["title"]}
            for question in questions
        ]


def mark_question(number: int, parts: list[nodes.Node]) -> Question:
    """Put the three parts of a question into one node, with their meaning in classes."""
    kinds = (nodes.paragraph, (nodes.paragraph, nodes.bullet_list), nodes.container)
    fits = len(parts) == len(kinds) and all(map(isinstance, parts, kinds))
    if not fits or not is_component(parts[2], "dropdown"):
        raise QuizError("a question, its options and a dropdown with the reasons were expected.")
    text, options, answer = parts
    count = HOW_MANY.search(text.astext())
    strong = text.next_node(nodes.strong)
    if not count or not strong or not strong.astext().startswith(f"{number}. "):
        raise QuizError(f'"**{number}. The question?** (one answer)" was expected.')
    # A question that has been changed is a new one: old answers to it do not count.
    key = sha256((text.astext() + options.astext()).encode()).hexdigest()[:12]
    letters = mark_options(options)
    right = mark_reasons(answer, letters)
    if len(right) != NUMBERS[count[1].lower()]:
        raise QuizError(f"it says {count[0]}, but the reasons say that {listed(right)} right.")
    title = shorten(strong.astext().removeprefix(f"{number}. "), TITLE_WIDTH, placeholder=" …")
    return Question("", *parts, ids=[f"question-{number}"], key=key, right=right, title=title)


def mark_options(options: nodes.paragraph | nodes.bullet_list) -> str:
    """Give each option its class, and return the letters of all."""
    if isinstance(options, nodes.paragraph):
        split_options(options)
    for option in options:
        option["classes"].append("quiz-option")
    letters = "".join(option.astext()[:1] for option in options)
    if letters != LETTERS[: len(letters)] or not all(
        NEXT_OPTION.match(option.astext()) for option in options
    ):
        raise QuizError('its options do not begin with "a) ", "b) " and so on.')
    return letters


def split_options(paragraph: nodes.paragraph) -> None:
    """Put each option of a line into a node of its own."""
    options = [nodes.inline()]
    for child in paragraph.children:
        if isinstance(child, nodes.Text):
            rest, *others = NEXT_OPTION.split(child)
            options[-1] += nodes.Text(rest)
            options += [nodes.inline("", other) for other in others]
        else:
            options[-1] += child
    paragraph.children = []
    paragraph += [option for option in options if option.astext()]


def mark_reasons(answer: nodes.container, options: str) -> str:
    """Give each reason a class for each of its options; return the letters of the right ones."""
    verdicts: list[tuple[str, str]] = []
    for item in answer.findall(nodes.list_item):
        found = REASON.match(item.astext())
        if not found:
            begin = shorten(item.astext(), 40, placeholder=" …")
            raise QuizError(f'the reason "{begin}" must begin like "a) Wrong" or "a) **Right**".')
        for letter in re.findall(rf"[{LETTERS}](?=\))", found["letters"]):
            item["classes"].append(f"quiz-reason-{letter}")
            verdicts.append((letter, found["verdict"].lower()))
    reasons = "".join(sorted(letter for letter, _ in verdicts))
    if reasons != options:
        raise QuizError(f"its options are {', '.join(options)}, its reasons {', '.join(reasons)}.")
    right = "".join(letter for letter, verdict in sorted(verdicts) if verdict in ("right", "true"))
    # A line before the reasons may name the right answers.
    lines = [child for child in answer.children if isinstance(child, nodes.paragraph)]
    named = "".join(strong.astext() for line in lines for strong in line.findall(nodes.strong))
    if lines and named != right:
        raise QuizError(f'"{lines[0].astext()}" contradicts the reasons: {listed(right)} right.')
    return right


def listed(letters: str) -> str:
    """Write the letters of right answers with their verb: a and c are."""
    return f"{' and '.join(letters) or 'none'} {'are' if len(letters) > 1 else 'is'}"


def visit_question(self, node: Question) -> None:
    """Begin a question; what the script must know is in data attributes."""
    data = {"data-key": node["key"], "data-right": node["right"]}
    self.body.append(self.starttag(node, "div", CLASS="quiz-question", **data))


def depart_question(self, node: Question) -> None:
    """End a question."""
    self.body.append("</div>\n")


def fill_progress_table(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Replace the placeholder by a row for each page with a quiz, in the book's order."""
    for node in list(doctree.findall(ProgressTable)):
        html = TEMPLATES.get_template("progress_table.html.jinja").render(
            chapters=[chapter(app, page, name) for name in sorted(pages_with(app.env, QUIZ))]
        )
        node.replace_self(nodes.raw("", html, format="html"))


def chapter(app: Sphinx, page: str, name: str) -> dict[str, Any]:
    """Return what the table shows of a chapter; ``page`` is the table's own page."""
    number = app.env.toc_secnumbers.get(name, {}).get("", ())
    return {
        "name": name,
        "title": "".join(f"{part}. " for part in number) + app.env.titles[name].astext(),
        "address": app.builder.get_relative_uri(page, name),
        "questions": app.env.metadata[name][QUIZ],
    }


def pages_with(env: BuildEnvironment, key: str) -> list[str]:
    """Name the pages that have a quiz, or the table of the progress."""
    return [page for page, metadata in env.metadata.items() if key in metadata]


def pages_to_read_again(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Name the page with the table when another page, and perhaps its quiz, has changed."""
    return pages_with(env, PROGRESS) if added | changed | removed else []


def add_script(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Load the script on pages with a quiz and on the page with the table."""
    data = {"data-chapter": page}
    for table in pages_with(app.env, PROGRESS):
        data["data-progress"] = app.builder.get_relative_uri(page, table)
    if {QUIZ, PROGRESS} & app.env.metadata.get(page, {}).keys():
        app.add_js_file("quiz.js", loading_method="defer", **data)


def setup(app: Sphinx) -> dict[str, object]:
    """Register the nodes, the directive and what reads and fills them."""
    app.add_node(Question, html=(visit_question, depart_question))
    app.add_node(ProgressTable)
    app.add_directive("reading-progress", ReadingProgress)
    app.connect("doctree-read", read_quiz)
    app.connect("env-get-outdated", pages_to_read_again)
    app.connect("doctree-resolved", fill_progress_table)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
