"""The steps of a batch run: read, compare with earlier runs, execute, keep."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from rich.console import Console

from course_utils.batch import results
from course_utils.batch.bookcache import drop_from_book_cache, store_in_book_cache
from course_utils.batch.fingerprint import environment, notebook_key
from course_utils.batch.local import Executions, OnCell, execute_here
from course_utils.batch.notebooks import (
    STAMP,
    parameter_names,
    read_notebook,
    refresh_text,
    same_text,
)
from course_utils.batch.process import Execution, Job
from course_utils.batch.results import Outcome, Report
from course_utils.batch.show import progress
from course_utils.batch.verdicts import is_quick_try, judge
from course_utils.errors import NotebookError, RunError
from course_utils.files import write_atomically
from course_utils.reporting import find_report


@dataclass
class _Task:
    """A notebook to be run: its source and the key of its outputs."""

    outcome: Outcome
    path: Path
    source: NotebookNode
    key: str = ""

    @property
    def name(self) -> str:
        return self.outcome.name


@dataclass
class Batch:
    """The settings that all notebooks of a run share, and the steps of the run."""

    out: Path
    parameters: dict[str, Any]
    typed: set[str]
    jobs: int
    scheduler: str | None
    timeout: float | None
    again: bool
    bounds: dict[str, dict[str, float]]
    book: Path
    book_cache: Path | None

    def run(self, found: Mapping[str, Path], report: Report, console: Console) -> None:
        """Bring every notebook's outputs up to date, filling the report as they end."""
        started = time.monotonic()
        report.notebooks = [Outcome(name, str(path)) for name, path in found.items()]

        def save() -> None:
            report.seconds = round(time.monotonic() - started, 3)
            report.save(self.out / "report.json")

        tasks = self._read(report.notebooks)
        self._check_parameter_names(tasks)
        self._set_keys(tasks)
        waiting = {task.name: task for task in tasks if self.again or not self._reuse(task)}
        with progress(console, len(found)) as shown:
            for outcome in report.notebooks:
                if outcome.status != results.NOT_RUN:
                    shown.end(outcome)
            save()
            jobs = [self._job(task) for task in waiting.values()]
            with (
                contextlib.suppress(KeyboardInterrupt),  # the rest of the outcomes say "not run"
                contextlib.closing(self._execute_all(jobs, shown.cell)) as executions,
            ):
                for name, execution in executions:
                    task = waiting[name]
                    self._finish(task, execution)
                    save()
                    shown.end(task.outcome)
        save()

    def output(self, name: str) -> Path:
        return self.out / f"{name}.ipynb"

    def _partial(self, name: str) -> Path:
        return self.out / "partial" / f"{name}.ipynb"

    def _log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def _read(self, outcomes: list[Outcome]) -> list[_Task]:
        """Read the sources; one that is no notebook has failed."""
        tasks = []
        for outcome in outcomes:
            path = Path(outcome.path)
            try:
                tasks.append(_Task(outcome, path, read_notebook(path)))
            except NotebookError as error:
                outcome.status = results.FAILED
                outcome.error = str(error)
        return tasks

    def _check_parameter_names(self, tasks: list[_Task]) -> None:
        """Refuse a parameter that no notebook has: papermill would ignore it."""
        declared = [parameter_names(task.source) for task in tasks]
        if not declared or None in declared:
            return
        known = set().union(*declared)
        if unknown := sorted(self.typed - known):
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
        """Take an earlier run's outputs if they still hold, under the source's present text."""
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
        self._accept(task, executed, results.UNCHANGED)
        return True

    def _execute_all(self, jobs: list[Job], on_cell: OnCell) -> Executions:
        """Execute notebooks here or on a cluster, and yield each as it ends; closing ends all."""
        if self.scheduler is None:
            return execute_here(jobs, self.jobs, on_cell)
        # Dask takes most of a second to import, which a run on this machine need not spend.
        from course_utils.batch.cluster import execute_on_workers

        return execute_on_workers(jobs, self.scheduler, on_cell)

    def _job(self, task: _Task) -> Job:
        partial = self._partial(task.name)
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        orders = {
            "notebook": str(task.path),
            "partial": str(partial),
            "folder": str(task.path.parent),
            "parameters": self.parameters,
            "stamp": task.key,
        }
        return Job(task.name, orders, self._log(task.name), self.timeout)

    def _finish(self, task: _Task, execution: Execution) -> None:
        """Keep a success's outputs; say what happened to a failure."""
        partial = self._partial(task.name)
        if not execution.error:
            self.output(task.name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, self.output(task.name))
            self._accept(task, read_notebook(self.output(task.name)), results.EXECUTED)
            return
        task.outcome.status = results.TIMED_OUT if execution.timed_out else results.FAILED
        task.outcome.seconds = round(execution.seconds, 3)
        task.outcome.error = self._explain(task, execution)
        if self._is_for_book(task):
            drop_from_book_cache(task.source, self.book_cache)

    def _explain(self, task: _Task, execution: Execution) -> str:
        """Return one sentence: notebook, cell, what happened, and where to look."""
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
        """Fill a success's outcome, and show its outputs in the book."""
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
        if self._is_for_book(task):
            store_in_book_cache(task.path, task.source, executed, outcome.seconds, self.book_cache)

    def _is_for_book(self, task: _Task) -> bool:
        return self.book_cache is not None and task.path.parent == self.book
