"""Running a set of notebooks: what must run, running it, and keeping what came out.

In the output folder: ``NAME.ipynb`` (executed notebooks, each stamped with the key of what it
came from), ``partial/NAME.ipynb`` (what ran of those that failed or are running),
``logs/NAME.log`` and ``report.json``. Every file is written under a temporary name and then
renamed, so whatever is found there is whole.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from course_utils.batch.bookcache import book_cache_path
from course_utils.batch.local import default_jobs
from course_utils.batch.notebooks import chapters, find_notebooks
from course_utils.batch.results import Report
from course_utils.batch.steps import Batch
from course_utils.data.sources import STAND_IN
from course_utils.errors import RunError
from course_utils.thresholds import THRESHOLDS, load_thresholds

PROFILES = ("fast", "full")
# A run with any other parameter is an experiment, not what the book should show.
BOOK_PARAMETERS = {"profile", "data_path"}


def run_notebooks(
    places: Iterable[str | Path] = (),
    *,
    root: Path | None = None,
    profile: str = "fast",
    parameters: Mapping[str, Any] | None = None,
    data: str | None = None,
    out: Path | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    timeout: float | None = None,
    again: bool = False,
    for_book: bool = False,
    thresholds: Path = THRESHOLDS,
    console: Console | None = None,
) -> Report:
    """Execute notebooks with papermill and hold their results against the thresholds.

    Parameters
    ----------
    places : iterable of str or Path
        Notebooks, and folders of notebooks. Default: the chapters in `root`.
    root : Path, optional
        The course's folder. Default: the current one.
    profile : {"fast", "full"}
        Becomes the parameter ``profile``.
    parameters : mapping, optional
        More parameters of the notebooks.
    data : str, optional
        A path, or ``"stand-in"``; becomes the parameter ``data_path``.
    out : Path, optional
        Default: ``_build/run`` in `root`.
    jobs : int, optional
        How many notebooks run at the same time; they share the cores. Default: `default_jobs`.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``"tcp://host:8786"``: its workers execute the
        notebooks, instead of this machine. They see the same files under the same paths. A
        worker that dies loses nothing: another one takes its notebook from the start.
    timeout : float, optional
        Seconds for each notebook.
    again : bool
        Execute unchanged notebooks too.
    for_book : bool
        Show the outputs in the book, whatever the parameters are. Otherwise, runs of chapters
        into the default folder do so, unless their parameters make them an experiment.
    thresholds : Path
        See ``thresholds.toml``.
    console : rich.console.Console, optional
        Where the progress is shown.

    Returns
    -------
    Report
        Also written to ``report.json`` in `out`. After Ctrl-C, the notebooks that it kept from
        ending are ``"not run"``.

    Raises
    ------
    CourseError
        For wrong arguments, before anything runs. A failing notebook raises nothing; a lost
        scheduler does.
    """
    root = (root or Path.cwd()).absolute()
    default_out = root / "_build" / "run"
    out = Path(out or default_out).expanduser().absolute()
    _check(profile, jobs, scheduler, timeout)
    all_parameters = {"profile": profile, **_data_parameter(data), **(parameters or {})}
    batch = Batch(
        out=out,
        parameters=all_parameters,
        typed=set(parameters or {}),
        jobs=jobs or default_jobs(),
        scheduler=scheduler,
        timeout=timeout,
        again=again,
        bounds=load_thresholds(thresholds),
        book=root / "book",
        book_cache=book_cache_path(root)
        if for_book or (out == default_out and fit_for_book(all_parameters))
        else None,
    )
    found = find_notebooks(places or chapters(root))
    for name, path in found.items():
        if batch.output(name) == path:
            raise RunError(f"--out {out} would overwrite {path}: choose another folder.")
    with _alone_in(out):
        report = Report(profile, all_parameters, _now())
        batch.run(found, report, console or Console())
    return report


def _check(profile: str, jobs: int | None, scheduler: str | None, timeout: float | None) -> None:
    if profile not in PROFILES:
        raise RunError(f"Unknown profile {profile!r}: choose one of {', '.join(PROFILES)}.")
    if jobs is not None and jobs < 1:
        raise RunError(f"--jobs is {jobs}: at least one notebook must run at a time.")
    if jobs is not None and jobs > 1 and scheduler is not None:
        raise RunError(
            f"--jobs {jobs} is for this machine: with --scheduler, as many notebooks run at a time "
            "as its workers have threads."
        )
    if timeout is not None and timeout <= 0:
        raise RunError(f"--timeout is {timeout:g}: give a number of seconds above 0.")


def _data_parameter(data: str | None) -> dict[str, str]:
    """Return the parameter for the data; absolute, since notebooks run in their own folder."""
    if data is None or data == STAND_IN:
        return {} if data is None else {"data_path": data}
    path = Path(data).expanduser().absolute()
    if not path.exists():
        raise RunError(f"There is no data at {path}: check --data, or give --data {STAND_IN}.")
    return {"data_path": str(path)}


def fit_for_book(parameters: Mapping[str, Any]) -> bool:
    return set(parameters) <= BOOK_PARAMETERS and parameters.get("data_path") != STAND_IN


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Hold an output folder for one run at a time, and clear what a killed one left."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"Another run is writing to {out}: wait for it, or give another --out."
        ) from error
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}.") from error
    try:
        for leftover in out.rglob(".*.ipynb.*"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
