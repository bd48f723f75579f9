"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a titled Markdown table; the cells are taken as they are."""
    body = pd.DataFrame(rows, columns=header).to_markdown(index=False, disable_numparse=True)
    return f"## {title}\n\n{body}"
