"""Reads a paper's ``published.csv``: every printed number with where it stands and how sure we are of it."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

COLUMNS = (
    *("table", "dataset", "method", "metric", "value", "spread", "spread_kind", "n"),
    *("confirmed", "margin", "where", "source", "note"),
)
SPREAD_KINDS = ("seeds", "folds", "unknown")
DEFAULT_MARGIN_PERCENT = 1.0  # percentage points; other units must state their own margin


@dataclass(frozen=True)
class Published:
    """One printed number. ``table``, ``dataset``, ``method`` and ``metric`` are the names of our own cell."""

    table: str
    dataset: str
    method: str
    metric: str
    value: float  # in the metric's unit
    spread: float | None = None  # as printed beside the value
    spread_kind: str = ""  # "seeds", "folds", "unknown"; "" where no spread is printed
    n: int | None = None  # repeats behind the value
    confirmed: bool = True
    margin: float | None = None  # equivalence margin in the metric's unit, fixed before any run
    where: str = ""
    source: str = ""
    note: str = ""
    value_text: str = ""  # as printed, so that tables repeat its digits
    spread_text: str = ""

    @property
    def place(self) -> tuple[str, str, str, str]:
        return (self.table, self.dataset, self.method, self.metric)

    @property
    def rounding(self) -> float:
        """Half a unit of the last printed digit: the number is known to this and no better."""
        exponent = Decimal(self.value_text).as_tuple().exponent if self.value_text else None
        return 0.5 * 10.0**exponent if isinstance(exponent, int) and exponent <= 0 else 0.0


def read_published(path: Path) -> list[Published]:
    """The numbers of one ``published.csv``, in the file's order; none where there is no such file.

    Raises:
        ValueError: a column is missing or unknown, or a value cannot be; the message names the file, the line, the
            column, what stands there and what is possible.
    """
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        _check_header(path, header)
        return [_number(path, reader.line_num, header, fields) for fields in reader if fields]


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in header]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{path}:1: the header {' and '.join(parts)}; possible: {','.join(COLUMNS)}")


def _number(path: Path, line: int, header: list[str], fields: list[str]) -> Published:
    if len(fields) != len(header):
        raise ValueError(f"{path}:{line}: {len(fields)} fields where the header has {len(header)}; quote commas")
    text = {name: value.strip() for name, value in zip(header, fields, strict=True)}
    read = _Reader(path, line, text)
    for name in ("table", "dataset", "method", "metric"):
        read(name, _some, "a name")
    number = Published(
        table=text["table"],
        dataset=text["dataset"],
        method=text["method"],
        metric=text["metric"],
        value=read("value", _finite, "a finite number"),
        spread=read("spread", _optional(_not_negative), "a number of at least 0, or nothing"),
        spread_kind=read("spread_kind", _one_of("", *SPREAD_KINDS), f"{', '.join(SPREAD_KINDS)}, or nothing"),
        n=read("n", _optional(_count), "a whole number of at least 1, or nothing"),
        confirmed=read("confirmed", _one_of("yes", "no"), "yes or no") == "yes",
        margin=read("margin", _optional(_positive), "a number above 0, or nothing"),
        where=text["where"],
        source=text["source"],
        note=text["note"],
        value_text=text["value"],
        spread_text=text["spread"],
    )
    return _checked(read, number)


def _checked(read: _Reader, number: Published) -> Published:
    """Fills the default margin, and refuses what no single column shows to be wrong."""
    if number.spread is not None and not number.spread_kind:
        raise read.error("spread_kind", f"{', '.join(SPREAD_KINDS)}, because a spread is given")
    if number.margin is None and number.metric.endswith("_percent"):
        return replace(number, margin=DEFAULT_MARGIN_PERCENT)
    if number.margin is None and number.confirmed:
        raise read.error("margin", "a number above 0 in the metric's unit: only percentages have a default")
    return number


class _Reader:
    """Converts the columns of one line and says what is wrong with one."""

    def __init__(self, path: Path, line: int, text: dict[str, str]) -> None:
        self.path, self.line, self.text = path, line, text

    def __call__(self, column: str, convert: Callable[[str], Any], possible: str) -> Any:
        try:
            return convert(self.text[column])
        except (ValueError, InvalidOperation):
            raise self.error(column, possible) from None

    def error(self, column: str, possible: str) -> ValueError:
        return ValueError(f"{self.path}:{self.line}: {column} is {self.text[column]!r}; possible: {possible}")


def _some(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _finite(text: str) -> float:
    if not math.isfinite(value := float(Decimal(text))):
        raise ValueError
    return value


def _not_negative(text: str) -> float:
    if (value := _finite(text)) < 0:
        raise ValueError
    return value


def _positive(text: str) -> float:
    if (value := _finite(text)) <= 0:
        raise ValueError
    return value


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def _optional(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: convert(text) if text else None


def _one_of(*possible: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in possible:
            raise ValueError
        return text

    return convert
