"""Collecting submissions: the time of a submission is the collector's, and links lead nowhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect
from nbgrader.plugins import FileNameCollectorPlugin

from course_utils.grading.nbgrader_steps.folder import TIMESTAMP, survey
from course_utils.grading.nbgrader_steps.notes import printable

# The time of what is not collected.
NEVER = datetime.min.replace(tzinfo=UTC)


class Collect(ExchangeCollect):
    """Collects submissions from nbgrader's exchange folder.

    The folder of a submission belongs to its student until it is collected. nbgrader would follow
    the links in it with the lecturer's rights, believe the time that stands in a file of it, and
    end at the first file that cannot be copied.
    """

    src_records: list[dict[str, Any]]

    def init_src(self) -> None:
        """Find the folders to collect, but no links, and none whose name has no time."""
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"]]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        try:
            record = super()._path_to_record(path)
        except Exception:  # dateutil raises many kinds
            record = None
        if record is None or os.path.islink(path) or not os.path.isdir(path):
            self.log.warning("%s was not collected: it is no submission", printable(path))
            return {"username": "", "timestamp": NEVER}
        return record

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the files that are graded, and write the time that the folder's name contains."""
        received = Path(src)
        with tempfile.TemporaryDirectory(prefix="collected-") as place:
            staged = Path(place) / "submission"
            staged.mkdir()
            for path in survey(received, most_bytes=1_000 * self.coursedir.max_dir_size).files:
                if path != Path(TIMESTAMP):
                    (staged / path).parent.mkdir(parents=True, exist_ok=True)
                    self._copy(received / path, staged / path)
            super().do_copy(str(staged), dest, log)
        # The name is STUDENT+ASSIGNMENT+TIME, with or without +RANDOM.
        (Path(dest) / TIMESTAMP).write_text(received.name.rsplit("+", 3)[2])

    def _copy(self, source: Path, dest: Path) -> None:
        """Copy a regular file that its owner may be replacing with a link or a pipe."""
        try:
            handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(handle, "rb") as file, dest.open("xb") as copy:
                shutil.copyfileobj(file, copy)
        except OSError as error:
            self.log.warning("%s was not collected: %s", printable(str(source)), error.strerror)


class FileNames(FileNameCollectorPlugin):
    """Collects the files of ``nbgrader zip_collect``, except one with the time of the submission.

    nbgrader would believe such a file, which only a student can have put there.
    """

    def collect(self, submitted_file: str) -> dict[str, str] | None:
        """Return the student, the path in the submission and the time; None to skip the file."""
        found = super().collect(submitted_file)
        if found:
            ending = os.path.splitext(submitted_file)[1]
            path = Path(os.path.normpath(os.path.splitext(found["file_id"])[0] + ending))
            if TIMESTAMP in path.parts[:1]:
                return None
        return found
