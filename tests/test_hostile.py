"""Hostile submissions, graded beside honest ones by the real nbgrader.

None gets a point that it does not deserve, none sees or changes what is not its own, and the
honest ones are graded exactly as without them.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from hostile import (
    FILES,
    NETWORK,
    PROGRAMS,
    Attack,
    attacks,
    copy_files,
    link_to,
    prepend,
    trained_a_little_more,
)
from nbgrading import (
    ASSIGNMENTS,
    NEEDS_SANDBOX,
    add_assignment,
    grade,
    grade_id,
    hand_in,
    make_course,
    new_cell,
    points,
    said,
    solved,
    value_cells,
)

from course_utils.grading.course import read_graded
from course_utils.grading.scan import read_released

NAME = "hostile"
NETWORKS = ASSIGNMENTS / "solutions" / "a2-cnn"
FULL = {"value-test": 2.0, "function-test": 3.0, "again-test": 1.0, "network-test": 5.0}
HONEST = ("aaa-honest", "mmm-honest", "zzz-honest", "aab-partly", "zzy-untouched")
CELL_SECONDS, TOTAL_SECONDS = 10, 30
GIVEN = "from course_utils import load_cifar10\n\ndata = load_cifar10()"
FUNCTION = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION\n"
HIDDEN = "### BEGIN HIDDEN TESTS\nfrom course_utils.grading import grade\n{}\n### END HIDDEN TESTS"
DOUBLE_IS_RIGHT = """
def attempt(x):
    try:
        return double(x)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

doubled = {x: 2 * x for x in (3, 5.5, -1)}
grade.together(*(grade.equal(f"double({x})", attempt(x), doubled[x]) for x in doubled))"""
# Stands on what the test before it has worked out.
THREE_IS_RIGHT = 'grade.equal("double(3)", attempt(3), doubled[3])'


pytestmark = NEEDS_SANDBOX


def make_assignment(course: Path) -> None:
    cells = [
        new_cell("given", GIVEN, tags=("for-tests",)),
        *value_cells("value", 7, points=2),
        new_cell("function", FUNCTION, answer=True),
        new_cell("function-test", HIDDEN.format(DOUBLE_IS_RIGHT), points=3),
        new_cell("again-test", HIDDEN.format(THREE_IS_RIGHT), points=1),
        new_cell("network-test", HIDDEN.format(f'grade.network("{NETWORK}", data)'), points=5),
    ]
    limits = {"timeout": CELL_SECONDS, "total_timeout": TOTAL_SECONDS}
    settings = "".join(f"c.Examine.{name} = {seconds}\n" for name, seconds in limits.items())
    add_assignment(course, NAME, cells, settings)


def hand_in_honest(course: Path) -> None:
    for number, student in enumerate(HONEST[:4]):
        wrong = {"value": "value = 6"} if student == "aab-partly" else None
        folder = hand_in(course, student, NAME, solved(course, NAME, wrong), files=False)
        copy_files(NETWORKS, folder)
        trained_a_little_more(folder, number)
    hand_in(course, HONEST[4], NAME, files=False)


def hand_in_attack(course: Path, attack: Attack, **places) -> None:
    notebook = solved(course, NAME) if attack.answers else read_released(course, NAME)
    prepend(notebook, _filled(attack.program, places))
    if attack.notebook:
        attack.notebook(notebook)
    folder = hand_in(course, attack.name, NAME, notebook, files=False)
    if attack.answers:
        copy_files(NETWORKS, folder)
    if attack.files:
        attack.files(folder)


def _filled(program: str, places: dict) -> str:
    for name, value in places.items():
        program = program.replace(f"<{name}>", repr(value))
    return program


class Listener:
    """Counts who calls a port of this machine."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.calls += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory, cifar10):
    """The honest submissions, graded without the hostile ones."""
    course = make_course(tmp_path_factory.mktemp("alone") / "course")
    make_assignment(course)
    hand_in_honest(course)
    grade(course, NAME)
    return course


@pytest.fixture(scope="module")
def together(tmp_path_factory, cifar10):
    """A course with everything that was handed in, honest and hostile, and what became of it."""
    course = make_course(tmp_path_factory.mktemp("together") / "course")
    make_assignment(course)
    hand_in_honest(course)
    outside = tmp_path_factory.mktemp("outside")
    outside.chmod(0o777)
    (outside / "secret.txt").write_text("the lecturer's")
    listener = Listener()
    source, other = course / "source" / NAME, course / "submitted" / HONEST[0] / NAME
    secrets = [str(path) for path in (
        course, course / "gradebook.db", source, source / f"{NAME}.ipynb", other,
        other / f"{NAME}.ipynb", other / f"{NETWORK}.keras", course / "nbgrader_config.py",
        ASSIGNMENTS / "source", ASSIGNMENTS / "solutions", outside / "secret.txt", "/etc/shadow",
    )]  # fmt: skip
    places = {"secrets": secrets, "port": listener.port, "pid": os.getpid(),
              "folder": str(outside)}  # fmt: skip
    for attack in attacks():
        hand_in_attack(course, attack, **places)
    links = Attack("links-out", files=link_to(other / f"{NETWORK}.keras", source,
                   course / "gradebook.db", Path("/etc/passwd")), answers=True)  # fmt: skip
    hand_in_attack(course, links)
    everything = (course / "source").rglob("*")
    before = {path: path.read_bytes() for path in everything if path.is_file()}
    started = time.time()
    os.environ["SECRET_OF_THE_LECTURER"] = "visible"
    try:
        results = grade(course, NAME)
    finally:
        del os.environ["SECRET_OF_THE_LECTURER"]
        listener.close()
    yield {"course": course, "results": {result.student: result for result in results},
           "listener": listener, "outside": outside, "before": before,
           "started": started}  # fmt: skip
    # Python cannot look through the deep folders in it, to remove them.
    subprocess.run(["rm", "-rf", course / "set-aside"], check=True)


def test_honest_submissions_are_graded_as_without_the_hostile_ones(alone, together):
    for student in HONEST:
        with_them, without = (points(c, student, NAME) for c in (together["course"], alone))
        assert with_them == without
        for test in FULL:
            assert said(together["course"], student, NAME, test) == said(alone, student, NAME, test)
    assert points(alone, HONEST[0], NAME) == FULL
    assert points(alone, HONEST[3], NAME) == FULL | {"value-test": 0}
    assert set(points(alone, HONEST[4], NAME).values()) == {0.0}


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.name)
def test_an_attack_earns_what_it_deserves(together, attack):
    earned = points(together["course"], attack.name, NAME)
    assert earned == {test: FULL[test] * (test in attack.deserves) for test in FULL}


@pytest.mark.parametrize(
    "attack", [a for a in attacks() if a.review], ids=lambda attack: attack.name
)
def test_the_lecturer_is_told(together, attack):
    result = together["results"][attack.name]
    graded = str(read_graded(together["course"], attack.name, NAME))
    assert attack.review in " ".join(result.notes) + graded
    assert result.waiting > 0 or result.notes


def test_no_mark_of_the_graders_is_taken_from_a_submission(together):
    result = together["results"]["forges-marks"]
    assert "forged" not in " ".join(result.reviews)
    assert result.notes == []


def test_a_network_that_two_hand_in_is_looked_at(together):
    first, copied = (together["results"][name] for name in ("claims-more", "other-curves"))
    assert "same weights as that of claims-more" in " ".join(copied.reviews)
    assert first.waiting == copied.waiting == 1
    assert not any("same weights" in review for review in together["results"][HONEST[0]].reviews)


def test_links_lead_nowhere(together):
    course = together["course"]
    assert points(course, "links-out", NAME) == FULL | {"network-test": 0}
    aside = course / "set-aside" / "links-out" / NAME
    (once,) = aside.iterdir()
    assert {path.name for path in once.iterdir()} == {
        "link-0", "link-1", "link-2", "link-3", "pipe", f"{NETWORK}.keras",
    }  # fmt: skip
    graded = course / "autograded" / "links-out" / NAME
    assert not any(path.name.startswith(("link", "pipe")) for path in graded.iterdir())


def test_nothing_is_seen_that_is_not_its_own(together):
    first, *_ = read_graded(together["course"], "reads-everything", NAME).cells
    assert [output.text for output in first.outputs] == ["looked everywhere\n"]


@pytest.mark.parametrize("student", ["scripts", "scripts-in-text"])
def test_nothing_that_is_displayed_can_act(together, student):
    course = together["course"]
    page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    graded = [cell for cell in read_graded(course, student, NAME).cells if "owned" in str(cell)]
    assert graded
    for text in (page, *(str(cell.get("outputs", cell.source)) for cell in graded)):
        assert "<script>document.title" not in text
        assert not re.search(r"<img[^>]*onerror", text)
        assert "\\href" not in text
    assert not re.search(r"""href=["']?\s*javascript:owned""", page)
    assert (student == "scripts") == ("<b>bold</b>" in page)
    assert (student == "scripts") == bool(re.search(r'<img[^>]*alt="five"', page))


def test_what_the_lecturer_is_told_steers_no_terminal(together):
    told = [note for result in together["results"].values() for note in result.notes]
    assert any("my-" in note for note in told)
    assert all(map(str.isprintable, told))


def test_what_is_kept_of_a_submission_has_a_size(together):
    kept = [*together["course"].glob("autograded/*/*/*.ipynb"),
            *together["course"].glob(".examined/*.json")]  # fmt: skip
    assert len(kept) > 80
    assert max(path.stat().st_size for path in kept) < 20 * 2**20


def test_nobody_is_called(together):
    assert together["listener"].calls == 0


def test_nothing_outside_was_written(together):
    course = together["course"]
    assert [path.name for path in together["outside"].iterdir()] == ["secret.txt"]
    assert not Path("/tmp/owned").exists()
    assert {path: path.read_bytes() for path in together["before"]} == together["before"]
    assert shutil.disk_usage(course).free > 2**30


def test_nothing_goes_on_running(together, book_build):
    time.sleep(1)
    left = [
        process
        for process in psutil.process_iter(["create_time", "cmdline"])
        if process.info["create_time"] >= together["started"]
        and sys.executable in (process.info["cmdline"] or ())
    ]
    # The book may still be built beside the tests.
    book = psutil.Process(book_build.pid).children(recursive=True) if book_build else []
    left = [process for process in left if process not in book and process.is_running()]
    assert [process.info["cmdline"] for process in left] == []


def test_every_submission_is_in_the_gradebook(together):
    names = {attack.name for attack in attacks()} | {"links-out", *HONEST}
    assert set(together["results"]) == names
    assert len(PROGRAMS) + len(FILES) > 30


def test_all_cells_of_the_assignment_are_there_again(together):
    for student in ("deletes-tests", "duplicates-tests", "renames-tests", "retypes-tests"):
        cells = read_graded(together["course"], student, NAME).cells
        assert sorted(grade_id(c) for c in cells if grade_id(c) in FULL) == sorted(FULL)
        assert all(c.cell_type == "code" for c in cells if grade_id(c) in FULL)
