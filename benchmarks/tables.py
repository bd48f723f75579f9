"""Markdown tables with the results of several machines: one or more rows for each processor."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from course_utils.files import write_atomically
from course_utils.runtime import available_cores, bfloat16_unit, cpu_name, versions

MACHINE = ("processor", "measured")
RESULTS = Path(__file__).parent / "results"
REMARK = "Machines are shared: trust ratios and medians more than single times."


@dataclass(frozen=True)
class Table:
    """The results of one measurement on this machine.

    Attributes
    ----------
    title : str
    header : sequence of str
        The names of the columns.
    rows : sequence of sequence of str
        The cells, which must not contain vertical bars.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def save(path: Path, table: Table) -> Path:
    """Write a table to a Markdown file, replacing this processor's earlier rows.

    Parameters
    ----------
    path : Path
        The file. It keeps the rows of other processors, unless the columns have changed.
    table : Table

    Returns
    -------
    Path
        The file.
    """
    header = [*MACHINE, *table.header]
    others = [row for row in read_rows(path, header) if row[0] != processor()]
    rows = others + [[processor(), _measured(), *row] for row in table.rows]
    body = pd.DataFrame(rows, columns=header).to_markdown(index=False, disable_numparse=True)
    return write_atomically(path, f"## {table.title}\n\n{body}\n\n{REMARK}\n")


def read_rows(path: Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows of a file's table; empty if its columns differ or there is no file."""
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return cells[2:] if cells and cells[0] == list(header) else []


def processor() -> str:
    """Return the type of this processor: its name, its cores, and its bfloat16 instructions."""
    unit = bfloat16_unit()
    bfloat16 = f"bfloat16 by {unit}" if unit else "no bfloat16"
    return f"{cpu_name()}, {available_cores()} cores, {bfloat16}"


def _measured() -> str:
    packages = {name: version for name, version in versions().items() if name != "course_utils"}
    return f"{datetime.date.today()}: " + ", ".join(f"{n} {v}" for n, v in packages.items())
