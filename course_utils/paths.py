"""The folders of the library and of the checkout that holds it."""

from __future__ import annotations

from pathlib import Path

# Folder of the library.
PACKAGE = Path(__file__).resolve().parent

# Folder that holds the library: a checkout of the course, if it is not installed elsewhere.
CHECKOUT = PACKAGE.parent

# Records of the runs whose numbers the book shows, in one folder for each experiment.
RECORDS = PACKAGE / "zoo" / "records"
