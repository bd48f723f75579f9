"""Decoded data is kept whole or not at all, and is made once."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from archives import (
    binary_files,
    cifar10_arrays,
    noise_images,
    nowhere,  # noqa: F401 (a fixture)
    python_files,
    write_folder,
    write_tar,
)

from course_utils.data import cache, ladder, load_cifar10
from course_utils.errors import CacheError, DataError
from course_utils.paths import CHECKOUT as ROOT
from course_utils.runtime import cache_dir


@pytest.fixture
def archive(nowhere):  # noqa: F811
    return write_tar(python_files(cifar10_arrays()), nowhere / "c.tar.gz")


@pytest.fixture
def reads(monkeypatch):
    """Count how often a source is decoded."""
    calls = []
    read = ladder.read
    monkeypatch.setattr(ladder, "read", lambda *a: calls.append(a) or read(*a))
    return calls


def array_file(name):
    (path,) = cache_dir().glob(f"datasets/cifar10-*/{name}.npy")
    return path


def leftovers():
    return [p for p in (cache_dir() / "datasets").iterdir() if p.suffix != ".lock"]


def test_decoded_once(archive, reads):
    one, two = load_cifar10(archive), load_cifar10(archive)
    assert len(reads) == 1
    assert one.source == two.source
    for name in cache.ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.source.fingerprint == two.source.fingerprint
    assert len(one.source.fingerprint) == 16


def test_images_are_mapped_from_the_file_and_read_only(archive):
    data = load_cifar10(archive)
    for images in (data.x_train, data.x_val, data.x_test):
        assert isinstance(images.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            images[0, 0, 0, 0] = 1
    assert data.y_train.base is None


def test_another_content_under_the_same_name_is_decoded_anew(archive, reads):
    one = load_cifar10(archive)
    arrays = cifar10_arrays()
    arrays.x_test[:] = 7
    write_tar(python_files(arrays), archive)
    two = load_cifar10(archive)
    assert len(reads) == 2
    assert two.x_test.min() == two.x_test.max() == 7
    assert one.source.fingerprint != two.source.fingerprint


@pytest.mark.parametrize("change", ["edited", "added"])
def test_a_change_in_an_image_folder_is_seen(change, nowhere, reads):  # noqa: F811
    folder = write_folder(noise_images(), nowhere / "d")
    load_cifar10(folder)
    some = next(folder.glob("train/cat/*.png"))
    if change == "edited":
        some.write_bytes(next(folder.glob("train/dog/*.png")).read_bytes())
        load_cifar10(folder)
        assert len(reads) == 2
    else:
        (some.parent / "9999.png").write_bytes(some.read_bytes())
        with pytest.raises(DataError, match="501 training images"):
            load_cifar10(folder)


@pytest.mark.parametrize("name", ["x_train", "y_test", "x_val"])
@pytest.mark.parametrize("damage", ["header", "inside", "cut", "gone"])
def test_a_damaged_cache_is_made_again(name, damage, archive, reads):
    load_cifar10(archive)
    path = array_file(name)
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[:-100])
    else:
        place = 3 if damage == "header" else len(data) - 50
        data[place] ^= 0xFF
        path.write_bytes(data)
    again = load_cifar10(archive)
    assert len(reads) == 2
    np.testing.assert_array_equal(again.x_test, cifar10_arrays().x_test)
    np.testing.assert_array_equal(again.y_test, cifar10_arrays().y_test)
    load_cifar10(archive)
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": {}}'])
def test_a_damaged_description_is_made_again(text, archive, reads):
    load_cifar10(archive)
    array_file("x_train").with_name("meta.json").write_text(text)
    load_cifar10(archive)
    assert len(reads) == 2


def test_what_a_killed_process_left_is_cleared_away(archive):
    load_cifar10(archive)
    folder = array_file("x_train").parent
    folder.rename(folder.with_name(f".{folder.name}.part"))
    load_cifar10(archive)
    assert leftovers() == [folder]


@pytest.mark.parametrize("when", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_nothing(when, archive, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "write":
        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    elif when == "fsync":
        monkeypatch.setattr(cache.os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(CacheError, match=r"could not be stored in .*/datasets \(No space left on"):
        load_cifar10(archive)
    assert leftovers() == []
    monkeypatch.undo()


@pytest.mark.process
def test_a_really_full_disk(archive, monkeypatch, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        monkeypatch.setenv("COURSE_CACHE", str(disk))
        with pytest.raises(CacheError, match="No space left on device"):
            load_cifar10(archive)
        assert leftovers() == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_does_not_turn_real_data_into_the_stand_in(archive, monkeypatch):
    found = Path.cwd() / "data" / "cifar10.tar.gz"
    found.parent.mkdir()
    archive.rename(found)
    write = cache._write

    def room_for_little(folder, *arguments):
        if folder.name.startswith("cifar10"):
            raise CacheError("full")
        write(folder, *arguments)

    monkeypatch.setattr(cache, "_write", room_for_little)
    with pytest.raises(CacheError, match="full"):
        load_cifar10()
    assert load_cifar10("stand-in").source.is_stand_in, "there is room for the stand-in"


def test_a_cache_folder_that_cannot_be_written(archive):
    cache_dir().write_text("a file where the cache folder should be")
    with pytest.raises(CacheError, match="set COURSE_CACHE to another folder"):
        load_cifar10(archive)


def test_nothing_is_left_of_a_source_that_fails(archive):
    archive.write_bytes(archive.read_bytes()[:-5_000])
    with pytest.raises(DataError):
        load_cifar10(archive)
    assert leftovers() == []


PROGRAM = """
import sys, time
from dataclasses import replace
from pathlib import Path
from course_utils.data import ladder, load_cifar10
from course_utils.data.catalogue import SPECS
SPECS["cifar10"] = replace(SPECS["cifar10"], train=500, test=100, validation=50, md5={})
read = ladder.read
def slow(*arguments):
    print("decoding", flush=True)
    time.sleep(1)
    return read(*arguments)
ladder.read = slow
while time.time() < float(sys.argv[2]):
    time.sleep(0.01)
print(load_cifar10(sys.argv[1]).source.fingerprint)
"""


@pytest.mark.process
def test_processes_that_start_at_once_decode_once(archive):
    command = [sys.executable, "-c", PROGRAM, str(archive), str(time.time() + 2)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(4)
    ]
    lines = [process.communicate(timeout=60)[0].split() for process in started]
    assert sum(line.count("decoding") for line in lines) == 1
    assert len({line[-1] for line in lines}) == 1
    assert [process.returncode for process in started] == [0] * 4


def test_official_binary_and_python_copies_are_kept_apart(archive, nowhere):  # noqa: F811
    binary = write_tar(binary_files(cifar10_arrays()), nowhere / "b.tar.gz")
    assert load_cifar10(archive).source.kind == "python"
    assert load_cifar10(binary).source.kind == "binary"
    assert load_cifar10(archive).source.kind == "python"
