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
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from hostile import (
    BUSY,
    FILES,
    NETWORK,
    PROGRAMS,
    Attack,
    attacks,
    copy_files,
    link_to,
    prepend,
    with_mistakes_of_its_own,
)
from nbgrading import (
    ASSIGNMENTS,
    add_assignment,
    grade_by_command,
    grade_id,
    hand_in,
    make_course,
    new_cell,
    points,
    said,
    solved,
    value_cells,
)
from small_notebooks import wait_for

from course_utils.grading.assignment.course import read_released
from course_utils.grading.class_report import collect, write_class_report
from course_utils.grading.gradebook import read_graded
from course_utils.grading.nbgrader_steps.copies import Copy

NAME = "hostile"
NETWORKS = ASSIGNMENTS / "solutions" / "a2-cnn"
FULL = {"value-test": 2.0, "function-test": 3.0, "again-test": 1.0, "network-test": 5.0}
HONEST = ("aaa-honest", "mmm-honest", "zzz-honest", "aab-partly", "zzy-untouched")
CELL_SECONDS, TOTAL_SECONDS = 10, 30
# Courses that are graded at the same time, each with a part of the attacks.
SHARDS = 3
SAME_NETWORK = ("claims-more", "other-curves")
LINKS_OUT = Attack("links-out", answers=True)
CHANGED_TESTS = ("deletes-tests", "duplicates-tests", "renames-tests", "retypes-tests")
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


pytestmark = pytest.mark.sandbox


def shard(attack: Attack) -> int:
    """Return in which part an attack is handed in; those that hand in the same network meet."""
    names = [each.name for each in attacks() if each.name not in SAME_NETWORK]
    return names.index(attack.name) % SHARDS if attack.name in names else 0


def each_with_its_course(chosen: list[Attack]):
    """Parametrise a test with attacks, and with the course that each was handed in to."""
    cases = [pytest.param(shard(attack), attack, id=f"{shard(attack)}-{attack.name}")
             for attack in chosen]  # fmt: skip
    return pytest.mark.parametrize(("together", "attack"), cases, indirect=["together"])


def course_of(*names: str):
    """Let a test see only the course to which these were handed in."""
    (number,) = {shard(Attack(name)) for name in names}
    return pytest.mark.parametrize("together", [number], indirect=True)


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
        with_mistakes_of_its_own(folder, number)
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
    """The honest submissions, graded without the hostile ones: once, for all processes."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    course, graded = place / "alone", place / "alone-graded"
    with FileLock(place / "alone.lock"):
        if not graded.exists():
            make_course(course)
            make_assignment(course)
            hand_in_honest(course)
            grade_by_command(course, NAME)
            graded.touch()
    return course


@pytest.fixture(scope="module", params=range(SHARDS))
def together(request, tmp_path_factory, cifar10):
    """A course with honest submissions and a part of the hostile ones, and what became of it."""
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
    handed_in = [attack for attack in attacks() if shard(attack) == request.param]
    if request.param == shard(LINKS_OUT):
        targets = (other / f"{NETWORK}.keras", source, course / "gradebook.db", Path("/etc/passwd"))
        handed_in.append(replace(LINKS_OUT, files=link_to(*targets)))
    for attack in handed_in:
        hand_in_attack(course, attack, **places)
    everything = (course / "source").rglob("*")
    before = {path: path.read_bytes() for path in everything if path.is_file()}
    started = time.time()
    os.environ["SECRET_OF_THE_LECTURER"] = "visible"
    try:
        results = grade_by_command(course, NAME)
    finally:
        del os.environ["SECRET_OF_THE_LECTURER"]
        listener.close()
    yield {
        "course": course,
        "names": {attack.name for attack in handed_in},
        "results": {result.student: result for result in results},
        "listener": listener,
        "outside": outside,
        "before": before,
        "started": started,
        "ended": time.time(),
    }
    # Python cannot look through the deep folders in it, to remove them.
    subprocess.run(["rm", "-rf", course / "submitted"], check=True)


def test_honest_submissions_earn_what_they_deserve_beside_hostile_ones(together):
    earned = {student: points(together["course"], student, NAME) for student in HONEST}
    nothing = dict.fromkeys(FULL, 0.0)
    expected = dict.fromkeys(HONEST, FULL)
    assert earned == expected | {HONEST[3]: FULL | {"value-test": 0}, HONEST[4]: nothing}


def test_honest_students_are_told_what_they_are_told_without_hostile_ones(alone, together):
    for student in HONEST:
        with_them, without = (points(c, student, NAME) for c in (together["course"], alone))
        assert with_them == without
        for test in FULL:
            assert said(together["course"], student, NAME, test) == said(alone, student, NAME, test)


@each_with_its_course(attacks())
def test_an_attack_earns_what_it_deserves(together, attack):
    earned = points(together["course"], attack.name, NAME)
    assert earned == {test: FULL[test] * (test in attack.deserves) for test in FULL}


@each_with_its_course([attack for attack in attacks() if attack.review])
def test_the_lecturer_is_told(together, attack):
    result = together["results"][attack.name]
    graded = str(read_graded(together["course"], attack.name, NAME))
    assert attack.review in " ".join(result.notes) + graded
    assert result.waiting > 0 or result.notes


@course_of("forges-marks")
def test_no_mark_of_the_graders_is_taken_from_a_submission(together):
    result = together["results"]["forges-marks"]
    assert "forged" not in " ".join(result.reviews)
    assert result.notes == []


@course_of("claims-more", "other-curves")
def test_a_network_that_two_hand_in_is_looked_at(together):
    first, copied = (together["results"][name] for name in ("claims-more", "other-curves"))
    assert f"{NETWORK} is nearly the same as that of claims-more" in " ".join(copied.reviews)
    assert first.waiting == copied.waiting == 1
    course, pair = together["course"], ("claims-more", "other-curves")
    assert Copy("network-test", NETWORK, pair) in collect(course, NAME).copies
    assert ", ".join(pair) in write_class_report(course, NAME).read_text()
    assert not any("nearly the same" in review for review in together["results"][HONEST[0]].reviews)


@course_of("links-out")
def test_links_lead_nowhere(together):
    course = together["course"]
    assert points(course, "links-out", NAME) == FULL | {"network-test": 0}
    submitted = course / "submitted" / "links-out" / NAME
    assert {path.name for path in submitted.iterdir() if not path.is_file()} >= {"link-1", "pipe"}
    graded = course / "autograded" / "links-out" / NAME
    assert not any(path.name.startswith(("link", "pipe")) for path in graded.iterdir())


@course_of("reads-everything")
def test_nothing_is_seen_that_is_not_its_own(together):
    first, *_ = read_graded(together["course"], "reads-everything", NAME).cells
    assert [output.text for output in first.outputs] == ["looked everywhere\n"]


@course_of("locks")
def test_nothing_can_be_locked(together):
    first, *_ = read_graded(together["course"], "locks", NAME).cells
    assert [output.text for output in first.outputs] == ["True []\n"]


@each_with_its_course([a for a in attacks() if a.name in ("scripts", "scripts-in-text")])
def test_nothing_that_is_displayed_can_act(together, attack):
    student = attack.name
    course = together["course"]
    page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    graded = [cell for cell in read_graded(course, student, NAME).cells if "owned" in str(cell)]
    assert graded
    for text in (page, *(str(cell.get("outputs", cell.source)) for cell in graded)):
        # Nobody looks for formulas in code; `test_display.py` opens such pages in a browser.
        text = re.sub(r"<(code|pre)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert "<script>document.title" not in text
        assert not re.search(r"<img[^>]*onerror", text)
        assert "\\href" not in text
    assert not re.search(r"""href=["']?\s*javascript:owned""", page)
    assert (student == "scripts") == ("<b>bold</b>" in page)
    assert (student == "scripts") == bool(re.search(r'<img[^>]*alt="five"', page))


def test_what_the_lecturer_is_told_steers_no_terminal(together):
    told = [note for result in together["results"].values() for note in result.notes]
    assert ("renames-tests" in together["names"]) == any("my-" in note for note in told)
    assert all(map(str.isprintable, told))


def test_what_is_kept_of_a_submission_has_a_size(together):
    kept = [*together["course"].glob("autograded/*/*/*.ipynb"),
            *together["course"].glob(".examined/*.json")]  # fmt: skip
    assert len(kept) > 80 / SHARDS
    assert max(path.stat().st_size for path in kept) < 20 * 2**20


def test_nobody_is_called(together):
    assert together["listener"].calls == 0


def test_nothing_outside_was_written(together):
    course = together["course"]
    assert [path.name for path in together["outside"].iterdir()] == ["secret.txt"]
    assert not Path("/tmp/owned").exists()
    assert {path: path.read_bytes() for path in together["before"]} == together["before"]
    assert shutil.disk_usage(course).free > 2**30


def test_nothing_goes_on_running(together):
    def left() -> list[list[str]]:
        others = of_other_tests(together["started"])
        # Sandboxes that another process grades in meanwhile end by themselves.
        return [
            process.info["cmdline"]
            for process in psutil.process_iter(["create_time", "cmdline", "pid"])
            if together["started"] <= process.info["create_time"] <= together["ended"]
            and sys.executable in (process.info["cmdline"] or ())
            and process.info["pid"] not in others
        ]

    wait_for(lambda: not left(), seconds=3 * TOTAL_SECONDS)


def of_other_tests(since: float) -> set[int]:
    """Return the processes of the tests that ran beside this one already at that time."""
    mine = psutil.Process()
    beside = [p for p in mine.parent().children() if p != mine and p.create_time() < since]
    return {p.pid for other in beside for p in (other, *other.children(recursive=True))}


def test_every_submission_is_in_the_gradebook(together):
    assert set(together["results"]) == together["names"] | set(HONEST)


def test_every_attack_is_handed_in_to_one_of_the_courses():
    assert {shard(attack) for attack in [*attacks(), LINKS_OUT]} == set(range(SHARDS))
    assert len(PROGRAMS) + len(FILES) > 30


@each_with_its_course([attack for attack in attacks() if attack.name in CHANGED_TESTS])
def test_all_cells_of_the_assignment_are_there_again(together, attack):
    cells = read_graded(together["course"], attack.name, NAME).cells
    assert sorted(grade_id(c) for c in cells if grade_id(c) in FULL) == sorted(FULL)
    assert all(c.cell_type == "code" for c in cells if grade_id(c) in FULL)


def test_busy_processes_beside_it_cost_an_honest_notebook_nothing(tmp_path, cifar10):
    """It computes for 2 of its 5 seconds, and has hardly any share of the cores meanwhile."""
    course = make_course(tmp_path / "course")
    add_assignment(course, "busy", value_cells("value", 7, points=2), "c.Examine.timeout = 5\n")
    computes = "import time\nwhile time.process_time() < start + 2: pass\nvalue = 7"
    answer = {"value": "import time\nstart = time.process_time()\n" + computes}
    hand_in(course, "honest", "busy", solved(course, "busy", answer), files=False)
    hostile = read_released(course, "busy")
    prepend(hostile, BUSY)
    hand_in(course, "hostile", "busy", hostile, files=False)
    grade_class = [sys.executable, "-m", "course_utils.cli", "grade", "busy", "--jobs", "2"]
    done = subprocess.run(grade_class, cwd=course, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert points(course, "honest", "busy") == {"value-test": 2}
    assert points(course, "hostile", "busy") == {"value-test": 0}
