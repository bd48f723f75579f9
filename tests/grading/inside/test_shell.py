"""Commands in a student's notebook run where there is no terminal."""

from __future__ import annotations

import os

import pytest
from IPython.core.error import StdinNotImplementedError

from course_utils.grading.inside.shell import SandboxKernel, SandboxShell


@pytest.fixture
def shell(monkeypatch):
    """IPython's shell, which sets variables (``FORCE_COLOR``, ``TERM``) for all of its process."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    yield SandboxShell.instance()
    SandboxShell.clear_instance()


@pytest.mark.process
def test_a_command_needs_no_terminal(shell, capfd, monkeypatch):
    def no_terminals():
        raise OSError("out of pty devices")

    for function in ("forkpty", "openpty"):
        monkeypatch.setattr(os, function, no_terminals)
    shell.run_cell("number = 3\n!echo {number} > file; cat file; rm file; false", silent=True)
    assert capfd.readouterr().out == "3\n"
    assert shell.user_ns["_exit_code"] == 1


@pytest.mark.process
def test_a_command_waits_for_no_input_and_may_print_anything(shell, capfd):
    shell.run_cell(r"!cat; printf 'a\377b'; printf '%70000d' 1 >&2", silent=True)
    assert capfd.readouterr().out == "a\ufffdb" + "1".rjust(70_000)


def test_an_extension_that_is_not_installed_costs_nothing(shell, capfd):
    code = "%load_ext nb_black\n%reload_ext nb_black\n%load_ext autoreload\nfirst = 1"
    assert shell.run_cell(code, silent=True).success
    assert shell.user_ns["first"] == 1
    left_out = "The extension nb_black was left out: No module named 'nb_black'.\n"
    assert capfd.readouterr().out == 2 * left_out


def test_who_asks_for_input_reads_that_nobody_answers():
    for ask in (SandboxKernel.raw_input, SandboxKernel.getpass):
        with pytest.raises(StdinNotImplementedError, match="Nobody answers while a notebook is"):
            ask(None, "A number: ")
