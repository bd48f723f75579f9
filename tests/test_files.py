"""Files of the course's own are written whole, and with the rights that the user wants."""

import os
import stat

import pytest

from course_utils.files import write_atomically


@pytest.fixture(params=[0o022, 0o002, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path, umask):
    path = write_atomically(tmp_path / "report" / "class.html", "first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    write_atomically(path, "second")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert path.read_text() == "second"


def test_if_writing_fails_the_earlier_file_stays_and_nothing_is_left(tmp_path):
    path = write_atomically(tmp_path / "class.html", "first")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "second \ud800")
    assert [file.name for file in tmp_path.iterdir()] == ["class.html"]
    assert path.read_text() == "first"
