"""The relay between a kernel and its client."""

from __future__ import annotations

import contextlib
import socket
from unittest import mock

import pytest

from course_utils.grading.sandbox.relay import Relay


def test_a_relay_follows_no_link(tmp_path):
    """Else a student's link would have the grader call a socket of this machine."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as elsewhere:
        elsewhere.bind(str(tmp_path / "elsewhere"))
        elsewhere.listen()
        elsewhere.settimeout(1)
        (tmp_path / "kernel-1").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "kernel-2").write_text("no socket")
        relay = Relay(tmp_path / "kernel", 1000, on_excess=mock.Mock())
        relay.listen([1, 2])
        for number in (1, 2):
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
                client.connect(f"{relay.ip}-{number}")
                assert client.recv(1) == b""
        with pytest.raises(TimeoutError):
            elsewhere.accept()
        relay.close()
