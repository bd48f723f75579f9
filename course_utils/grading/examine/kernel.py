"""Starting kernels in sandboxes through Jupyter's own interfaces."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Bool, Dict, Instance, List, default

from course_utils import env
from course_utils.data.ladder import places
from course_utils.errors import SandboxError
from course_utils.grading.assignment.course import CONFIG
from course_utils.grading.sandbox import fork_server
from course_utils.grading.sandbox.bubblewrap import open_sandbox
from course_utils.grading.sandbox.layout import HANDED_IN, WORK, private_cache, python_folders
from course_utils.grading.sandbox.limits import (
    MAX_MESSAGE_BYTES,
    MAX_SEARCHED,
    MAX_SENT_BYTES,
    SEND_SECONDS,
)
from course_utils.grading.sandbox.procfs import Process
from course_utils.grading.sandbox.relay import Relay
from course_utils.runtime import cache_dir, keras_home, start_folder
from course_utils.submission.contract import PREDICTIONS_FOLDER

# Name of `SandboxProvisioner` among Jupyter's kernel provisioners (see pyproject.toml).
PROVISIONER = "course-sandbox"


class SandboxKernelManager(AsyncKernelManager):
    """Starts kernels in sandboxes, and refuses messages that are too large.

    Attributes
    ----------
    environment : dict of str
        Variables that are added to the kernels' environment.
    readable : list of Path
        The folders with data that kernels see; default: `data_folders`.
    with_my_rights : bool
        Whether kernels run with the lecturer's rights, without a sandbox.
    started : SandboxProvisioner or None
        The kernel that was started last.
    """

    environment = Dict()
    readable = List(Instance(Path))
    with_my_rights = Bool(False)
    started: SandboxProvisioner | None = None

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        assert self.kernel_spec  # the Python kernel is installed with this library
        self.kernel_spec.metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER}

    @default("readable")
    def _default_readable(self) -> list[Path]:
        return data_folders()

    def client(self, **settings: Any) -> Any:
        client = super().client(**settings)
        client.context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        client.context.setsockopt(zmq.SNDTIMEO, SEND_SECONDS * 1000)
        return client


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel in its own sandbox, as a fork of the fork server.

    The kernel works on a copy of the submission. Only the messages on the kernel's sockets leave
    the sandbox.

    Attributes
    ----------
    ended_first : bool
        Whether the kernel had ended before `end` was called.
    why_ended : str
        Why `end` was called, as a phrase, if the kernel had not finished.
    """

    parent: SandboxKernelManager
    ended_first = False
    why_ended = ""
    _has_been_ended = False

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        self.sandbox = open_sandbox(
            self.parent.with_my_rights,
            readable=self.parent.readable,
            handed_in=Path(kwargs["cwd"]),
        )
        self._sockets = self.sandbox.folder / WORK / "kernel"
        self._relay = Relay(
            self.sandbox.outside(self._sockets),
            MAX_SENT_BYTES,
            lambda: self.end(f"it sent more than {MAX_SENT_BYTES >> 20} MB"),
        )
        self.parent.transport = "ipc"
        self.parent.ip = self._relay.ip
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        connection = json.loads(Path(self.parent.connection_file).read_text(encoding="utf-8"))
        self._relay.listen(number for name, number in connection.items() if name.endswith("_port"))
        self.pid = fork_server.shared().start(
            "course_utils.grading.inside.kernel:run",
            self.sandbox.ticket(),
            {
                env.GRADING.name: "autograde",
                env.EXAMINED.name: "1",
                env.PREDICTED.name: str(self.sandbox.folder / HANDED_IN / PREDICTIONS_FOLDER),
                env.CACHE.name: str(private_cache(self.sandbox.folder)),
            }
            | self.parent.environment,
            [connection | {"ip": str(self._sockets)}, str(self.sandbox.folder), str(cache_dir())],
        )
        # `Process` has those methods of `Popen` that Jupyter calls.
        self.process = Process(self.pid)  # type: ignore[assignment]
        self.parent.started = self
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        self.end()

    async def terminate(self, restart: bool = False) -> None:
        self.end()

    async def cleanup(self, restart: bool = False) -> None:
        self.end()

    def end(self, why: str = "") -> None:
        """End the kernel and everything in its sandbox; say why if it has not finished."""
        if not self._has_been_ended:
            self._has_been_ended, self.why_ended = True, why
            self.ended_first = self.process is not None and self.process.poll() is not None
        self.sandbox.close()
        self._relay.close()


def data_folders() -> list[Path]:
    """Return the existing folders of the data sets, the weights and the cache.

    Raises
    ------
    SandboxError
        If one of them holds more than data: the course, the folder of the grader, or a home.
    """
    folders = [place.path for place in places(None)]
    # The other folders of the cache hold locks, which a submission could keep.
    folders += [cache_dir() / "datasets", cache_dir() / "features", keras_home() / "models"]
    folders = [folder for folder in folders if folder.exists()]
    for folder in [*folders, *python_folders()]:
        if _holds_more_than_data(folder.resolve()) or (
            folder in folders and holds_a_course(folder)
        ):
            raise SandboxError(
                f"{folder} would be visible to submissions, and it holds more than data or Python: "
                f"the course, the folder in which you grade, or a home. Set {env.DATA.name} or "
                f"{env.CACHE.name} to a folder that holds nothing else, and make the virtual "
                "environment in a folder of its own."
            )
    return folders


def _holds_more_than_data(folder: Path) -> bool:
    private = (start_folder().resolve(), Path.home().resolve())
    return any(each.is_relative_to(folder) for each in private) or (folder / CONFIG).is_file()


def holds_a_course(folder: Path) -> bool:
    """Tell whether a course is somewhere in a folder, as far as a short search finds one.

    A Dask worker on another machine does not know where the course is. Data can be millions of
    files, so the uppermost levels come first.
    """
    folders, left = [folder], MAX_SEARCHED
    for place in folders:  # which grows
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in itertools.islice(entries, left):
                left -= 1
                if entry.name == CONFIG:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry))
    return False
