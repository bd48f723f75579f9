"""What every executor takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Execution:
    """One notebook's execution.

    Attributes
    ----------
    error : str
        Empty after success.
    timed_out : bool
    position : dict
        The cell last started: ``number``, ``count`` and ``cell`` (its id).
    seconds : float
        Wall-clock time, the start of the kernel included.
    """

    error: str = ""
    timed_out: bool = False
    position: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One notebook to be executed, on whichever machine.

    Attributes
    ----------
    name : str
        As in `Outcome`.
    orders : dict
        For `worker`: ``notebook``, ``partial``, ``folder``, ``parameters``, ``stamp``.
    log : Path
        Where all that the child prints goes.
    timeout : float or None
        Seconds.
    """

    name: str
    orders: dict[str, Any]
    log: Path
    timeout: float | None


# What hears that a notebook has come to a cell: the name, the cell's position.
OnCell = Callable[[str, dict], None]

# Each notebook's name and how it ended, as they end; closing it ends those that still run.
Executions = Generator[tuple[str, Execution]]
