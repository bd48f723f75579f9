"""What the built book says about the assignments, and what it must not say."""

from __future__ import annotations

import html
import json
import re

import nbformat
import pytest
import yaml
from nbgrading import ASSIGNMENTS

from course_utils.grading.assignment.course import assignments, read_source
from course_utils.grading.assignment.leaks import leaks_in_folder, secrets
from course_utils.grading.assignment.questions import questions
from course_utils.paths import CHECKOUT as ROOT
from course_utils.thresholds import load_thresholds

NAMES = assignments(ASSIGNMENTS)


@pytest.fixture(scope="module")
def page(built_book):
    """The page of the assignments, without its tags."""
    text = (built_book / "html" / "book" / "assignments.html").read_text()
    return html.unescape(re.sub(r"<[^>]*>", " ", text)).replace("’", "'")


@pytest.mark.parametrize("assignment", NAMES)
def test_every_graded_cell_is_in_the_table(page, assignment):
    for question in questions(ASSIGNMENTS, assignment):
        graded = "automatically" if question.automatic else "by a person"
        row = [question.objective, question.name, question.test, f"{question.points:g}", graded]
        pattern = r"\s+".join(re.escape(part).replace(r"\ ", r"\s+") for part in row)
        assert re.search(pattern, page), row


@pytest.mark.parametrize("assignment", NAMES)
def test_the_book_holds_no_solution(built_book, assignment):
    pieces = secrets(read_source(ASSIGNMENTS, assignment))
    assert pieces
    readable = (".html", ".ipynb", ".md", ".txt", ".js", ".json")
    assert leaks_in_folder(pieces, built_book / "html", readable) == {}
    assert leaks_in_folder(pieces, ROOT / "book", (*readable, ".py")) == {}


def test_the_points_at_the_top_of_a_notebook_are_the_points_of_its_cells():
    for assignment in NAMES:
        rows = re.findall(r"^\| *(Q\w+)[^|]*\| *([\d.]+) *\|", read_source(
            ASSIGNMENTS, assignment).cells[0].source, flags=re.MULTILINE)  # fmt: skip
        stated = sum(float(points) for _, points in rows)
        assert stated == sum(q.points for q in questions(ASSIGNMENTS, assignment)), assignment


def test_the_header_installs_from_the_repository_that_the_book_names():
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    header = json.loads((ASSIGNMENTS / "source" / "header.ipynb").read_text())
    source = "".join(header["cells"][0]["source"])
    assert re.findall(r"https://[^\s\"]+", source) == [url]


def test_every_threshold_of_an_assignment_belongs_to_a_network_that_is_handed_in():
    handed_in = {path.stem for path in ASSIGNMENTS.glob("solutions/*/*.keras")}
    chapters = {chapter.stem for chapter in (ROOT / "book").glob("[0-9][0-9]_*.ipynb")}
    asked = set(load_thresholds()) - chapters
    assert asked
    assert asked <= handed_in


@pytest.mark.parametrize("assignment", NAMES)
def test_the_sections_that_messages_name_are_in_the_book(assignment):
    source = "\n".join(cell.source for cell in read_source(ASSIGNMENTS, assignment).cells)
    named = re.findall(r"chapter (\d+), ('[^\";\n]+')", source)
    for number, sections in named:
        (chapter,) = (ROOT / "book").glob(f"{int(number):02}_*.ipynb")
        text = "\n".join(cell.source for cell in nbformat.read(chapter, as_version=4).cells)
        headings = {line.lstrip("# ") for line in text.splitlines() if line.startswith("#")}
        for section in re.findall(r"'(.+?)'(?=$|[,;) ])", sections):
            assert section in headings, f"chapter {number}: {section}"
