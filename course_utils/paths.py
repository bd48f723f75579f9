"""The folders of the library and of the checkout that holds it."""

from __future__ import annotations

from pathlib import Path

# Folder of the library.
PACKAGE = Path(__file__).resolve().parent

# Folder that holds the library: a checkout of the course, if it is not installed elsewhere.
CHECKOUT = PACKAGE.parent

# Records of the runs whose numbers the book shows, in one folder for each experiment.
RECORDS = PACKAGE / "zoo" / "records"


def absolute(path: Path) -> Path:
    """Return a path from the root, without ``..``: a sandbox does not have every folder in it.

    Symbolic links are followed only where ``..`` comes after them.

    Examples
    --------
    >>> from pathlib import Path
    >>> from course_utils.paths import absolute
    >>> absolute(Path("/usr/lib/../share")).as_posix()
    '/usr/share'
    """
    path = path.expanduser().absolute()
    return path.resolve() if ".." in path.parts else path
