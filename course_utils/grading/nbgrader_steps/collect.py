"""Collecting submissions: the time of a submission is the collector's, and links lead nowhere."""

from __future__ import annotations

import os
import pwd
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect
from nbgrader.plugins import FileNameCollectorPlugin

from course_utils.grading.nbgrader_steps.folder import TIMESTAMP, open_file, open_inside, survey
from course_utils.grading.nbgrader_steps.notes import printable

# The time of what is not collected.
NEVER = datetime.min.replace(tzinfo=UTC)


class Collect(ExchangeCollect):
    """Collects submissions from nbgrader's exchange folder.

    The folder of a submission belongs to its student until it is collected. nbgrader would follow
    the links in it with the lecturer's rights, believe the time that stands in a file of it, and
    end at the first file that cannot be copied. Everybody can make a folder with any student's name
    there, and nbgrader would collect it with a warning.
    """

    src_records: list[dict[str, Any]]
    check_owner: bool

    def init_src(self) -> None:
        """Find the folders to collect, but no links, and none whose name is wrong."""
        # nbgrader's own check would only warn, and end at a folder that is gone.
        self._has_owners, self.check_owner = self.check_owner, False
        super().init_src()
        self.src_records = [record for record in self.src_records if record["username"]]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        try:
            record = super()._path_to_record(path)
            with open_inside(Path(path)) as folder:
                self._check_owner(folder, record["username"])
        except Exception as error:  # dateutil raises many kinds
            self._say_not_collected(path, error)
            return {"username": "", "timestamp": NEVER}
        return record

    def _check_owner(self, folder: int, student: str) -> None:
        """Make sure that a folder is the student's, unless nbgrader's setting is off."""
        user = os.fstat(folder).st_uid
        try:
            owner = pwd.getpwuid(user).pw_name
        except KeyError:
            owner = f"the user {user}"
        if self._has_owners and owner != student:
            raise PermissionError(
                f"it belongs to {owner}. If students here are no users of this system, set "
                "c.ExchangeCollect.check_owner = False"
            )

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the files that are graded, and write the time that the folder's name contains."""
        # The name is STUDENT+ASSIGNMENT+TIME, with or without +RANDOM.
        student, _, received, *_ = Path(src).name.rsplit("+", 3)
        with tempfile.TemporaryDirectory(prefix="collected-") as place:
            staged = Path(place) / "submission"
            staged.mkdir()
            try:
                self._stage(Path(src), staged, student)
            except OSError as error:
                self._say_not_collected(src, error)
                return
            super().do_copy(str(staged), dest, log)
        (Path(dest) / TIMESTAMP).write_text(received)

    def _stage(self, source: Path, staged: Path, student: str) -> None:
        """Copy the files that are graded, in whatever way their owner changes them meanwhile."""
        files = survey(source, most_bytes=1_000 * self.coursedir.max_dir_size).files
        with open_inside(source) as folder:
            self._check_owner(folder, student)
            for path, status in files.items():
                if path == Path(TIMESTAMP):
                    continue
                (staged / path).parent.mkdir(parents=True, exist_ok=True)
                try:
                    with (
                        open_file(folder, path) as file,
                        (staged / path).open("xb") as copy,
                    ):
                        copy.write(file.read(status.st_size))  # it could grow without an end
                except OSError as error:
                    self._say_not_collected(str(source / path), error)

    def _say_not_collected(self, path: str, error: Exception) -> None:
        self.log.warning("%s was not collected: %s", printable(path), printable(str(error)))


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
