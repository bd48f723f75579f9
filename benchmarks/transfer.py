"""From an empty cache to a network pretrained on ImageNet: features, head, fine-tuning."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import Table
from course_utils import zoo
from course_utils.records import RunRecord

NAME = "hw3/transfer-finetune-ours"
# The networks of the document to which it is compared: the head alone, and fine-tuned.
REPORTED = ("hw3/transfer-features", "hw3/transfer-finetune")
SECONDS = 600


def measure() -> Table:
    """Train the network as a reader does, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        command = ["course_utils.cli", "zoo", "train", NAME, "--record", str(path)]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", *command], env=os.environ | {"COURSE_CACHE": folder}, check=True
        )
        seconds = time.perf_counter() - start
        record = RunRecord.load(path)
    reported = [zoo.design(name).reported["test_accuracy"] for name in REPORTED]
    return Table(
        f"{NAME}, from an empty cache",
        ["data", "test accuracy", "reported: head only, fine-tuned", "seconds in all", "may take"],
        [[record.source, f"{record.test_accuracy:.1%}",
          ", ".join(f"{each:.1%}" for each in reported),
          f"{seconds:.0f}", f"{SECONDS} s"]],
    )  # fmt: skip
