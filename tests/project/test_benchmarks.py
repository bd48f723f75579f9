"""The tables of the benchmarks: each machine has its rows, and takes no other's away."""

import pytest

from benchmarks import tables
from benchmarks.tables import Table, read_rows, save

HEADER = ["what", "seconds"]


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Return a function that saves what a processor measured, and gives the table's rows."""
    path = tmp_path / "speed.md"

    def measure(name, *rows, header=HEADER):
        monkeypatch.setattr(tables, "processor", lambda: name)
        save(path, Table("Speed", header, rows))
        return [[row[0], *row[2:]] for row in read_rows(path, [*tables.MACHINE, *header])]

    return measure


def test_each_processor_has_its_rows(on):
    assert on("A", ["x", "1"], ["y", "2"]) == [["A", "x", "1"], ["A", "y", "2"]]
    assert on("B", ["x", "3"]) == [["A", "x", "1"], ["A", "y", "2"], ["B", "x", "3"]]


def test_a_processors_new_rows_replace_its_old_ones(on):
    on("A", ["x", "1"])
    on("B", ["x", "2"])
    assert on("A", ["x", "3"]) == [["B", "x", "2"], ["A", "x", "3"]]


def test_rows_of_other_columns_are_not_mixed(on):
    on("A", ["x", "1"])
    assert on("B", ["x", "2", "z"], header=[*HEADER, "more"]) == [["B", "x", "2", "z"]]


def test_empty_cells_stay_empty(on):
    assert on("A", ["x", ""]) == [["A", "x", ""]]


@pytest.mark.parametrize(
    ("flags", "unit"),
    [("fpu amx_bf16 avx512_bf16", "AMX"), ("fpu avx512_bf16", "AVX512"), ("fpu avx2", "")],
)
def test_a_processor_is_told_apart_by_its_bfloat16(monkeypatch, flags, unit):
    about = {"flags": flags, "model name": "A processor"}
    monkeypatch.setattr("course_utils.runtime._cpuinfo", about.get)
    monkeypatch.setattr(tables, "available_cores", lambda: 2)
    expected = f"bfloat16 by {unit}" if unit else "no bfloat16"
    assert tables.processor() == f"A processor, 2 cores, {expected}"


def test_every_committed_table_names_its_processors():
    for path in (tables.RESULTS).glob("*.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[2].startswith("| processor"), path
