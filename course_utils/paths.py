"""The folders of the library and of the checkout that holds it."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
RECORDS = CHECKOUT / "book" / "records"
