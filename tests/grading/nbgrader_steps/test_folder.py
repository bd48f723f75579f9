"""The folder of a submission, before nbgrader lists it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from nested_folders import nest

from course_utils.grading.nbgrader_steps.folder import admit, survey
from course_utils.grading.sandbox import limits

NOTEBOOK, NETWORK, RECORD = "a1.ipynb", "a1-q1.keras", "a1-q1.json"
ANSWER = {NOTEBOOK, NETWORK, RECORD}


@pytest.fixture
def folder(tmp_path):
    """A submission in a course, with a notebook, a network and its record."""
    place = tmp_path / "submitted" / "ada" / "a1"
    place.mkdir(parents=True)
    for name in ANSWER:
        (place / name).write_text(name)
    return place


def left(folder: Path) -> set[str]:
    """Return the files that are still there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def aside(folder: Path) -> list[Path]:
    return list((folder.parents[2] / "set-aside" / "ada" / "a1").iterdir())


def test_an_ordinary_folder_stays_as_it_is(folder):
    (folder / "figures").mkdir()
    (folder / "figures" / "loss.png").write_bytes(b"\0")
    (folder / "timestamp.txt").write_text("2026-01-01 10:00:00 UTC")
    before = left(folder)
    assert admit(folder) == []
    assert left(folder) == before
    assert not (folder.parents[2] / "set-aside").exists()


def many_files(folder):
    for number in range(3_000):
        (folder / f"0-{number}.txt").touch()


def many_folders(folder):
    for number in range(3_000):
        (folder / f"0-{number}").mkdir()


def many_links_in_a_folder_of_many(folder):
    (folder / "0").mkdir()
    for number in range(1_000):
        (folder / "0" / f"{number}.txt").touch()
        (folder / "0" / f"link-{number}").symlink_to("/etc/passwd")


def many_networks_deeper(folder):
    for number in range(500):
        (folder / f"0-{number}").mkdir()
        (folder / f"0-{number}" / "a1-q1.keras").touch()


def long_names(folder):
    nest(folder, [f"{number}" + "x" * 240 for number in range(40)])


def long_names_of_characters(folder):
    place = folder
    for _ in range(4):
        place /= "ü" * 120
        place.mkdir()
    (place / "file").touch()


def deep(folder):
    nest(folder, ["d"] * 60)


def pipes_and_links(folder):
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/")
    (folder / "dangling.keras").symlink_to("nowhere")


def no_utf_8(folder):
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.keras")).touch()


def huge_file(folder):
    with (folder / "huge").open("wb") as file:
        file.truncate(2**40)


def files_of_ours(folder):
    (folder / ".predicted" / "digest.npy").mkdir(parents=True)
    (folder / "a1.html").write_text("mine")
    (folder / "a1.unfinished").write_text("mine")


def folders_named_as_files(folder):
    for name in ("b.keras", "b.json", "b.ipynb", "a1.html", "timestamp.txt", "x/y.keras"):
        (folder / name).mkdir(parents=True)
        (folder / name / "inside").touch()


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        (many_files, "At most 200 files and folders are graded"),
        (many_folders, "At most 200 files and folders are graded"),
        (many_links_in_a_folder_of_many, "Links"),
        (many_networks_deeper, "At most 200 files and folders are graded"),
        (long_names, "Paths of more than 500 bytes"),
        (long_names_of_characters, "Paths of more than 500 bytes"),
        (deep, "Folders in more than 20"),
        (pipes_and_links, "Links, pipes and devices are not graded: dangling.keras, link, pipe."),
        (no_utf_8, "Names that are not UTF-8"),
        (huge_file, "Too large to be graded, because only 200 MB are read in total: huge."),
        (files_of_ours, "These names are reserved"),
        (folders_named_as_files, "These names are reserved"),
    ],
)
def test_what_would_hurt_is_set_aside_and_the_answer_stays(folder, attack, sentence):
    attack(folder)
    start = time.process_time()
    told = admit(folder)
    assert time.process_time() - start < 5
    assert sentence in " ".join(told)
    assert left(folder) >= ANSWER
    everything = list(folder.rglob("*"))
    assert not any(path.is_symlink() or path.is_fifo() for path in everything)
    assert len([path for path in everything if path.is_file()]) <= limits.MAX_FILES
    assert max(len(os.fsencode(path.relative_to(folder))) for path in everything) <= 500
    assert not any(path.is_dir() and path.suffix for path in everything)
    assert len(" ".join(told)) < 5_000
    # Afterwards nothing is left to do, and the same is said.
    before = left(folder)
    assert admit(folder) == told
    assert left(folder) == before
    assert len(aside(folder)) == 1


def test_files_of_the_assignment_have_their_place(folder):
    (folder / "helper.py" / "deep").mkdir(parents=True)
    (folder / "data").write_text("in the way of the assignment's folder")
    told = admit(folder, [Path("helper.py"), Path("data/x.csv"), Path("other.py")])
    assert told == [
        "These names are reserved for files of the grader or of the assignment: data, helper.py."
    ]
    assert left(folder) == ANSWER


def test_what_is_said_ends_with_the_next_submission(folder):
    (folder / "link").symlink_to("/")
    assert admit(folder)
    (folder / NOTEBOOK).write_text("another one")
    assert admit(folder) == []


@pytest.mark.parametrize("content", ["", "yesterday", "9" * 90, "2026-01-01" * 1000, "\0", "ü"])
def test_a_time_that_nbgrader_cannot_read_is_set_aside(folder, content):
    (folder / "timestamp.txt").write_text(content)
    assert "timestamp.txt" in " ".join(admit(folder))
    assert left(folder) == ANSWER


def test_unreadable_files_become_readable(folder):
    (folder / "figures").mkdir()
    (folder / "figures" / "x").touch(mode=0o000)
    (folder / NETWORK).chmod(0o000)
    (folder / "figures").chmod(0o000)
    assert admit(folder) == []
    assert (folder / NETWORK).stat().st_mode & 0o600 == 0o600
    assert (folder / "figures" / "x").stat().st_mode & 0o600 == 0o600


def test_what_is_set_aside_a_second_time_has_room(folder):
    (folder / "x").mkdir()
    (folder / "x" / "link").symlink_to("/etc")
    (folder / "x").chmod(0o555)
    admit(folder)
    assert not (folder / "x" / "link").is_symlink()
    (folder / "x").rmdir()
    os.mkfifo(folder / "x")
    admit(folder)
    assert left(folder) == ANSWER
    assert not (folder / "x").exists()
    assert len(aside(folder)) == 2


def test_twenty_thousand_files_take_seconds(folder):
    place = os.open(folder, os.O_RDONLY)
    for number in range(20_000):
        os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=place))
    os.close(place)
    start = time.process_time()
    (told,) = admit(folder)
    assert time.process_time() - start < 10
    assert "more" in told
    assert left(folder) >= ANSWER


def test_a_survey_changes_nothing(folder):
    pipes_and_links(folder)
    many_files(folder)
    before = sorted(folder.rglob("*"))
    found = survey(folder)
    assert sorted(folder.rglob("*")) == before
    assert set(map(str, found.files)) >= ANSWER
    assert len(found.files) == limits.MAX_FILES


def test_a_link_in_the_place_of_the_folder_is_set_aside(tmp_path):
    elsewhere = tmp_path / "course" / "submitted" / "honest" / "a1"
    elsewhere.mkdir(parents=True)
    (elsewhere / "a1.ipynb").write_text("{}")
    for student, place in (("one", "one/a1"), ("two", "two")):
        folder = tmp_path / "course" / "submitted" / student / "a1"
        link = tmp_path / "course" / "submitted" / place
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(elsewhere if place.endswith("a1") else elsewhere.parent)
        for _ in range(2):
            (told,) = admit(folder)
            assert told.startswith("Links, pipes and devices are not graded")
            assert list(folder.iterdir()) == []
    assert (elsewhere / "a1.ipynb").exists()


def test_what_questions_ask_for_stays_beside_a_data_set_and_many_records(tmp_path):
    folder = tmp_path / "submitted" / "ann" / "a1"
    (folder / "cifar-10").mkdir(parents=True)
    for number in range(6):
        with (folder / "cifar-10" / f"batch-{number}").open("wb") as file:
            file.truncate(31 * 2**20)
    for number in range(250):
        (folder / f"Run{number:03}.json").write_text("{}")
    with (folder / "a1-q2.keras").open("wb") as file:
        file.truncate(45 * 2**20)
    for name in ("a1.ipynb", "a1-q2.json"):
        (folder / name).write_text("{}")
    kept = set(map(str, survey(folder).files))
    assert {"a1.ipynb", "a1-q2.keras", "a1-q2.json"} <= kept
