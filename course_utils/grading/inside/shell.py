"""IPython as the student's kernel has it: lines with ``!`` work without a terminal."""

from __future__ import annotations

from functools import partial
from subprocess import DEVNULL, PIPE, STDOUT, Popen

from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from traitlets import Type

# Characters that are printed at a time, at most: a line may have no end.
AT_A_TIME = 2**16


class SandboxShell(ZMQInteractiveShell):
    """Runs the commands of ``!`` and ``%pip`` with pipes: IPython needs a terminal for them."""

    def system_piped(self, cmd: str) -> None:
        """Run a command, print what it prints, and store its exit status as IPython does."""
        with Popen(
            self.var_expand(cmd, depth=1), shell=True, text=True, errors="replace",
            stdin=DEVNULL, stdout=PIPE, stderr=STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout
            for text in iter(partial(process.stdout.readline, AT_A_TIME), ""):
                print(text, end="")
        self.user_ns["_exit_code"] = process.returncode

    system = system_piped


class SandboxKernel(IPythonKernel):
    """A kernel with the shell for a sandbox."""

    shell_class = Type(SandboxShell)
