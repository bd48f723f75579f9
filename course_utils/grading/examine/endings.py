"""Why a program has ended: by itself, by a limit of its own, or from outside.

Only the first two may cost points. If a program was ended from outside, as when the machine has no
memory left, nothing is known about the submission, so it is not graded.
"""

from __future__ import annotations

import resource
import signal

from course_utils.errors import InterruptedExaminationError
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import NoSandbox, Sandbox
from course_utils.grading.sandbox.limits import EXIT_CODE_SECONDS


def check_ending(
    name: str, sandbox: Sandbox | NoSandbox, pid: int, preload: str = fork_server.PRELOAD
) -> str:
    """Return why a program has ended, as a phrase.

    Parameters
    ----------
    name : str
        The program, for the message: such as ``"the kernel"``.
    sandbox : Sandbox or NoSandbox
        The program's sandbox.
    pid : int
        The program's id.
    preload : str
        What the fork server that started it had imported (see `fork_server.shared`).

    Raises
    ------
    InterruptedExaminationError
        If it was ended from outside, or if nobody saw why it ended.
    """
    code = fork_server.shared(preload).exit_code(pid, EXIT_CODE_SECONDS)
    if sandbox.exceeded:
        return f"it took {sandbox.exceeded}"
    if code is None:
        raise InterruptedExaminationError(
            f"Not graded: {name} has ended, and nobody saw why. Grade this submission again."
        )
    if code == -signal.SIGKILL:  # hardly from the program itself: see SECURITY.md
        raise InterruptedExaminationError(
            f"Not graded: {name} was ended from outside (SIGKILL), as when "
            "the machine has no memory left. Grade this submission again."
        )
    seconds = sandbox.limits.processor
    if code == -signal.SIGXCPU and seconds != resource.RLIM_INFINITY:
        return f"it took more than {seconds} seconds"
    if code < 0:
        return f"it crashed ({signal_name(-code)})"
    return f"it ended itself (exit code {code})"


def signal_name(number: int) -> str:
    """Return a signal's name; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
