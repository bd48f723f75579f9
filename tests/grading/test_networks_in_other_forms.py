"""Files that are handed in as a network and are something else: the sentence says what they are."""

from __future__ import annotations

import json
import shutil
import zipfile

import keras
import pytest
from nbgrading import ASSIGNMENTS, add_assignment, hand_in, make_course, new_cell, points

from course_utils.grading.class_grading import GRADED, grade_class
from course_utils.grading.gradebook import read_graded
from course_utils.submission.network_file import ENTRIES

pytestmark = pytest.mark.sandbox

NAME, NETWORK, TEST = "small", "a0-q3.keras", "network-test"
SOURCE = """### BEGIN HIDDEN TESTS
from course_utils.grading import grade
from course_utils.submission import load_trained
grade.equal("classes", load_trained("a0-q3").network.output_shape[-1], 10)
### END HIDDEN TESTS"""


def written(content: bytes):
    return lambda folder: (folder / NETWORK).write_bytes(content)


def saved_as(name: str, save=keras.Model.save):
    """Return what saves the network under another name, which has another format."""

    def make(folder):
        network = keras.models.load_model(folder / NETWORK, compile=False)
        (folder / NETWORK).unlink()
        save(network, folder / name)

    return make


def then(*changes):
    return lambda folder: [change(folder) for change in changes]


def moved(old: str, new: str):
    return lambda folder: (folder / old).rename(folder / new)


def packed(inside: str = "", **others: bytes):
    """Return what packs the network's own files again, in a folder or with others."""

    def make(folder):
        path = folder / NETWORK
        with zipfile.ZipFile(path) as archive:
            content = {inside + name: archive.read(name) for name in sorted(ENTRIES)}
        with zipfile.ZipFile(path, "w") as archive:
            for name, each in (content | others).items():
                archive.writestr(name, each)

    return make


def of_newer_keras(folder):
    path = folder / NETWORK
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in ENTRIES}
    content["metadata.json"] = json.dumps({"keras_version": "9.1.0"}).encode()
    content["config.json"] = content["config.json"].replace(b'"Flatten"', b'"FlattenBetter"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in content.items():
            archive.writestr(name, each)


def archive_of(name: str):
    def make(folder):
        with zipfile.ZipFile(folder / NETWORK, "w") as archive:
            archive.writestr(name, b"")

    return make


def with_other_weights(folder):
    """The structure is that of a network with more numbers."""
    path = folder / NETWORK
    with zipfile.ZipFile(path) as archive:
        structure = archive.read("config.json").replace(b'"units": 10', b'"units": 11')
    packed(**{"config.json": structure})(folder)


def removed(name: str):
    return lambda folder: (folder / name).unlink()


def unpacked(folder):
    with zipfile.ZipFile(folder / NETWORK) as archive:
        archive.extractall(folder / "a0-q3")
    (folder / NETWORK).unlink()


def folder_instead(folder):
    (folder / NETWORK).unlink()
    (folder / "a0-q3").mkdir()
    (folder / "a0-q3" / "saved_model.pb").write_bytes(b"x")


# Files that are handed in, and the message to student and lecturer about each.
OTHERS = {
    "newer-keras": (of_newer_keras, f"saved with Keras 9.1.0, and Keras {keras.__version__} does"),
    "h5-renamed": (then(saved_as("a0-q3.h5"), moved("a0-q3.h5", NETWORK)),
                   "is in Keras' older format, so its name was a0-q3.h5: rename it back"),
    "h5": (saved_as("a0-q3.h5"), "a0-q3.keras is missing. a0-q3.h5 is there, but is in Keras'"),
    "weights": (saved_as("a0-q3.weights.h5", keras.Model.save_weights),
                "a0-q3.weights.h5 is there, but holds the weights without the network"),
    "weights-renamed": (
        then(saved_as("a0-q3.weights.h5", keras.Model.save_weights),
             moved("a0-q3.weights.h5", NETWORK)),
        "a0-q3.keras holds the weights without the network"),
    "saved-model": (folder_instead, "a0-q3 is there, but is a folder, perhaps a SavedModel"),
    "saved-model-packed": (archive_of("a/saved_model.pb"), "is the archive of a SavedModel"),
    "pytorch": (archive_of("a/data.pkl"), "is a file of PyTorch"),
    "empty": (written(b""), "a0-q3.keras is empty"),
    "lfs": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
            "is only a pointer of Git LFS: run `git lfs pull`"),
    "login": (written(b"\n<!DOCTYPE html><html><title>Sign in</title>"), "is a web page"),
    "folder-inside": (packed("a0-q3/"), "was unpacked, and packed again with a folder"),
    "cut": (lambda f: (f / NETWORK).write_bytes((f / NETWORK).read_bytes()[:2_000]),
            "its end is missing"),
    "text": (written(b"weights"), "is damaged, or no file of Keras"),
    "another-name": (moved(NETWORK, "model.keras"),
                     "The folder has model.keras: rename the network of this question to a0-q3"),
    "no-record": (removed("a0-q3.json"), "a0-q3.json is missing, but a0-q3.keras is there. The"),
    "no-network": (removed(NETWORK), "a0-q3.keras is missing, but a0-q3.json is there. The"),
    "unpacked": (unpacked, "a0-q3 is there, but is a folder with the files of a network"),
    "damaged-weights": (packed(**{"model.weights.h5": b"x"}), "is damaged (OSError): hand in the"),
    "other-weights": (with_other_weights, "If keras.models.load_model opens it where it was"),
}  # fmt: skip
# Unusual files that are loaded nevertheless.
LOADED = {
    "plain": lambda folder: None,
    "packed-by-a-mac": packed(**{"__MACOSX/._config.json": b"\0\5\x16\7"}),
}


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    course = make_course(tmp_path_factory.mktemp("forms") / "course")
    add_assignment(course, NAME, [new_cell(TEST, SOURCE, points=1)])
    for student, make in (LOADED | {name: make for name, (make, _) in OTHERS.items()}).items():
        folder = hand_in(course, student, NAME)
        for path in (ASSIGNMENTS / "solutions" / "a0-mnist").glob("a0-q3.*"):
            shutil.copy(path, folder)
        make(folder)
    assert {outcome.state for outcome in grade_class(course, NAME)} == {GRADED}
    return course


def said(course, student):
    (cell,) = (c for c in read_graded(course, student, NAME).cells if c.get("id") == TEST)
    return " ".join(f"{each.get('text', '')}{each.get('evalue', '')}" for each in cell.outputs)


@pytest.mark.parametrize("student", LOADED)
def test_a_network_that_is_only_packed_in_another_way_is_graded(course, student):
    assert points(course, student, NAME) == {TEST: 1.0}, said(course, student)


@pytest.mark.parametrize("student", OTHERS)
def test_what_is_no_network_is_named(course, student):
    assert points(course, student, NAME) == {TEST: 0.0}
    told = said(course, student)
    assert OTHERS[student][1] in told
    assert "Train again" not in told
    page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert OTHERS[student][1].partition("'")[0].partition("`")[0] in page
