"""The data ladder: what is found first is used, and what the user names is never passed over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from archives import (
    binary_files,
    cifar10_arrays,
    idx_files,
    mnist_arrays,
    noise_images,
    nowhere,  # noqa: F401 (a fixture)
    python_files,
    write_folder,
    write_npz,
    write_tar,
)

from course_utils.data import find_sources, load_cifar10, load_mnist
from course_utils.errors import DataError
from course_utils.paths import CHECKOUT
from course_utils.runtime import cache_dir

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Five copies of CIFAR-10, one on each rung, by the rung's name."""
    files = python_files(cifar10_arrays())
    name = "cifar-10-python.tar.gz"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "environment"))
    return {
        "$COURSE_DATA": write_tar(files, tmp_path / "environment" / name),
        "./data": write_tar(files, tmp_path / "checkout" / "data" / name),
        "../shared/data": write_tar(files, tmp_path / "shared" / "data" / "cifar10" / name),
        "user's cache": write_tar(files, cache_dir() / "downloads" / name),
        "Keras' cache": write_tar(
            files, tmp_path / "home" / ".keras" / "datasets" / "cifar-10-batches-py.tar.gz"
        ),
    }


def test_rungs_in_their_order(shelf, monkeypatch):
    for rung, path in shelf.items():
        listed = next(r for r in find_sources() if r.found)
        assert (listed.rung, listed.location) == (rung, str(path)), "find_sources"
        assert load_cifar10().source.location == str(path), "load_cifar10"
        path.unlink()
        if rung == "$COURSE_DATA":
            monkeypatch.delenv("COURSE_DATA")
    assert load_cifar10("stand-in").source.is_stand_in
    assert load_cifar10().source.is_stand_in


def test_a_path_given_comes_before_all(shelf, tmp_path):
    given = write_tar(binary_files(cifar10_arrays()), tmp_path / "mine.tar.gz")
    assert load_cifar10(given).source.location == str(given)
    assert [r.rung for r in find_sources(path=str(given))] == ["path given"]


def test_the_checkout_is_searched_from_another_folder_too(shelf, tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_DATA")
    other = tmp_path / "elsewhere" / "deep"
    other.mkdir(parents=True)
    monkeypatch.chdir(other)
    assert load_cifar10().source.location == str(shelf["./data"])


def test_data_beside_a_notebook_comes_before_the_checkouts(shelf, tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_DATA")
    book = tmp_path / "checkout" / "book"
    near = write_folder(noise_images(), book / "data" / "cifar10")
    monkeypatch.chdir(book)
    assert load_cifar10().source.location == str(near)


# --- What the user names ----------------------------------------------------------------------


def test_a_folder_that_does_not_exist_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "typo"))
    for load in (load_cifar10, load_mnist):
        with pytest.raises(DataError, match=r"typo \(\$COURSE_DATA\) does not exist; correct"):
            load()
    assert "does not exist" in find_sources()[0].detail


def test_an_empty_folder_in_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"\(\$COURSE_DATA\) holds no CIFAR-10"):
        load_cifar10()


def test_a_damaged_file_in_the_environment(shelf):
    shelf["$COURSE_DATA"].write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is damaged"):
        load_cifar10()


def test_the_environment_may_hold_the_other_data_set_only(monkeypatch, tmp_path):
    write_folder(idx_files(mnist_arrays()), tmp_path / "mine" / "mnist")
    here = write_tar(python_files(cifar10_arrays()), Path.cwd() / "data" / "cifar10.tar.gz")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    assert load_cifar10().source.location == str(here)
    assert load_mnist().source.location == str(tmp_path / "mine" / "mnist")
    monkeypatch.setenv("COURSE_DATA", str(here))
    assert load_cifar10().source.location == str(here)
    assert load_mnist().source.is_stand_in


def test_the_environment_may_ask_for_the_stand_in(shelf, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    assert load_cifar10().source.is_stand_in
    assert [r.rung for r in find_sources()] == ["stand-in"]
    assert load_cifar10(shelf["./data"]).source.location == str(shelf["./data"])


def test_home_is_understood(tmp_path):
    write_tar(python_files(cifar10_arrays()), tmp_path / "home" / "c.tar.gz")
    assert load_cifar10("~/c.tar.gz").source.location == str(tmp_path / "home" / "c.tar.gz")


# --- What is only found -----------------------------------------------------------------------


def test_a_damaged_copy_that_was_only_found_is_passed_over_aloud(shelf, monkeypatch, capsys):
    monkeypatch.delenv("COURSE_DATA")
    shelf["./data"].write_bytes(shelf["./data"].read_bytes()[:10_000])
    assert load_cifar10().source.location == str(shelf["../shared/data"])
    out, err = capsys.readouterr()
    assert out.startswith(f"Skipped: {shelf['./data']} is damaged")
    assert out.count("\n") == 1
    assert not err


def test_beside_a_copy_that_cannot_be_read_the_other_one_is_used(tmp_path, capsys):
    """As where another data set has files of the same names, such as Fashion-MNIST."""
    data, files = tmp_path / "checkout" / "data", python_files(cifar10_arrays())
    damaged = write_tar(files, data / "a" / "cifar-10-python.tar.gz")
    damaged.write_bytes(damaged.read_bytes()[:10_000])
    good = write_tar(files, data / "b" / "cifar-10-python.tar.gz")
    assert load_cifar10().source.location == str(good)
    assert capsys.readouterr().out.startswith(f"Skipped: {damaged} is damaged")
    good.unlink()
    with pytest.raises(DataError, match="is damaged"):
        load_cifar10(data)


def test_the_official_archive_is_taken_before_other_copies(tmp_path):
    data = tmp_path / "checkout" / "data"
    write_folder(noise_images(), data / "a-cifar10-folder")
    write_tar(binary_files(cifar10_arrays()), data / "cifar-10-binary.tar.gz")
    write_tar(python_files(cifar10_arrays()), data / "cifar-100-python.tar.gz")
    best = write_tar(python_files(cifar10_arrays()), data / "z" / "cifar-10-python.tar.gz")
    assert load_cifar10().source.location == str(best)


@pytest.mark.parametrize("other", ["cifar-100-python.tar.gz", "weights/w.h5", "train/cat/1.png"])
def test_what_is_no_cifar10(other, tmp_path):
    write_folder({other: b"something else"}, tmp_path / "checkout" / "data")
    assert load_cifar10().source.is_stand_in


KERAS = {
    "Keras 2's archive": lambda f, d: write_tar(f, d / "cifar-10-batches-py.tar.gz"),
    "Keras 2's folder": lambda f, d: write_folder(f, d) / "cifar-10-batches-py",
    "Keras 3's archive": lambda f, d: write_tar(
        f, d / "cifar-10-batches-py-target_archive.gz"
    ).rename(d / "cifar-10-batches-py-target_archive"),
    "Keras 3's folder": lambda f, d: (
        write_folder(f, d / "cifar-10-batches-py-target") / "cifar-10-batches-py"
    ),
}


@pytest.mark.parametrize("own_home", [False, True])
@pytest.mark.parametrize("kind", KERAS)
def test_keras_cache(kind, own_home, tmp_path, monkeypatch):
    keras = tmp_path / ("keras" if own_home else "home/.keras")
    if own_home:
        monkeypatch.setenv("KERAS_HOME", str(keras))
    path = KERAS[kind](python_files(cifar10_arrays()), keras / "datasets")
    source = load_cifar10().source
    assert (source.location, source.name) == (str(path), "CIFAR-10 (Keras cache)")


def test_mnist_in_keras_cache(tmp_path):
    path = write_npz(mnist_arrays(), tmp_path / "home" / ".keras" / "datasets" / "mnist.npz")
    source = load_mnist().source
    assert (source.location, source.name) == (str(path), "MNIST (Keras cache)")


# --- The stand-in -----------------------------------------------------------------------------


def test_the_stand_in_is_announced_once_for_each_data_set_on_stdout(capfd):
    for _ in range(2):
        assert load_cifar10().source.name == "stand-in for CIFAR-10 (drawn, not photographs)"
    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    assert out.startswith("Using the stand-in for CIFAR-10 (drawn, not photographs): no CIFAR-10")
    assert not err
    load_mnist("stand-in")
    out, err = capfd.readouterr()
    assert out.startswith("Using the stand-in for MNIST (drawn, not photographs): as asked.")
    assert not err


def test_every_rung_is_listed():
    assert [rung.rung for rung in find_sources()] == [
        "./data",
        "../shared/data",
        "user's cache",
        "Keras' cache",
        "download",
        "stand-in",
    ]
    assert [rung.found for rung in find_sources()] == [False] * 5 + [True]
    assert find_sources()[4].detail == "switched off by COURSE_OFFLINE"


@pytest.mark.process
def test_a_new_process_says_nothing_on_stderr(nowhere):  # noqa: F811
    program = "from course_utils.data import load_cifar10; print(load_cifar10().source)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "COURSE_DATA": "stand-in"},
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
