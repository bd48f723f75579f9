"""IPython in the student's kernel: no cell fails because of what only another machine has.

Lines with ``!`` work without a terminal, and extensions that are not installed are left out.
"""

from __future__ import annotations

from functools import partial
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core.error import StdinNotImplementedError
from IPython.core.extensions import ExtensionManager
from traitlets import Type

# Characters that are printed at a time, at most: a line may have no end.
AT_A_TIME = 2**16

UNANSWERED = "Nobody answers while a notebook is graded: write the value into the code."


class InstalledExtensions(ExtensionManager):
    """Leaves out what is not installed here, such as an extension that formats code."""

    def load_extension(self, module_str: str) -> str | None:
        """Load an extension as IPython does, or print that it is left out."""
        try:
            return super().load_extension(module_str)
        except ModuleNotFoundError as error:
            print(f"The extension {module_str} was left out: {error}.")
            return None


class SandboxShell(ZMQInteractiveShell):
    """Runs the commands of ``!`` and ``%pip`` with pipes: IPython needs a terminal for them."""

    def init_extension_manager(self) -> None:
        """Replace IPython's manager of the extensions."""
        super().init_extension_manager()
        self.extension_manager = InstalledExtensions(shell=self, parent=self)

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

    def raw_input(self, prompt: str = "") -> str:
        """Refuse to ask.

        Raises
        ------
        StdinNotImplementedError
            Always; the message says why.
        """
        raise StdinNotImplementedError(UNANSWERED)

    def getpass(self, *_: Any, **__: Any) -> str:
        """Refuse to ask; see `raw_input`."""
        raise StdinNotImplementedError(UNANSWERED)
