"""Finding the work in a submission, whatever is in its archives."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import time
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook
from reading_here import answer_cells, read_here

from course_utils.grading.inside import handed_in
from course_utils.grading.inside.handed_in import File, HandedIn, find_files, find_notebook
from course_utils.grading.inside.submitted import read_notebook
from course_utils.grading.nbgrader_steps.folder import survey
from course_utils.grading.nbgrader_steps.staging import Expected, stage
from course_utils.grading.sandbox import limits

RELEASED = {"q1": "q1 = None", "q2": "q2 = None"}


def notebook(**answers: str) -> str:
    """Return a notebook with these answers, and the others as they were released."""
    cells = [
        new_code_cell(source, metadata={"nbgrader": {"grade_id": name}})
        for name, source in (RELEASED | answers).items()
    ]
    return json.dumps(new_notebook(cells=cells))


UNTOUCHED, ONE, TWO, OTHER = (
    notebook(), notebook(q1="q1 = 1"), notebook(q1="q1 = 1", q2="q2 = 2"), notebook(q1="q1 = 9")
)  # fmt: skip


def zipped(files: dict[str, str | bytes], **settings) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, **settings) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, str | bytes], compression: str = "") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def in_folder(folder: Path, files: dict[str, str | bytes]) -> HandedIn:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return HandedIn(
        File(path, path.name, about.st_size, about.st_mtime, (folder / path).read_bytes)
        for path, about in survey(folder).files.items()
    )


def expected_of(released: dict[str, dict[str, str]], names: Iterable[str] = ()) -> Expected:
    """Return what an assignment with these answers expects: notebook -> id -> text."""
    notebooks = {name: answer_cells(answers) for name, answers in released.items()}
    return Expected(notebooks, [], set(names))


def found(folder: Path, files: dict[str, str | bytes]) -> tuple[str | None, str]:
    """Return the path of the notebook that is graded, and what is said about it."""
    there = in_folder(folder, files)
    choice = find_notebook(there, "a1.ipynb", RELEASED, read_notebook)
    said = " ".join([*choice.sentences, *there.problems])
    return (str(choice.file.path) if choice.file else None), said


@pytest.mark.parametrize(
    ("files", "graded", "said"),
    [
        ({"a1.ipynb": TWO}, "a1.ipynb", None),
        ({"a1.ipynb": UNTOUCHED}, "a1.ipynb", None),
        ({"a1.ipynb": TWO, "a1 (1).ipynb": UNTOUCHED}, "a1.ipynb", None),
        ({"a1.ipynb": TWO, "a1 (1).ipynb": TWO}, "a1.ipynb", None),
        ({"a1.ipynb": ONE, "a1 (1).ipynb": OTHER}, "a1.ipynb", "these were not: a1 (1).ipynb"),
        ({"a1.ipynb": UNTOUCHED, "Copy of a1.ipynb": ONE}, "Copy of a1.ipynb", "has no answers"),
        ({"a1.ipynb": ONE, "a1-Copy1.ipynb": TWO}, "a1-Copy1.ipynb", "has fewer answers"),
        ({"a1.ipynb": "{", "a1 - Kopie.ipynb": ONE}, "a1 - Kopie.ipynb", "cannot be read"),
        ({"a1.ipynb": UNTOUCHED, "a1.zip": zipped({"a1.ipynb": ONE})}, "a1.zip/a1.ipynb", "no ans"),
        ({"a1.ipynb": ONE, "more.zip": zipped({"x.png": "x"})}, "a1.ipynb", None),
        ({"a1.ipynb": TWO, ".ipynb_checkpoints/a1-checkpoint.ipynb": ONE}, "a1.ipynb", None),
        ({"notes.pdf": "x"}, None, "The folder has only: notes.pdf."),
        ({"a1.py": "x"}, None, "a1.py is no notebook: hand in the one that it was made from."),
        ({".a1.ipynb.icloud": "x"}, None, ".a1.ipynb.icloud only says where a file is: download"),
        ({"a1.ipynb": ONE, "a1.ipynb~": TWO}, "a1.ipynb", None),
        ({"a1.ipynb": UNTOUCHED, "a1.ipynb.bak": ONE}, "a1.ipynb.bak", "a1.ipynb has no answers"),
        ({"a1.ipynb.crdownload": ONE}, "a1.ipynb.crdownload", "was handed in as a1.ipynb.crd"),
        ({"a1.rar": "x"}, None, "a1.rar was not opened: hand in a .zip instead."),
        ({"a1.7z": "x"}, None, "a1.7z was not opened: hand in a .zip instead."),
        ({"a1.tar": tarred({"x/a1.ipynb": ONE})}, "a1.tar/x/a1.ipynb", "handed in as"),
        ({"A.TGZ": tarred({"a1.ipynb": ONE}, "gz")}, "A.TGZ/a1.ipynb", "handed in as"),
        ({"a.tar.bz2": tarred({"a1.ipynb": ONE}, "bz2")}, "a.tar.bz2/a1.ipynb", "handed in"),
        ({"a.tar.xz": tarred({"a1.ipynb": ONE}, "xz")}, "a.tar.xz/a1.ipynb", "handed in"),
        ({"a.tar": tarred({"._a1.ipynb": "x", "a1.ipynb": ONE})}, "a.tar/a1.ipynb", "handed in"),
        ({}, None, "The folder is empty."),
        ({"._a1.ipynb": "x"}, None, "The folder is empty."),
    ],
)
def test_the_notebook_with_answers_is_graded_and_doubts_are_named(tmp_path, files, graded, said):
    path, sentences = found(tmp_path, files)
    assert path == graded
    assert said in sentences if said else sentences == ""


def test_what_is_damaged_in_an_archive_is_named(tmp_path):
    files = {"x/a1.ipynb": ONE, "x/a1-q1.keras": bytes(range(256)), "x/a1-q1.json": "{}"}
    content = bytearray(zipped(files))
    for name in ("x/a1.ipynb", "x/a1-q1.keras"):
        content[content.index(name.encode()) + len(name) + 4] ^= 0xFF
    folder = tmp_path / "submitted"
    folder.mkdir()
    (folder / "all.zip").write_bytes(content)
    expected = expected_of({"a1": RELEASED}, names=["a1-q1"])
    (notebook,) = stage(folder, tmp_path / "copy", expected, read_here).values()
    damaged = {each for each in notebook.losses if each.endswith("its archive is damaged.")}
    assert damaged == {
        f"all.zip/{name} cannot be read, because its archive is damaged."
        for name in ("x/a1.ipynb", "x/a1-q1.keras")
    }
    assert (tmp_path / "copy" / "a1-q1.json").read_text() == "{}"


@pytest.mark.parametrize("wanted", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_name_with_accents_is_the_same_on_every_system(tmp_path, wanted, written):
    """macOS writes an accent as a character of its own."""
    notebook_name = unicodedata.normalize(wanted, "Übung.ipynb")
    network, there = (unicodedata.normalize(form, "größe") for form in (wanted, written))
    files = {unicodedata.normalize(written, "Übung.ipynb"): ONE, f"old {there}.keras": b"x"}
    handed_in = in_folder(tmp_path, files)
    choice = find_notebook(handed_in, notebook_name, RELEASED, read_notebook)
    assert choice.file is not None
    assert (choice.file.read().decode(), choice.sentences) == (ONE, [])
    found, _ = find_files(handed_in, [network], [])
    assert list(found) == [Path(f"{network}.keras")]


def password(content: bytes) -> bytes:
    """Set the mark of encrypted content in both headers of the only member."""
    content = bytearray(content)
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


def claims_to_be_small(content: bytes) -> bytes:
    content = bytearray(content)
    content[content.index(b"PK\1\2") + 24 :][:4] = struct.pack("<I", 10)
    return bytes(content)


def link() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        about = zipfile.ZipInfo("a1.ipynb")
        about.external_attr = 0o120777 << 16
        archive.writestr(about, "/etc/passwd")
    return packed.getvalue()


def compressed_otherwise() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a1.ipynb", TWO)
    return packed.getvalue()


# The tests of large archives have a tenth of the room that a submission has.
ROOM = limits.MAX_FILES_BYTES // 10


@pytest.fixture
def little_room(monkeypatch):
    monkeypatch.setattr(handed_in, "MAX_FILES_BYTES", ROOM)


def bomb() -> bytes:
    return zipped({f"{number}.ipynb": b" " * (ROOM // 12) for number in range(20)})


# Large archives are packed in their tests, not when a process collects the tests.
Archive = bytes | Callable[[], bytes]


@pytest.mark.parametrize(
    "archive",
    [
        b"PK\3\4 damaged",
        b"",
        zipped({"a1.ipynb": TWO})[:-30],
        password(zipped({"a1.ipynb": TWO})),
        lambda: claims_to_be_small(zipped({"a1.ipynb": " " * 2**24})),
        link(),
        compressed_otherwise(),
        zipped({"../a1.ipynb": TWO}),
        zipped({"/a1.ipynb": TWO}),
        zipped({"a/" * 30 + "a1.ipynb": TWO}),
        zipped({"x" * 600 + "/a1.ipynb": TWO}),
        lambda: zipped({f"{number}.ipynb": TWO for number in range(limits.MAX_MEMBERS + 1)}),
        zipped({"a1.zip": zipped({"a1.ipynb": TWO})}),
        bomb,
    ],
    ids=["damaged", "empty", "cut", "password", "small", "link", "lzma", "above", "absolute",
         "deep", "long", "many", "nested", "bomb"],
)  # fmt: skip
def test_no_archive_takes_much_or_leads_elsewhere(tmp_path, little_room, archive):
    takes_little_and_leads_nowhere(tmp_path, "a1.zip", archive, 2 * ROOM)


def takes_little_and_leads_nowhere(tmp_path, name: str, archive: Archive, memory: int):
    """Make sure that searching an archive stays within its folder, 20 seconds and this memory."""
    archive = archive() if callable(archive) else archive
    tracemalloc.start()
    start = time.process_time()
    path, sentences = found(tmp_path, {name: archive})
    seconds, (_, most) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 20
    assert most < memory
    assert path is None or path.startswith(f"{name}/")
    assert "not" in sentences
    assert [each.name for each in tmp_path.iterdir()] == [name]


def of_tar(compression: str = "", content: bytes = b"", **about) -> bytes:
    """Return an archive of one member with these attributes."""
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode=f"w:{compression}", format=tarfile.PAX_FORMAT
    ) as archive:
        member = tarfile.TarInfo("a1.ipynb")
        member.size = len(content)
        for name, value in about.items():
            setattr(member, name, value)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        b"damaged",
        b"",
        b"\x1f\x8b damaged",
        tarred({"a1.ipynb": TWO}, "gz")[:-30],
        tarred({"a1.ipynb": TWO})[:600],
        of_tar(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        of_tar(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        of_tar(type=tarfile.FIFOTYPE),
        of_tar(type=tarfile.CHRTYPE),
        of_tar(pax_headers={"GNU.sparse.major": "1", "GNU.sparse.size": str(2**60)}),
        of_tar(pax_headers={"size": "-1024"}),
        tarred({"../a1.ipynb": TWO}),
        tarred({"/a1.ipynb": TWO}),
        tarred({"a/" * 30 + "a1.ipynb": TWO}),
        tarred({"x" * 600 + "/a1.ipynb": TWO}),
        lambda: tarred({f"{number}.ipynb": TWO for number in range(limits.MAX_MEMBERS + 1)}),
        lambda: of_tar("gz", b" " * (ROOM + ROOM // 4)),
        lambda: of_tar("xz", b" " * (ROOM + ROOM // 4)),
        lambda: of_tar("bz2", b" " * (ROOM + ROOM // 4)),
    ],
    ids=["damaged", "empty", "damaged-gz", "cut-gz", "cut", "link", "hard-link", "pipe", "device",
         "sparse", "negative", "above", "absolute", "deep", "long", "many", "bomb-gz", "bomb-xz",
         "bomb-bz2"],
)  # fmt: skip
def test_no_archive_of_tar_takes_much_or_leads_elsewhere(tmp_path, little_room, archive):
    takes_little_and_leads_nowhere(tmp_path, "a1.tar", archive, 3 * ROOM)


def header(kind: bytes, content: bytes) -> bytes:
    """Return a header of an archive of `tar` that describes what comes next."""
    about = tarfile.TarInfo("about")
    about.type, about.size = kind, len(content)
    return about.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def records(most: int) -> bytes:
    """Return lines of a header, each with a key of its own."""
    return b"".join(b"15 k%08d=x\n" % number for number in range(most // 15))


# A quarter of what headers may have.
HEADERS = limits.MAX_HEADER_BYTES // 4
HUGE, LARGE_HEADER = 8 * HEADERS, HEADERS * 3 // 4


def empty_members(number: int) -> bytes:
    return b"".join(tarfile.TarInfo(f"{name}").tobuf() for name in range(number))


@pytest.mark.parametrize(
    "archive",
    [
        lambda: header(tarfile.XHDTYPE, records(HUGE)),
        lambda: header(tarfile.GNUTYPE_LONGNAME, b"a/" * (HUGE // 2)),
        # Each member, or each further header, would have a copy of the first one.
        lambda: header(tarfile.XGLTYPE, records(LARGE_HEADER)) + empty_members(900),
        lambda: header(tarfile.XGLTYPE, records(LARGE_HEADER)) + header(tarfile.XHDTYPE, b"") * 200,
        lambda: of_tar(pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
                       content=b"%d\n" % (HUGE // 4) + b"0\n" * (HUGE // 2)),
    ],
    ids=["records", "name", "for-all-members", "for-all-headers", "sparse"],
)  # fmt: skip
def test_no_header_of_tar_takes_much(tmp_path, monkeypatch, archive):
    monkeypatch.setattr(handed_in, "MAX_HEADER_BYTES", HEADERS)
    own = of_tar(content=TWO.encode())
    files = {"a.tar": archive() + own, "b.tar": own}
    tracemalloc.start()
    start = time.process_time()
    path, _ = found(tmp_path, files)
    seconds, (_, most) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 20
    assert most < limits.MAX_FILES_BYTES / 8
    assert path in ("a.tar/a1.ipynb", "b.tar/a1.ipynb")


def test_a_name_in_another_encoding_is_no_obstacle(tmp_path):
    packed = io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as archive:
        for name in ("Übung/a1.ipynb", "Übung/für mich.csv"):
            member = tarfile.TarInfo(name)
            member.size = len(TWO)
            archive.addfile(member, io.BytesIO(TWO.encode()))
    in_folder(tmp_path / "submitted", {"a.tar": packed.getvalue()})
    expected = expected_of({"a1": RELEASED})
    (notebook,) = stage(tmp_path / "submitted", tmp_path / "copy", expected, read_here).values()
    assert len(notebook.cells) == len(RELEASED)
    assert (tmp_path / "copy" / "f\N{REPLACEMENT CHARACTER}r mich.csv").exists()


@pytest.mark.parametrize("place", ["a", "a.zip", "a.tar"])
def test_what_lay_beside_the_notebook_has_no_names_of_ours(tmp_path, place):
    ours = ("timestamp.txt", ".predicted/x.npy", "a1.html/x", "a1.unfinished/x", "helper.py/x")
    files = dict.fromkeys((*ours, "data/mine.csv"), "1999-12-31") | {"a1.ipynb": TWO}
    if place == "a":
        there = {f"a/{name}": content for name, content in files.items()}
    else:
        there = {place: (zipped if place == "a.zip" else tarred)(files)}
    time_of_collection = "2027-03-14 18:30:00.000000 UTC"
    in_folder(tmp_path / "submitted", there | {"timestamp.txt": time_of_collection})
    expected = Expected({"a1": answer_cells(RELEASED)}, [Path("helper.py")], set())
    copied = tmp_path / "copy"
    (notebook,) = stage(tmp_path / "submitted", copied, expected, read_here).values()
    assert (copied / "timestamp.txt").read_text() == time_of_collection
    assert (copied / "data" / "mine.csv").exists()
    assert not any((copied / name).exists() for name in ours[1:])
    assert "reserved for files of the grader" in " ".join(notebook.losses)


def test_what_lay_beside_the_notebook_is_no_crowd(tmp_path):
    others = {f"{number}.csv": "1" for number in range(limits.MAX_FILES + 100)}
    there = zipped(others | {"a1.ipynb": TWO, "q1.keras": "x"})
    in_folder(tmp_path / "submitted", {"a.zip": there})
    expected = expected_of({"a1": RELEASED}, {"q1"})
    copied = tmp_path / "copy"
    (notebook,) = stage(tmp_path / "submitted", copied, expected, read_here).values()
    assert (copied / "q1.keras").exists()
    assert len(list(copied.glob("*.csv"))) == limits.MAX_FILES - 1
    assert f"At most {limits.MAX_FILES} files and folders are graded" in " ".join(notebook.losses)


def in_tar_with_names_of_any_kind(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo("x")
            member.size, member.pax_headers = len(content), {"path": name}
            archive.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("there", "beside", "why"),
    [
        ({}, ["a" * 256], ""),
        ({}, ["a\0b"], ""),
        ({}, ["a", "a/b"], "No file is graded in the place of a folder"),
        ({"a": "1"}, ["a/b"], "No file is graded in the place of a folder"),
        ({"a/b": "1"}, ["a"], "No file is graded in the place of a folder"),
    ],
    ids=["long", "null", "both", "file", "folder"],
)
def test_what_can_have_no_place_beside_the_notebook_costs_nothing_else(
    tmp_path, there, beside, why
):
    files = dict.fromkeys([*beside, "c.csv"], "1") | {"a1.ipynb": TWO}
    packed = in_tar_with_names_of_any_kind({f"x/{name}": files[name] for name in files})
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    in_folder(folder, there | {"all.tar": packed})
    (notebook,) = stage(folder, copied, expected_of({"a1": RELEASED}), read_here).values()
    assert [cell.text for cell in notebook.cells] == ["q1 = 1", "q2 = 2"]
    assert (copied / "c.csv").read_text() == "1"
    assert why in " ".join(notebook.losses)


def test_an_archive_beside_the_notebook_lies_beside_it_again(tmp_path):
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    in_folder(folder, {"x/a1.ipynb": TWO, "x/more.zip": zipped({"c.csv": "1"})})
    (notebook,) = stage(folder, copied, expected_of({"a1": RELEASED}), read_here).values()
    assert (copied / "more.zip").read_bytes() == (folder / "x" / "more.zip").read_bytes()
    assert notebook.losses == ("The notebook was handed in as x/a1.ipynb, not as a1.ipynb.",)


def test_a_record_that_was_cut_costs_nothing_else(tmp_path):
    """All of its bytes are ASCII, but it is no UTF-16 any more."""
    there = {"a1.ipynb": TWO, "q1.json": '{"epochs": 5}'.encode("utf-16-le")[:-1]}
    in_folder(tmp_path / "submitted", there)
    expected = expected_of({"a1": RELEASED}, {"q1"})
    copied = tmp_path / "copy"
    (notebook,) = stage(tmp_path / "submitted", copied, expected, read_here).values()
    assert len(notebook.cells) == len(RELEASED)
    assert (copied / "q1.json").read_bytes() == there["q1.json"]


def test_a_crowd_of_archives_is_not_opened(tmp_path):
    names = (f"{number:03}.tgz" for number in range(limits.MAX_ARCHIVES))
    files = dict.fromkeys(names, tarred({"x.csv": "1"}, "gz"))
    path, said = found(tmp_path, files | {"zzz.zip": zipped({"a1.ipynb": TWO})})
    assert path is None
    assert f"At most {limits.MAX_ARCHIVES} archives are opened. These were not: zzz.zip." in said


def test_archives_of_tar_together_have_no_more_room(tmp_path, little_room):
    bomb = of_tar("gz", b" " * (ROOM * 2 // 3))
    path, sentences = found(tmp_path, {"a.tgz": bomb, "b.tgz": bomb, "c.tgz": bomb})
    assert path == "a.tgz/a1.ipynb"
    assert "b.tgz was not opened: it is too large. c.tgz was not opened: it is" in sentences


def test_many_archives_together_have_no_more_room(tmp_path):
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    files = {
        f"{number}.zip": zipped({f"q{number}.keras": b" " * 2**25, f"{number}.ipynb": b" " * 2**25})
        for number in range(7)
    }
    in_folder(folder, files)
    names = {f"q{number}" for number in range(7)}
    start = time.process_time()
    expected = expected_of({"a1": RELEASED}, names)
    (notebook,) = stage(folder, copied, expected, read_here).values()
    assert time.process_time() - start < 20
    assert "only 200 MB are read in total" in " ".join(notebook.losses)
    size = sum(path.stat().st_size for path in copied.rglob("*"))
    assert size < limits.MAX_FILES_BYTES + 2**26


def second_notebook(answer: str) -> str:
    """Return the second notebook of an assignment, which has other cells."""
    cell = new_code_cell(answer, metadata={"nbgrader": {"grade_id": "r1"}})
    return json.dumps(new_notebook(cells=[cell]))


@pytest.mark.parametrize(
    ("files", "first", "second"),
    [
        ({"part1.ipynb": ONE, "part10.ipynb": second_notebook("r1 = 1")}, "q1 = 1", "r1 = 1"),
        (
            {"Copy of part1.ipynb": ONE, "x/part10 (1).IPYNB": second_notebook("r1 = 1")},
            "q1 = 1", "r1 = 1",
        ),
        ({"Untitled.ipynb": second_notebook("r1 = 1"), "a.ipynb": ONE}, "q1 = 1", "r1 = 1"),
        ({"all.zip": zipped({"a.ipynb": ONE, "part10.ipynb": UNTOUCHED})}, "q1 = 1", "q1 = None"),
        ({"a.ipynb": second_notebook("r1 = 1")}, None, "r1 = 1"),
        ({"part1.ipynb": ONE}, "q1 = 1", None),
        ({"part10 (2).ipynb": second_notebook("r1 = 1")}, None, "r1 = 1"),
    ],
)  # fmt: skip
def test_each_of_several_notebooks_is_found(tmp_path, files, first, second):
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    in_folder(folder, files)
    answers = {"part1": RELEASED, "part10": {"r1": "r1 = None"}}
    staged = stage(folder, copied, expected_of(answers), read_here)
    assert list(staged) == [copied / "part1.ipynb", copied / "part10.ipynb"]
    for (path, notebook), expected in zip(staged.items(), (first, second), strict=True):
        assert [cell.text for cell in notebook.cells][:1] == ([expected] if expected else [])
        missing = f"The notebook {path.name} was not handed in." in " ".join(notebook.losses)
        assert missing == (expected is None)
        assert path.is_file()


@pytest.mark.parametrize(
    ("answers", "files", "first", "second"),
    [
        # Two notebooks with the same cells.
        ((RELEASED, RELEASED), {"x.ipynb": ONE}, "q1 = 1", None),
        ((RELEASED, RELEASED), {"x.ipynb": ONE, "y.ipynb": TWO}, "q1 = 1", "q1 = 1"),
        ((RELEASED, RELEASED), {"part10.ipynb": ONE, "y.ipynb": OTHER}, "q1 = 9", "q1 = 1"),
        # The second one has more of the file's cells.
        (({"q1": "q1 = None"}, RELEASED), {"x.ipynb": ONE}, None, "q1 = 1"),
    ],
)  # fmt: skip
def test_no_file_counts_for_two_notebooks(tmp_path, answers, files, first, second):
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    in_folder(folder, files)
    released = dict(zip(("part1", "part10"), answers, strict=True))
    staged = stage(folder, copied, expected_of(released), read_here)
    for notebook, expected in zip(staged.values(), (first, second), strict=True):
        assert [cell.text for cell in notebook.cells][:1] == ([expected] if expected else [])
        said = "x.ipynb was graded as part" in " ".join(notebook.losses)
        assert said == (expected is None)
    contents = [path.read_bytes() for path in staged if path.stat().st_size]
    assert len(set(contents)) == len(files)


def test_a_problem_of_an_archive_is_said_once(tmp_path):
    folder, copied = tmp_path / "submitted", tmp_path / "copy"
    in_folder(folder, {"part1 (1).ipynb": ONE, "part2 (1).ipynb": ONE, "networks.rar": "x"})
    answers = {"part1": RELEASED, "part2": RELEASED}
    staged = stage(folder, copied, expected_of(answers), read_here)
    said = " ".join(loss for notebook in staged.values() for loss in notebook.losses)
    assert said.count("networks.rar was not opened") == 1


def test_a_crowd_of_notebooks_is_not_read_to_its_end(tmp_path, monkeypatch):
    read = []

    def remember(content, name):
        read.append(name)
        return read_notebook(content, name)

    files = {f"{number:03}.ipynb": UNTOUCHED for number in range(150)} | {"my a1.ipynb": TWO}
    there = in_folder(tmp_path, files)
    choice = find_notebook(there, "a1.ipynb", RELEASED, remember)
    assert str(choice.file.path) == "my a1.ipynb"
    assert len(read) == limits.MAX_NOTEBOOKS


@pytest.mark.parametrize(
    ("files", "placed"),
    [
        (["q1.keras", "q1.json"], {}),
        (["q1 (1).keras", "q1 (1).json"], {"q1.keras": "q1 (1).keras", "q1.json": "q1 (1).json"}),
        (["q1.keras", "q1 (1).json"], {"q1.json": "q1 (1).json"}),
        (["mueller_123_q1-2.KERAS"], {"q1.keras": "mueller_123_q1-2.KERAS"}),
        (["q1-more (1).keras"], {"q1-more.keras": "q1-more (1).keras"}),
        (["xq1.keras", "q12.keras"], {}),
        (["Q1 more.keras", "q1_more.json"],
         {"q1-more.keras": "Q1 more.keras", "q1-more.json": "q1_more.json"}),
        (["q1.keras", "q1 old.keras"], {}),
        (["models/q1.keras"], {"q1.keras": "models/q1.keras"}),
        (["a/q1 (1).keras", "a/q1 (1).json", "b/q1 (2).json"],
         {"q1.keras": "a/q1 (1).keras", "q1.json": "a/q1 (1).json"}),
    ],
)  # fmt: skip
def test_networks_and_records_go_where_the_tests_look(tmp_path, files, placed):
    there = in_folder(tmp_path, dict.fromkeys(files, "x"))
    moved, said = find_files(there, {"q1", "q1-more", "epochs"}, [])
    assert {str(path): str(file.path) for path, file in moved.items()} == placed
    assert all(f"{old} was taken for {new}." in said for new, old in placed.items())


def test_what_lay_beside_the_notebook_lies_beside_it_again(tmp_path):
    there = in_folder(tmp_path, {"a/a1.ipynb": TWO, "a/data/x.csv": "1", "a/q1.json": "{}"})
    moved, said = find_files(there, {"q1"}, [Path(), Path("a")])
    assert set(map(str, moved)) == {"data/x.csv", "q1.json"}
    assert said == []


def test_a_name_of_two_things_is_no_pattern(tmp_path, monkeypatch):
    there = in_folder(tmp_path, {"q[1] (1).keras": "x"})
    moved, _ = find_files(there, {"q[1]", ".*"}, [])
    assert set(map(str, moved)) == {"q[1].keras"}
    assert handed_in.MAX_NOTEBOOKS == limits.MAX_NOTEBOOKS
