"""The time of a submission is the one that nbgrader's collector found, and links lead nowhere."""

from __future__ import annotations

import os
import pwd
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbgrader.coursedir import CourseDirectory
from nbgrading import add_assignment, copy_of, hand_in, make_course, solved, value_cells

from course_utils.grading.assignment.course import nbgrader
from course_utils.grading.class_grading import grade_class
from course_utils.grading.gradebook import open_gradebook, results
from course_utils.grading.nbgrader_steps import collect as collect_step
from course_utils.grading.nbgrader_steps.folder import survey

pytestmark = pytest.mark.sandbox

NAME, COURSE = "small", "image-classification"
EARLY = "2001-01-01 00:00:00 UTC"
# A day and a half after the assignment was due: a fifth of the points.
LATE = 1.5
ZIP = r"""
c.FileNameCollectorPlugin.named_regexp = (
    r".*/(?P<student_id>\w+)_attempt_(?P<timestamp>[0-9\-]+)_files/(?P<file_id>.*)"
)
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A course whose assignment was due a day and a half ago."""
    course = make_course(tmp_path_factory.mktemp("collect") / "course")
    add_assignment(course, NAME, value_cells("first", 1, points=10), ZIP)
    due = datetime.now(UTC) - timedelta(days=LATE)
    nbgrader(course, "db", "assignment", "add", NAME, f"--duedate={due:%Y-%m-%d %H:%M:%S} UTC")
    return course


course = copy_of("released")


@pytest.fixture(scope="module")
def submitted_once(released, tmp_path_factory):
    """An exchange folder in which the assignment is released, and eve has submitted."""
    home = tmp_path_factory.mktemp("submitted")
    place, folder = home / "exchange", home / "eve" / NAME
    place.mkdir()
    place.chmod(0o777)
    nbgrader(released, "release_assignment", NAME, *options(place))
    folder.mkdir(parents=True)
    nbformat.write(solved(released, NAME), folder / f"{NAME}.ipynb")
    (folder / "timestamp.txt").write_text(EARLY)
    nbgrader(home / "eve", "submit", NAME, "--student=eve", *options(place))
    return place


@pytest.fixture
def exchange(submitted_once, tmp_path):
    return shutil.copytree(submitted_once, tmp_path / "exchange")


def options(exchange: Path) -> tuple[str, str]:
    return f"--Exchange.root={exchange}", f"--course={COURSE}"


def inbound(exchange: Path) -> Path:
    """Return the folder that eve has submitted; until it is collected, it still is hers."""
    (folder,) = (exchange / COURSE / "inbound").iterdir()
    return folder


def collect(course: Path, exchange: Path) -> Path:
    nbgrader(course, "collect", NAME, "--ExchangeCollect.check_owner=False", *options(exchange))
    return course / "submitted"


def penalty(course: Path) -> float:
    grade_class(course, NAME)
    (result,) = results(course, NAME)
    return result.late_penalty


def test_a_time_of_the_students_own_is_not_believed(course, exchange):
    """Whatever is in the place of the file, the collector writes the time."""
    eve = inbound(exchange)
    written = (eve / "timestamp.txt").read_text()
    in_its_place = {
        "eve": lambda place: place.write_text(EARLY),
        "folder": lambda place: (place / "x").mkdir(parents=True),
        "link": lambda place: place.symlink_to("/dev/zero"),
        "pipe": os.mkfifo,
        "none": lambda place: None,
    }
    for student, put in in_its_place.items():
        folder = eve.with_name(eve.name.replace("eve", student, 1))
        if student != "eve":
            shutil.copytree(eve, folder)
        (folder / "timestamp.txt").unlink()
        put(folder / "timestamp.txt")
    submitted = collect(course, exchange)
    for student in in_its_place:
        assert (submitted / student / NAME / "timestamp.txt").read_text() == written
    for student in in_its_place.keys() - {"eve"}:
        shutil.rmtree(submitted / student)
    assert penalty(course) == 2


def test_a_time_beside_a_notebook_in_a_folder_is_not_believed(course):
    """What lies beside such a notebook is graded as if it lay in the folder above."""
    folder = hand_in(course, "eve", NAME, solved(course, NAME))
    (folder / "timestamp.txt").write_text(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    (folder / "mine").mkdir()
    (folder / f"{NAME}.ipynb").rename(folder / "mine" / f"{NAME}.ipynb")
    (folder / "mine" / "timestamp.txt").write_text(EARLY)
    assert penalty(course) == 2


def test_collecting_follows_no_link_and_ends_at_no_file(course, exchange):
    folder = inbound(exchange)
    source = course / "source" / NAME / f"{NAME}.ipynb"
    (folder / "link.ipynb").symlink_to(source)
    (folder / "source").symlink_to(source.parent)
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    for number in range(1_000):
        (folder / f"0-{number}").touch()
    with (folder / "huge").open("wb") as file:
        file.truncate(2**40)
    collected = collect(course, exchange) / "eve" / NAME
    names = {path.name for path in collected.iterdir()}
    assert {f"{NAME}.ipynb", "timestamp.txt", "submission_secret.txt"} <= names
    assert not names & {"link.ipynb", "source", "dangling", "pipe", "huge"}
    assert len(names) <= 201
    assert not any(path.is_symlink() for path in collected.rglob("*"))


def received_from(student: str, place: Path, time: str, text: str) -> Path:
    """Put a folder with one file into the exchange, in the name of a student."""
    folder = place / f"{student}+{NAME}+{time} UTC+x"
    folder.mkdir()
    (folder / f"{NAME}.ipynb").write_text(text)
    return folder


def test_only_the_owner_hands_in_in_a_students_name(course, exchange):
    """A folder of somebody else's is newer than the student's own, and nbgrader would take it."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    place = exchange / COURSE / "inbound"
    shutil.rmtree(inbound(exchange))
    received_from(me, place, "2026-01-01 10:00:00", "mine")
    received_from("victim", place, "2026-01-02 10:00:00", "of another user")
    if os.geteuid() == 0:
        foreign = received_from(me, place, "2026-01-03 10:00:00", "of another user")
        os.chown(foreign, pwd.getpwnam("nobody").pw_uid, -1)
    said = nbgrader(course, "collect", NAME, *options(exchange))
    assert "it belongs to" in said
    assert "c.ExchangeCollect.check_owner = False" in said
    (collected,) = course.glob(f"submitted/*/{NAME}/{NAME}.ipynb")
    assert collected.parts[-3] == me
    assert collected.read_text() == "mine"


@pytest.mark.parametrize("swapped", ["figures", ".", "figures/loss.png", "gone"])
def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path, monkeypatch, swapped):
    """The student waits until the files are listed, and then replaces some of them."""
    secret = tmp_path / "course" / "figures"
    secret.mkdir(parents=True)
    (secret / "loss.png").write_text("the lecturer's")
    folder = received_from("eve", tmp_path, "2026-01-01 10:00:00", "{}")
    (folder / "figures").mkdir()
    (folder / "figures" / "loss.png").write_text("mine")

    def surveyed(*arguments, **settings):
        found = survey(*arguments, **settings)
        if swapped == "gone":
            folder.rename(tmp_path / "elsewhere")
        else:
            (folder / swapped).resolve().rename(tmp_path / "before")
            (folder / swapped).symlink_to(secret.parent / Path(swapped))
        return found

    monkeypatch.setattr(collect_step, "survey", surveyed)
    step = collect_step.Collect(coursedir=CourseDirectory(root=str(tmp_path)))
    step._has_owners = False
    collected = tmp_path / "collected"
    step.do_copy(str(folder), str(collected))
    texts = [path.read_text() for path in collected.rglob("*") if path.is_file()]
    assert "the lecturer's" not in texts
    assert ("{}" in texts) == (swapped not in (".", "gone"))


@pytest.mark.parametrize("own", [None, "timestamp.txt", "timestamp.txt/x.txt"])
def test_zip_collect_writes_the_time_of_the_file_name(course, own):
    """nbgrader's own collector would leave a file in its place as it is."""
    archive = course / "downloaded" / NAME / "archive"
    archive.mkdir(parents=True)
    now = f"{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}"
    stamp = now[:10]
    with zipfile.ZipFile(archive / f"eve_attempt_{stamp}_files.zip", "w") as file:
        file.writestr(f"{NAME}.ipynb", nbformat.writes(solved(course, NAME)))
        if own:
            file.writestr(own, EARLY)
    nbgrader(course, "zip_collect", NAME)
    collected = course / "submitted" / "eve" / NAME
    assert (collected / "timestamp.txt").read_text().startswith(stamp)
    assert penalty(course) > 0


def test_zip_collect_takes_networks_and_records_too(course):
    archive = course / "downloaded" / NAME / "archive"
    archive.mkdir(parents=True)
    names = {f"{NAME}.ipynb", "a0-q3.keras", "a0-q3.json", "a0-q4.KERAS"}
    with zipfile.ZipFile(archive / "eve_attempt_2026-01-02-10-00-00_files.zip", "w") as file:
        for name in names:
            file.writestr(name, "{}")
    nbgrader(course, "zip_collect", NAME)
    collected = {path.name for path in (course / "submitted" / "eve" / NAME).iterdir()}
    assert collected == names | {"timestamp.txt"}


def test_without_a_collector_a_time_of_ones_own_earns_nothing(course):
    """Whoever hands in without a collector has no late penalty, with such a file or without."""
    folder = hand_in(course, "eve", NAME, solved(course, NAME))
    assert penalty(course) == 0
    (folder / "timestamp.txt").write_text(EARLY)
    assert penalty(course) == 0
    # The time of the first submission is not taken for that of the second one.
    late = datetime.now(UTC)
    (folder / "timestamp.txt").write_text(f"{late:%Y-%m-%d %H:%M:%S} UTC")
    assert penalty(course) == 2
    (folder / "timestamp.txt").unlink()
    assert penalty(course) == 0
    with open_gradebook(course) as gradebook:
        assert gradebook.find_submission(NAME, "eve").timestamp is None
