"""The kernel that runs the student's notebook."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from course_utils.grading.sandbox.layout import HANDED_IN, WORK, link_cache
from course_utils.submission.contract import PREDICTIONS_FOLDER


def run(connection: dict[str, Any], folder: str, cache: str) -> None:
    """Run a kernel on a copy of the submission, with access to the grader's cache."""
    from ipykernel.kernelapp import IPKernelApp

    from course_utils.grading.inside.shell import SandboxKernel

    submission = Path(folder) / WORK / "submission"
    handed_in, ignore = Path(folder) / HANDED_IN, shutil.ignore_patterns(PREDICTIONS_FOLDER)
    shutil.copytree(handed_in, submission, copy_function=shutil.copyfile, ignore=ignore)
    link_cache(Path(cache), Path(folder))
    file = Path(folder) / WORK / "connection.json"
    file.write_text(json.dumps(connection), encoding="utf-8")
    os.chdir(submission)
    kernel = IPKernelApp.instance(kernel_class=SandboxKernel)
    kernel.initialize(["-f", str(file), "--HistoryManager.hist_file=:memory:"])
    kernel.start()
