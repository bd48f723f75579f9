"""One assignment all the way round, by the commands that a lecturer and three students type.

Release, fetch, submit, collect, autograde, points and a comment entered in formgrader in a real
browser, feedback, export, class report. The screenshots stay in ``_build/screenshots/grading``.
"""

from __future__ import annotations

import csv
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from browsers import ARGUMENTS, CHROMIUM
from formgraders import formgrader_of, submission_id
from nbgrading import ASSIGNMENTS, cut_in_half, points, solved

from course_utils.grading.assignment.course import nbgrader
from course_utils.grading.assignment.questions import questions
from course_utils.grading.class_report import write_class_report
from course_utils.paths import CHECKOUT

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.process]

NAME = "a1-fully-connected"
QUESTIONS = questions(ASSIGNMENTS, NAME)
AUTOMATIC = [question for question in QUESTIONS if question.automatic]
COURSE = "image-classification"
SCREENSHOTS = CHECKOUT / "_build" / "screenshots" / "grading"
COMMENT = "Well read: say also what the loss does."
LATE_DAYS = 2


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory, cifar10):
    """A course whose assignment was released, and collected from three students."""
    folder = tmp_path_factory.mktemp("round")
    course = folder / "course"
    shutil.copytree(ASSIGNMENTS / "source" / NAME, course / "source" / NAME)
    shutil.copy(ASSIGNMENTS / "source" / "header.ipynb", course / "source")
    shutil.copy(ASSIGNMENTS / "nbgrader_config.py", course)
    exchange = folder / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    places = (f"--Exchange.root={exchange}", f"--course={COURSE}")

    nbgrader(course, "generate_assignment", NAME)
    due = datetime.now(UTC) + timedelta(hours=1)
    nbgrader(course, "db", "assignment", "add", NAME, f"--duedate={due:%Y-%m-%d %H:%M:%S} UTC")
    nbgrader(course, "release_assignment", NAME, *places)
    for student in ("good", "partial", "broken"):
        home = folder / student
        home.mkdir()
        nbgrader(home, "fetch_assignment", NAME, *places)
        if student == "good":
            untouched = nbgrader(home / NAME, "validate", f"{NAME}.ipynb")
        answer(course, student, home / NAME)
        if student == "good":
            answered = nbgrader(home / NAME, "validate", f"{NAME}.ipynb")
        nbgrader(home, "submit", NAME, f"--student={student}", *places)
    nbgrader(course, "collect", NAME, "--ExchangeCollect.check_owner=False", *places)

    late = due + timedelta(days=LATE_DAYS - 0.5)
    stamp = course / "submitted" / "partial" / NAME / "timestamp.txt"
    stamp.write_text(f"{late:%Y-%m-%d %H:%M:%S} UTC")
    nbgrader(course, "autograde", NAME)
    (folder / "untouched.txt").write_text(untouched)
    (folder / "answered.txt").write_text(answered)
    return course


def answer(course: Path, student: str, folder: Path) -> None:
    """Do what the student does with the fetched assignment."""
    cells = {"q1-answer": "axes = ['images']\ngreen = 0\ninputs = 3072\nmegabytes = 552.96"}
    notebook = solved(course, NAME, cells if student == "partial" else None)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    for path in (ASSIGNMENTS / "solutions" / NAME).glob("*"):
        if not (student == "partial" and path.name.startswith("a1-q3")):
            shutil.copy(path, folder)
    if student == "broken":
        cut_in_half(folder / f"{NAME}.ipynb")


@pytest.fixture(scope="module")
def formgrader(handed_in):
    """The address of formgrader, served on this machine while the tests run."""
    with formgrader_of(handed_in) as address:
        yield address


@pytest.fixture(scope="module")
def page(formgrader):
    """A browser's page, logged in; it reaches this machine only."""
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1300, "height": 1000})
        here = (formgrader, "file:")
        context.route(
            "**/*",
            lambda route: (
                route.continue_() if route.request.url.startswith(here) else route.abort()
            ),
        )
        opened = context.new_page()
        opened.goto(f"{formgrader}/formgrader?token=test")
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def by_hand(handed_in, formgrader, page):
    """The course after a lecturer graded the good student's description in formgrader."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.goto(f"{formgrader}/formgrader/gradebook/{NAME}/{NAME}")
    page.wait_for_selector("text=Submission #3")
    page.screenshot(path=SCREENSHOTS / "submissions.png")
    page.goto(f"{formgrader}/formgrader/submissions/{submission_id(handed_in, NAME, 'good')}/")
    # The page fills its fields from the gradebook first: what is typed earlier is lost.
    page.wait_for_load_state("networkidle")
    assert "Rubric" in page.inner_text("body")
    score = page.query_selector("#q2-description")
    type_and_save(page, score, "2", "/api/grade/")
    type_and_save(page, page.query_selector("#q2-description-comment"), COMMENT, "/api/comment/")
    score.scroll_into_view_if_needed()
    page.screenshot(path=SCREENSHOTS / "by_hand.png")
    return handed_in


def type_and_save(page, field, text: str, address: str) -> None:
    """Fill a field as a lecturer does, and wait until formgrader has saved it."""
    with page.expect_response(lambda r: address in r.url and r.request.method == "PUT") as saved:
        field.fill(text)
        field.press("Tab")
    assert saved.value.ok


def test_the_three_get_what_they_earned(handed_in):
    good, partial = points(handed_in, "good", NAME), points(handed_in, "partial", NAME)
    automatic = ("q1-test", "q2-model-test", "q2-accuracy-test", "q3-mnist-test")
    assert [good[test] for test in automatic] == [4, 4, 6, 4]
    assert [partial[test] for test in automatic] == [2, 4, 6, 0]
    assert not any(points(handed_in, "broken", NAME).values())


def test_validate_says_what_is_missing_and_passes_what_is_right(handed_in):
    untouched = (handed_in.parent / "untouched.txt").read_text()
    assert f"VALIDATION FAILED ON {len(QUESTIONS)} CELL(S)!" in untouched
    assert "Expected: a value for axes in the cell above" in untouched
    assert "Read:     chapter 1" in untouched
    assert "Traceback" not in untouched
    answered = (handed_in.parent / "answered.txt").read_text()
    assert "Success! Your notebook passes all the tests." in answered


def test_points_and_comment_from_formgrader_are_in_feedback_and_export(by_hand):
    nbgrader(by_hand, "generate_feedback", NAME)
    feedback = (by_hand / "feedback" / "good" / NAME / f"{NAME}.html").read_text()
    assert COMMENT in feedback
    assert "Score: 2.0 / 3.0" in feedback
    assert 'alt="Left: loss and accuracy' in feedback or "image/png" in feedback
    assert "HIDDEN TESTS" not in feedback
    assert "Rubric" not in feedback
    nbgrader(by_hand, "export", "--to=grades.csv")
    with (by_hand / "grades.csv").open() as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert float(rows["good"]["score"]) == pytest.approx(sum(q.points for q in AUTOMATIC) + 2)
    raw, late = float(rows["partial"]["raw_score"]), rows["partial"]["late_submission_penalty"]
    assert float(late) == pytest.approx(0.1 * LATE_DAYS * raw)
    assert float(rows["partial"]["score"]) == pytest.approx(raw - float(late))
    assert float(rows["broken"]["score"]) == 0


def test_feedback_and_class_report_open_in_a_browser(by_hand, page):
    nbgrader(by_hand, "generate_feedback", NAME, "--force")
    report = write_class_report(by_hand, NAME)
    page.goto(f"file://{by_hand / 'feedback' / 'good' / NAME / NAME}.html")
    page.screenshot(path=SCREENSHOTS / "feedback.png", full_page=True)
    heading = page.locator(".rendered_html th").first
    assert heading.evaluate("cell => parseFloat(getComputedStyle(cell).paddingRight)") >= 8
    page.goto(f"file://{report}")
    page.screenshot(path=SCREENSHOTS / "class_report.png", full_page=True)
    text = page.inner_text("body")
    assert f"3 submissions, {sum(q.points for q in QUESTIONS):g} points" in text
    assert "cannot be read" in text
    assert "a1-q3.keras is missing" in text
    assert page.evaluate("[...document.images].every(image => image.naturalWidth && image.alt)")
    assert page.evaluate("document.images.length") >= 3
