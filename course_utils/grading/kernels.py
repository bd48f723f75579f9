"""Kernels in sandboxes: how Jupyter's clients start one, and what runs inside."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

from course_utils.data.sources import places
from course_utils.grading import warm
from course_utils.grading.processes import Process
from course_utils.grading.relay import Relay
from course_utils.grading.sandbox import HANDED_IN, WORK, open_sandbox
from course_utils.runtime import cache_dir, keras_home
from course_utils.submission.settings import AHEAD, EXAMINED, GRADING, PREDICTED

PROVISIONER = "course-sandbox"
# Of one kernel, on all its sockets together; the client keeps much of it in memory.
MAX_SENT_BYTES = 256 * 2**20


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel in a sandbox of its own, as a fork of a process that is warm.

    The kernel's folder is what was handed in. The kernel gets a copy, of which nothing comes
    back but what it says over its sockets.
    """

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        self.sandbox = open_sandbox(readable=data_folders(), handed_in=Path(kwargs["cwd"]))
        self._sockets = self.sandbox.folder / WORK / "kernel"
        self._relay = Relay(self.sandbox.outside(self._sockets), MAX_SENT_BYTES, self._end)
        self.parent.transport = "ipc"
        self.parent.ip = self._relay.ip
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        connection = json.loads(Path(self.parent.connection_file).read_text(encoding="utf-8"))
        self._relay.listen(number for name, number in connection.items() if name.endswith("_port"))
        self.pid = warm.shared().start(
            "course_utils.grading.kernels:run",
            self.sandbox.ticket(),
            {
                GRADING: "autograde",
                EXAMINED: "1",
                PREDICTED: str(self.sandbox.folder / HANDED_IN / AHEAD),
                "COURSE_CACHE": str(_cache(self.sandbox.folder)),
            }
            | self.parent.environment,
            [connection | {"ip": str(self._sockets)}, str(self.sandbox.folder), str(cache_dir())],
        )
        self.process = Process(self.pid)
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        self._end()

    async def terminate(self, restart: bool = False) -> None:
        self._end()

    async def cleanup(self, restart: bool = False) -> None:
        self._end()

    def _end(self) -> None:
        self.sandbox.close()
        self._relay.close()


def data_folders() -> list[Path]:
    """Return where the data sets, the weights and their decoded forms lie."""
    folders = [place.path for place in places(None)]
    folders += [cache_dir(), keras_home() / "models"]
    return [folder for folder in folders if folder.exists()]


def run(connection: dict[str, Any], folder: str, cache: str) -> None:
    """Run a kernel inside: with a copy of what was handed in, and the cache as it was."""
    from ipykernel.kernelapp import IPKernelApp

    submission = Path(folder) / WORK / "submission"
    handed_in, ignore = Path(folder) / HANDED_IN, shutil.ignore_patterns(AHEAD)
    shutil.copytree(handed_in, submission, copy_function=shutil.copyfile, ignore=ignore)
    _link_cache(Path(cache), _cache(Path(folder)))
    file = Path(folder) / WORK / "connection.json"
    file.write_text(json.dumps(connection), encoding="utf-8")
    os.chdir(submission)
    kernel = IPKernelApp.instance()
    kernel.initialize(["-f", str(file), "--HistoryManager.hist_file=:memory:"])
    kernel.start()


def _cache(folder: Path) -> Path:
    return folder / WORK / "cache"


def _link_cache(cache: Path, own: Path) -> None:
    """Let a kernel read everything that is cached, and add to it for itself."""
    (own / "features").mkdir(parents=True)
    (own / "datasets").symlink_to(cache / "datasets")
    for path in (cache / "features").glob("*.npy"):
        (own / "features" / path.name).symlink_to(path)
