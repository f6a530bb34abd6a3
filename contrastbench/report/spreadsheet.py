"""CSV that a spreadsheet shows as it is: no cell of ours can be taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_of(lines: Iterable[Sequence[object]]) -> str:
    """The lines as CSV; a text that a spreadsheet would calculate gets an apostrophe in front, numbers stay numbers."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([safe(cell) for cell in line] for line in lines)
    return out.getvalue()


def safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
