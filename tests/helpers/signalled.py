"""Programs of the fork server that get a signal as soon as they are started."""

from __future__ import annotations

import os
import signal

from course_utils.grading.sandbox import fork_server


def signal_next(monkeypatch, how_many: int, with_signal: int = signal.SIGKILL) -> list[int]:
    """Send a signal to the next programs that are started; return a list of those that got it."""
    start, signalled = fork_server.ForkServer.start, []

    def start_and_signal(self, program, *rest, **settings):
        pid = start(self, program, *rest, **settings)
        if len(signalled) < how_many:
            os.kill(pid, with_signal)
            signalled.append(pid)
        return pid

    monkeypatch.setattr(fork_server.ForkServer, "start", start_and_signal)
    return signalled
