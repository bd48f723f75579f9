"""The folder of a submission, before nbgrader lists it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.utils import parse_utc
from nested_folders import nest
from reading_here import read_here

from course_utils.grading.nbgrader_steps import staging
from course_utils.grading.nbgrader_steps.folder import survey
from course_utils.grading.nbgrader_steps.staging import Expected, stage
from course_utils.grading.sandbox import limits

NOTEBOOK, NETWORK, RECORD = "a1.ipynb", "a1-q1.keras", "a1-q1.json"
ANSWER = {NOTEBOOK, NETWORK, RECORD}


@pytest.fixture
def folder(tmp_path):
    """A submission in a course, with a notebook, a network and its record."""
    place = tmp_path / "submitted" / "ada" / "a1"
    place.mkdir(parents=True)
    for name in ANSWER - {NOTEBOOK}:
        (place / name).write_text(name)
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), place / NOTEBOOK)
    return place


def admit(folder: Path, given: list[Path] | None = None) -> list[str]:
    """Copy a submission for grading; return what is said about it."""
    expected = Expected({"a1": []}, given or [], names=set())
    (notebook,) = stage(folder, copy_of(folder), expected, read_here).values()
    return list(notebook.losses)


def copy_of(folder: Path) -> Path:
    return folder.parents[2] / "copy" / "a1"


def left(folder: Path) -> set[str]:
    """Return the files that are still there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_ordinary_folder_is_copied_and_stays_as_it_is(folder):
    (folder / "figures").mkdir()
    (folder / "figures" / "loss.png").write_bytes(b"\0")
    (folder / "timestamp.txt").write_text("2026-01-01 10:00:00 UTC")
    before = left(folder)
    assert admit(folder) == []
    assert left(folder) == left(copy_of(folder)) == before


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
def test_what_would_hurt_is_left_out_and_the_answer_stays(folder, attack, sentence):
    attack(folder)
    before = sorted(os.fsencode(place) for place, *_ in os.walk(folder))
    start = time.process_time()
    told = admit(folder)
    assert time.process_time() - start < 5
    assert sentence in " ".join(told)
    assert left(copy_of(folder)) >= ANSWER
    everything = list(copy_of(folder).rglob("*"))
    assert not any(path.is_symlink() or path.is_fifo() for path in everything)
    assert len([path for path in everything if path.is_file()]) <= limits.MAX_FILES
    assert max(len(os.fsencode(path.relative_to(copy_of(folder)))) for path in everything) <= 500
    assert not any(path.is_dir() and path.suffix for path in everything)
    assert len(" ".join(told)) < 5_000
    # The submission stays as it is, so the same is said again.
    assert admit(folder) == told
    assert sorted(os.fsencode(place) for place, *_ in os.walk(folder)) == before


def test_files_of_the_assignment_have_their_place(folder):
    (folder / "helper.py" / "deep").mkdir(parents=True)
    (folder / "data").write_text("in the way of the assignment's folder")
    told = admit(folder, [Path("helper.py"), Path("data/x.csv"), Path("other.py")])
    assert told == [
        "These names are reserved for files of the grader or of the assignment: data, helper.py."
    ]
    assert left(copy_of(folder)) == ANSWER


def test_what_is_said_ends_with_the_next_submission(folder):
    (folder / "link").symlink_to("/")
    assert admit(folder)
    (folder / "link").unlink()
    assert admit(folder) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "yesterday",
        "9" * 90,
        "2026-01-01" * 1000,
        "\0",
        "ü",
        "2027-03-14 18:30 AKST",
        "2027-03-14 06:30 PM",
    ],
)
def test_a_time_that_nbgrader_cannot_read_is_left_out(folder, content):
    (folder / "timestamp.txt").write_text(content)
    assert "timestamp.txt should hold the time" in " ".join(admit(folder))
    assert left(copy_of(folder)) == ANSWER


@pytest.mark.parametrize(
    ("content", "time"),
    [
        ("2027-03-14 18:30:00 UTC", "2027-03-14 18:30:00.000000 UTC"),
        ("2027-03-14 18:30:00 +0200", "2027-03-14 16:30:00.000000 UTC"),
        ("2027-03-14 18:30:00 -07:00", "2027-03-15 01:30:00.000000 UTC"),
        ("2027-03-14T18:30:00+02:00", "2027-03-14 16:30:00.000000 UTC"),
        ("2027-03-14 18:30:00 Europe/Berlin", "2027-03-14 17:30:00.000000 UTC"),
        ("2027-03-14 18:30:00 CET", "2027-03-14 17:30:00.000000 UTC"),
        ("2027-03-14 18:30:00", "2027-03-14 18:30:00.000000 UTC"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_time_is_read_rightly(folder, content, time, encoding):
    (folder / "timestamp.txt").write_bytes(f"{content}\n".encode(encoding))
    assert admit(folder) == []
    copied = (copy_of(folder) / "timestamp.txt").read_text()
    assert copied == time
    assert f"{parse_utc(copied)}.000000 UTC" == time


def test_unreadable_files_are_read_by_whoever_may_and_named_otherwise(folder):
    (folder / NETWORK).chmod(0o000)
    may = os.access(folder / NETWORK, os.R_OK)
    told = " ".join(admit(folder))
    assert ("has to change their rights: a1-q1.keras" in told) is not may
    assert (NETWORK in left(copy_of(folder))) is may
    assert (folder / NETWORK).stat().st_mode & 0o777 == 0


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


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path):
    elsewhere = tmp_path / "course" / "submitted" / "honest" / "a1"
    elsewhere.mkdir(parents=True)
    (elsewhere / "a1.ipynb").write_text("{}")
    for student, place in (("one", "one/a1"), ("two", "two")):
        folder = tmp_path / "course" / "submitted" / student / "a1"
        link = tmp_path / "course" / "submitted" / place
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(elsewhere if place.endswith("a1") else elsewhere.parent)
        for _ in range(2):
            told = admit(folder)
            assert told[0].startswith("Links, pipes and devices are not graded")
            assert left(copy_of(folder)) == {NOTEBOOK}
            assert (copy_of(folder) / NOTEBOOK).read_text() == ""
    assert (elsewhere / "a1.ipynb").exists()


def file_to_link(folder, elsewhere):
    (folder / RECORD).unlink()
    (folder / RECORD).symlink_to(elsewhere / "secret")


def file_to_pipe(folder, elsewhere):
    (folder / RECORD).unlink()
    os.mkfifo(folder / RECORD)


def folder_to_link(folder, elsewhere):
    (folder / "data").rename(folder / "moved")
    (folder / "data").symlink_to(elsewhere)


def submission_to_link(folder, elsewhere):
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(elsewhere)


def student_to_link(folder, elsewhere):
    (elsewhere / folder.name).mkdir()
    for path in list(elsewhere.glob("*.*")):
        path.rename(elsewhere / folder.name / path.name)
    folder.parent.rename(folder.parents[2] / "moved")
    folder.parent.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("swap", "name"),
    [(file_to_link, RECORD), (file_to_pipe, RECORD), (folder_to_link, "data/secret")],
)
def test_what_is_swapped_while_it_is_read_leads_nowhere(folder, swap, name):
    elsewhere = folder.parents[2] / "elsewhere"
    for place in (elsewhere, folder / "data"):
        place.mkdir()
        (place / "secret").write_text("theirs" if place == elsewhere else "mine")

    def read_and_swap(*asked):
        received = read_here(*asked)
        swap(folder, elsewhere)
        return received

    expected = Expected({"a1": []}, [], names=set())
    (notebook,) = stage(folder, copy_of(folder), expected, read_and_swap).values()
    assert left(copy_of(folder)) >= ANSWER - {RECORD}
    for path in copy_of(folder).rglob("*"):
        assert not (path.is_file() and path.read_bytes() == b"theirs")
    if swap is not file_to_pipe:
        (told,) = notebook.losses
        assert told == f"Links, pipes and devices are not graded: {name}."


def test_a_file_that_grows_meanwhile_has_the_size_that_was_counted(folder, monkeypatch):
    def survey_and_grow(*asked, **named):
        found = survey(*asked, **named)
        for name in ANSWER:
            os.truncate(folder / name, 2**40)  # nobody could read that much
        return found

    before = {name: (folder / name).read_bytes() for name in ANSWER}
    monkeypatch.setattr(staging, "survey", survey_and_grow)
    admit(folder)
    assert {name: (copy_of(folder) / name).read_bytes() for name in ANSWER} == before


@pytest.mark.parametrize("swap", [file_to_link, submission_to_link, student_to_link])
def test_what_is_swapped_before_it_is_read_is_not_read(folder, monkeypatch, swap):
    elsewhere = folder.parents[2] / "elsewhere"
    elsewhere.mkdir()
    for name in ("secret", *ANSWER):
        (elsewhere / name).write_text("{}")

    def swapped(*asked, **named):
        found = survey(*asked, **named)
        swap(folder, elsewhere)
        return found

    monkeypatch.setattr(staging, "survey", swapped)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        admit(folder)
    assert left(copy_of(folder)) == set()


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
