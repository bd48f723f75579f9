"""Executing a notebook within limits on its time and its output."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any

from nbclient.exceptions import CellExecutionComplete, CellTimeoutError
from nbclient.util import run_sync
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from traitlets import Int

from course_utils.errors import InterruptedExaminationError, SandboxError
from course_utils.grading.sandbox.limits import (
    LAST_SECONDS,
    MAX_LEFT_OUT,
    MAX_MESSAGE_BYTES,
    WATCH_SECONDS,
)
from course_utils.grading.sandbox.watch import Clock, Usage


class _TimeIsUp(CellTimeoutError):
    """A cell, or the notebook, has taken all of its time."""


class BoundedExecute(Execute):
    """Executes a notebook within limits on its time and its output, whatever its cells do.

    The time of a cell, and of an answer to a test, is the own time of the programs in the kernel's
    sandbox (see `Clock`), so a machine on which others compute costs a notebook nothing.

    Attributes
    ----------
    notes : list of tuple
        Problems, each as a sentence for the student and one for the lecturer.
    """

    total_timeout = Int(600, help="Seconds that one submission may take.").tag(config=True)
    max_output = Int(2**20, help="Characters that one cell may print.").tag(config=True)
    # nbclient gives a cell's output four seconds, which are too few where others compute.
    iopub_timeout = Int(30, help="Seconds until the last output is here.").tag(config=True)
    max_outputs = Int(20 * 2**20, help="Characters that all cells may print.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any, km: Any = None) -> Any:
        self._time_left = float(self.total_timeout)
        self._printed: Counter[int] = Counter()
        self._interrupted: dict[int, float] = {}
        self._has_been_ended = False
        self.notes: list[tuple[str, str]] = []
        self._has_started = False
        self.on_notebook_start = self._remember_start
        try:
            super().preprocess(nb, resources, km)
        except _TimeIsUp:
            self._note(
                f"The notebook was stopped: one cell may run for {self.timeout} seconds, and all "
                f"of them for {self.total_timeout} together. The remaining cells were not run.",
                "Stopped: a cell that did not end, or a notebook that took too long.",
            )
        except CellTimeoutError:  # of nbclient, which has waited for the end of the output
            self._note(
                "The notebook was stopped: the output of a cell did not arrive, as when it is more "
                f"than {MAX_MESSAGE_BYTES >> 20} MB at once. The remaining cells were not run.",
                "Stopped: the output of a cell was too large or came too late.",
            )
        except InterruptedExaminationError:  # of a program that runs the tests
            raise
        except Exception as error:
            why = self.why_kernel_ended()
            # No cell has run, so the submission cannot be the cause.
            if not self._has_started:
                raise SandboxError(f"No kernel could be started: {error}") from error
            self._note(
                "The notebook's kernel ended before its last cell; the remaining cells were not "
                "run.",
                f"The kernel ended: {why or f'{type(error).__name__}: {str(error)[:200]}'}",
            )
        else:
            # A test that asks the kernel goes on without it.
            if why := self.why_kernel_ended():
                self._note(
                    "The notebook's kernel ended before its last test.",
                    f"The kernel ended: {why}",
                )
        return nb, resources

    def why_kernel_ended(self) -> str:
        """Return why the kernel has ended, as a phrase; empty if that is not known."""
        return ""

    def _remember_start(self, notebook: NotebookNode) -> None:
        self._has_started = True

    def _note(self, for_student: str, for_lecturer: str) -> None:
        self.log.warning(for_lecturer)
        self.notes.append((for_student, for_lecturer))

    def timeout_func(self, cell: NotebookNode) -> None:
        """Have nbclient wait without a limit of its own: `_in_time` sets one."""

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, *arguments: Any, **settings: Any
    ) -> NotebookNode:
        before = asyncio.all_tasks()
        execution = super().async_execute_cell(cell, cell_index, *arguments, **settings)
        try:
            return await self._in_time(execution)
        finally:
            # nbclient does not end all of its tasks if the execution is given up.
            tasks = asyncio.all_tasks() - before
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    execute_cell = run_sync(async_execute_cell)

    async def async_wait_for_reply(self, msg_id: str, cell: NotebookNode | None = None) -> Any:
        # Without a cell, nbclient would not ask `timeout_func`.
        return await self._in_time(super().async_wait_for_reply(msg_id, cell or NotebookNode()))

    wait_for_reply = run_sync(async_wait_for_reply)

    async def _in_time(self, work: Awaitable[Any]) -> Any:
        """Await what the kernel does, as long as there is time for it.

        Raises
        ------
        _TimeIsUp
            If the time is up.
        """
        limit = min(self.timeout or self._time_left, self._time_left)
        clock, task = Clock(self._usage), asyncio.ensure_future(work)
        try:
            while (left := clock.left(limit)) > 0:
                done, _ = await asyncio.wait([task], timeout=max(left, WATCH_SECONDS))
                if done:
                    return task.result()
            raise _TimeIsUp(f"not finished within {limit:.0f} seconds of its own time")
        finally:
            task.cancel()
            self._time_left -= clock.seconds()

    def _usage(self) -> Usage:
        """Return what the kernel has had of the processor; nothing of one without a sandbox."""
        kernel = getattr(self.km, "started", None)
        return kernel.sandbox.usage() if kernel else Usage(0, 0)

    def process_message(self, msg: Any, cell: NotebookNode, cell_index: int) -> Any:
        before = self._may_print(cell_index)
        if msg["msg_type"] == "stream":
            self._printed[cell_index] -= _overwrite(msg["content"], cell.outputs)
        self._printed[cell_index] += self._size(msg)
        if not self._may_print(cell_index):
            if before:
                self._say_what_is_missing(cell)
            self._stop_endless(cell, cell_index)
            # Status messages are still processed, because they tell when the cell has finished.
            return super().process_message(msg, cell, cell_index) if _is_state(msg) else None
        try:
            return super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            raise
        except Exception as error:
            self.log.warning("A message of a kernel is in no known form: %s", type(error).__name__)
            return None

    def handle_comm_msg(self, outs: list, msg: Any, cell_index: int) -> None:
        """Ignore the state of widgets, because nobody sees them."""

    def _may_print(self, cell_index: int) -> bool:
        return (
            self._printed[cell_index] <= self.max_output
            and self._printed.total() <= self.max_outputs
        )

    def _size(self, msg: Any) -> int:
        """Count the characters of a message, once for each place where it will be shown."""
        if _is_state(msg):
            return 0
        content = msg["content"]
        shown = self._display_id_map.get(content.get("transient", {}).get("display_id"), {})
        places = 1 + sum(map(len, shown.values()))
        return places * len(json.dumps(content, default=str))

    def _say_what_is_missing(self, cell: NotebookNode) -> None:
        text = "\n... too much output: the rest is not shown ...\n"
        cell.outputs.append(new_output("stream", name="stdout", text=text))
        self._note(
            f"A cell printed more than {self.max_output:,} characters, or all of them more than "
            f"{self.max_outputs:,}. The rest is not shown.",
            f"Too much output in a cell that starts: {cell.source[:60]!r}",
        )

    def _stop_endless(self, cell: NotebookNode, cell_index: int) -> None:
        """Interrupt a cell that goes on printing; if it still does, end its kernel.

        Messages that never end keep the tasks of this loop from running, so both happen at once.
        """
        printed, most = self._printed[cell_index], self.max_output + MAX_LEFT_OUT
        now = time.monotonic()
        if printed > most and cell_index not in self._interrupted:
            self._interrupted[cell_index] = now
            self._note(
                f"A cell printed more than {most:,} characters and was interrupted.",
                f"Endless output in a cell that starts: {cell.source[:60]!r}",
            )
            run_sync(self.km.interrupt_kernel)()
        elif (
            printed > most + MAX_LEFT_OUT
            and now > self._interrupted[cell_index] + LAST_SECONDS
            and not self._has_been_ended
        ):
            self._has_been_ended = True
            self._note(
                "This cell went on printing, so the notebook was stopped.",
                "It went on after an interrupt, so its kernel was ended.",
            )
            run_sync(self.km.provisioner.kill)()


def _overwrite(content: Any, outputs: list[NotebookNode]) -> int:
    """Let a carriage return overwrite the line before it, as a terminal does.

    Otherwise a progress bar would count as endless output.

    Parameters
    ----------
    content : dict
        Content of a message with a text, which is changed.
    outputs : list of NotebookNode
        Earlier outputs of the cell; the last line is moved from there into the message.

    Returns
    -------
    int
        Characters that were moved.
    """
    text, begun, last = content.get("text"), "", outputs[-1] if outputs else NotebookNode()
    is_same = (last.get("output_type"), last.get("name")) == ("stream", content.get("name"))
    is_overwritten = is_same and last.text.endswith("\r")
    if not isinstance(text, str) or not text.strip("\r") or not ("\r" in text or is_overwritten):
        return 0
    if is_same:
        kept, newline, begun = last.text.rpartition("\n")
        last.text = kept + newline
    *lines, current = (begun + text).replace("\r\n", "\n").split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    end = "\r" if current.endswith("\r") else ""
    shown.append(current.rstrip("\r").rpartition("\r")[2] + end)
    content["text"] = "\n".join(shown)
    return len(begun)


def _is_state(msg: Any) -> bool:
    return msg["msg_type"] == "status"
