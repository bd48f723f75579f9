"""Running a set of notebooks: read them, reuse earlier outputs, and execute the rest."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout
from nbformat import NotebookNode
from rich.console import Console

from course_utils.batch.book import book_cache_path, drop_from_book_cache, store_in_book_cache
from course_utils.batch.executors.local import LocalExecutor
from course_utils.batch.executors.protocol import Execution, Executor, Job
from course_utils.batch.key import environment, notebook_key
from course_utils.batch.notebooks import (
    STAMP,
    chapters,
    find_notebooks,
    parameter_names,
    read_notebook,
    read_source,
    refresh_text,
    same_text,
)
from course_utils.batch.report import (
    EXECUTED,
    FAILED,
    FAILED_STATUSES,
    NOT_RUN,
    TIMED_OUT,
    UNCHANGED,
    Outcome,
    Report,
    is_quick_try,
    judge,
    store_verdicts,
)
from course_utils.data.ladder import STAND_IN
from course_utils.errors import NotebookError, RunError
from course_utils.files import write_atomically
from course_utils.progress import Progress, progress_on
from course_utils.reporting import find_report
from course_utils.thresholds import THRESHOLDS, load_thresholds

PROFILES = ("fast", "full")

# Parameters of a run whose outputs the book may show; a run with others is an experiment.
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
    kernel: str | None = None,
    for_book: bool = False,
    thresholds: Path = THRESHOLDS,
    console: Console | None = None,
) -> Report:
    """Execute notebooks with papermill and compare their results with the thresholds.

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
        The folder for the results. Default: ``_build/run`` in `root`.
    jobs : int, optional
        How many notebooks run at the same time on this machine; they share the cores. Default:
        see `course_utils.batch.executors.local.default_jobs`.
    scheduler : str, optional
        The address of a Dask scheduler, such as ``"tcp://host:8786"``: its workers execute the
        notebooks, instead of this machine. They must see the same files under the same paths. If
        a worker dies, another one executes its notebook from the start.
    timeout : float, optional
        Seconds for each notebook. Default: no limit.
    again : bool
        Execute unchanged notebooks too.
    kernel : str, optional
        The kernel of all notebooks. Default: each notebook's own.
    for_book : bool
        Show the outputs in the book, whatever the parameters are. Otherwise, runs of chapters
        into the default folder do so, unless their parameters make them an experiment.
    thresholds : Path
        A file like ``thresholds.toml``.
    console : rich.console.Console, optional
        Where the progress is shown. Default: standard output.

    Returns
    -------
    Report
        It is also written to ``report.json`` in `out`. After Ctrl-C, the notebooks that had not
        ended are ``"not run"``.

    Raises
    ------
    CourseError
        For wrong arguments, before anything runs, and for a lost scheduler. A notebook that fails
        raises nothing: the report says so.

    Examples
    --------
    >>> report = run_notebooks(["book/01_the_data.ipynb"], data="stand-in")
    >>> report.passed
    True
    """
    root = (root or Path.cwd()).absolute()
    default_out = root / "_build" / "run"
    out = Path(out or default_out).expanduser().absolute()
    _check(profile, timeout)
    all_parameters = {"profile": profile, **_data_parameter(data), **(parameters or {})}
    batch = Batch(
        out=out,
        parameters=all_parameters,
        typed=set(parameters or {}),
        executor=choose_executor(jobs, scheduler),
        timeout=timeout,
        again=again,
        kernel=kernel,
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
    with _exclusive(out):
        report = Report(profile, all_parameters, _now())
        batch.run(found, report, console or Console())
    return report


def choose_executor(jobs: int | None, scheduler: str | None) -> Executor:
    """Return the executor for these options: a scheduler's workers, or else this machine.

    Parameters
    ----------
    jobs, scheduler
        As for `run_notebooks`.

    Raises
    ------
    RunError
        If the options are wrong or do not go together.
    """
    if jobs is not None and jobs < 1:
        raise RunError(f"--jobs is {jobs}: at least one notebook must run at a time.")
    if jobs is not None and jobs > 1 and scheduler is not None:
        raise RunError(
            f"--jobs {jobs} is for this machine: with --scheduler, as many notebooks run at a time "
            "as its workers have threads."
        )
    if scheduler is not None:
        # Importing Dask takes most of a second, which a run on this machine can do without.
        from course_utils.batch.executors.dask import DaskExecutor

        return DaskExecutor(scheduler)
    return LocalExecutor(jobs)


def _check(profile: str, timeout: float | None) -> None:
    if profile not in PROFILES:
        raise RunError(f"Unknown profile {profile!r}: choose one of {', '.join(PROFILES)}.")
    if timeout is not None and timeout <= 0:
        raise RunError(f"--timeout is {timeout:g}: give a number of seconds above 0.")


def _data_parameter(data: str | None) -> dict[str, str]:
    """Return the parameter for the data, an absolute path, since notebooks run in their folders."""
    if data is None or data == STAND_IN:
        return {} if data is None else {"data_path": data}
    path = Path(data).expanduser().absolute()
    if not path.exists():
        raise RunError(f"There is no data at {path}: check --data, or give --data {STAND_IN}.")
    return {"data_path": str(path)}


def fit_for_book(parameters: Mapping[str, Any]) -> bool:
    """Return whether the book may show the outputs of a run with these parameters."""
    return set(parameters) <= BOOK_PARAMETERS and parameters.get("data_path") != STAND_IN


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _exclusive(out: Path) -> Iterator[None]:
    """Lock an output folder for one run, and delete the temporary files of a killed run."""
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


@dataclass
class _Task:
    """A notebook to run: its source and the key of its outputs."""

    outcome: Outcome
    path: Path
    source: NotebookNode
    is_as_written: bool
    key: str = ""

    @property
    def name(self) -> str:
        return self.outcome.name


@dataclass
class Batch:
    """A run of several notebooks: the settings that they share, and the steps of the run.

    Attributes
    ----------
    out : Path
        The folder for the results.
    parameters : dict
        The parameters of every notebook.
    typed : set of str
        The names of the parameters that the user gave, which a notebook must have.
    executor : Executor
    timeout : float or None
        Seconds for each notebook.
    again : bool
        Whether to execute unchanged notebooks too.
    kernel : str or None
        The kernel of all notebooks; None for each notebook's own.
    bounds : dict
        The thresholds of each notebook.
    book : Path
        The folder of the chapters.
    book_cache : Path or None
        Where the book looks for outputs; None if it should not show this run.
    """

    out: Path
    parameters: dict[str, Any]
    typed: set[str]
    executor: Executor
    timeout: float | None
    again: bool
    kernel: str | None
    bounds: dict[str, dict[str, float]]
    book: Path
    book_cache: Path | None

    def run(self, found: Mapping[str, Path], report: Report, console: Console) -> None:
        """Bring every notebook's outputs up to date, and fill in the report as they end."""
        started = time.monotonic()
        report.notebooks = [Outcome(name, str(path)) for name, path in found.items()]

        def save() -> None:
            report.seconds = round(time.monotonic() - started, 3)
            report.save(self.out / "report.json")

        tasks = self._read(report.notebooks)
        self._check_parameter_names(tasks)
        self._set_keys(tasks)
        waiting = {task.name: task for task in tasks if self.again or not self._reuse(task)}
        with progress_on(console) as progress:
            progress.begin(len(found))
            for outcome in report.notebooks:
                if outcome.repaired:
                    progress.say(f"{outcome.path}: {outcome.repaired}")
            for outcome in report.notebooks:
                if outcome.status != NOT_RUN:
                    _show_end(progress, outcome)
            save()
            jobs = [self._job(task) for task in waiting.values()]
            show_cell = functools.partial(_show_cell, progress)
            with (
                # After Ctrl-C, the notebooks that have not ended stay "not run".
                contextlib.suppress(KeyboardInterrupt),
                contextlib.closing(self.executor.execute(jobs, show_cell)) as executions,
            ):
                for name, execution in executions:
                    task = waiting[name]
                    self._finish(task, execution)
                    save()
                    _show_end(progress, task.outcome)
        save()

    def output(self, name: str) -> Path:
        """Return the path of the executed notebook of this name."""
        return self.out / f"{name}.ipynb"

    def _partial(self, name: str) -> Path:
        return self.out / "partial" / f"{name}.ipynb"

    def _log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def _read(self, outcomes: list[Outcome]) -> list[_Task]:
        """Read the sources; a file that is not a notebook has failed."""
        tasks = []
        for outcome in outcomes:
            path = Path(outcome.path)
            try:
                source, repairs = read_source(path, self.kernel)
                outcome.repaired = str(repairs)
                is_as_written = not (outcome.repaired or self.kernel) and path.suffix == ".ipynb"
                tasks.append(_Task(outcome, path, source, is_as_written))
            except NotebookError as error:
                outcome.status = FAILED
                outcome.error = str(error)
        return tasks

    def _check_parameter_names(self, tasks: list[_Task]) -> None:
        """Refuse a parameter that no notebook has: papermill would ignore it."""
        known: set[str] = set()
        for task in tasks:
            names = parameter_names(task.source)
            if names is None:
                return
            known |= names
        if tasks and (unknown := sorted(self.typed - known)):
            raise RunError(
                f"No notebook has the parameter {unknown[0]!r}: choose from "
                f"{', '.join(sorted(known))}."
            )

    def _set_keys(self, tasks: list[_Task]) -> None:
        folders = {task.path.parent for task in tasks}
        data_path = self.parameters.get("data_path")
        shared = {folder: environment(data_path, folder) for folder in folders}
        for task in tasks:
            folder = task.path.parent
            task.key = notebook_key(task.source, folder, self.parameters, shared[folder])

    def _reuse(self, task: _Task) -> bool:
        """Reuse an earlier run's outputs if they are still valid, and update their text."""
        output = self.output(task.name)
        try:
            executed = read_notebook(output)
        except NotebookError:
            return False
        if executed.metadata.get(STAMP) != task.key:
            return False
        if not same_text(task.source, executed):
            executed = refresh_text(task.source, executed)
            write_atomically(output, nbformat.writes(executed))
        self._accept(task, executed, UNCHANGED)
        return True

    def _job(self, task: _Task) -> Job:
        partial = self._partial(task.name)
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        source = task.path
        if not task.is_as_written:
            # Papermill reads less than `read_source` does.
            source = self.out / "repaired" / f"{task.name}.ipynb"
            write_atomically(source, nbformat.writes(task.source))
        orders = {
            "notebook": str(source),
            "partial": str(partial),
            "folder": str(task.path.parent),
            "parameters": self.parameters,
            "stamp": task.key,
        }
        return Job(task.name, orders, self._log(task.name), self.timeout)

    def _finish(self, task: _Task, execution: Execution) -> None:
        """Keep the outputs of a success, or report what happened in a failure."""
        partial = self._partial(task.name)
        if not execution.error:
            self.output(task.name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, self.output(task.name))
            self._accept(task, read_notebook(self.output(task.name)), EXECUTED)
            return
        task.outcome.status = TIMED_OUT if execution.timed_out else FAILED
        task.outcome.seconds = round(execution.seconds, 3)
        task.outcome.error = self._explain(task, execution)
        if cache := self._book_cache_for(task):
            drop_from_book_cache(task.source, cache)

    def _explain(self, task: _Task, execution: Execution) -> str:
        """Return one sentence about a failure: notebook, cell, error, and where to look."""
        where = "before its first cell"
        if position := execution.position:
            where = "in cell {number} of {count} ({cell})".format(**position)
        happened = (
            f"was stopped after {self.timeout:g} s (--timeout)"
            if execution.timed_out
            else f"failed: {execution.error}"
        )
        partial = self._partial(task.name)
        kept = f"what ran is in {partial}, " if partial.exists() else ""
        return f"{task.path} {happened}, {where}; {kept}the log is {self._log(task.name)}."

    def _accept(self, task: _Task, executed: NotebookNode, status: str) -> None:
        """Fill in the outcome of a success, and show the outputs in the book."""
        outcome = task.outcome
        report = find_report(executed.cells) or {}
        outcome.status = status
        outcome.output = str(self.output(task.name))
        outcome.seconds = round(executed.metadata.papermill.duration, 3)
        outcome.source = report.get("source", {})
        outcome.runtime = report.get("runtime", {})
        outcome.versions = report.get("versions", {})
        quick = is_quick_try(self.parameters)
        outcome.metrics = judge(report, self.bounds.get(task.path.stem, {}), quick=quick)
        if store_verdicts(executed, outcome.metrics):
            write_atomically(self.output(task.name), nbformat.writes(executed))
        if cache := self._book_cache_for(task):
            store_in_book_cache(task.path, task.source, executed, outcome.seconds, cache)

    def _book_cache_for(self, task: _Task) -> Path | None:
        """Return the book's cache if the book shows this notebook's outputs."""
        return self.book_cache if task.path.parent == self.book else None


def _show_cell(progress: Progress, name: str, position: dict[str, Any]) -> None:
    number, count = position["number"], position["count"]
    progress.step(name, f"cell {number} of {count} ({position['cell']})", number - 1, count)


def _show_end(progress: Progress, outcome: Outcome) -> None:
    progress.end(
        outcome.name,
        outcome.status,
        failed=outcome.status in FAILED_STATUSES,
        seconds=outcome.seconds or 0.0 if outcome.status == EXECUTED else 0.0,
        reason=outcome.error,
    )
