"""Reads a paper's ``published.csv``: every printed number with where it stands and how sure we are of it."""

import contextlib
import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

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
    margin: float | None = None  # equivalence margin in the metric's unit
    where: str = ""
    source: str = ""
    note: str = ""
    protocol: Mapping[str, str] = field(default_factory=dict)  # what decides it: epochs, features, selection, ...
    rerun: str = ""  # whose rerun of the method it is; "" for its authors' own number
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
        try:
            header = next(reader, [])
            _check_header(path, header)
            return [_number(path, reader.line_num, header, fields) for fields in reader if fields]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path}:{reader.line_num + 1}: not CSV in UTF-8 ({error}); save it as UTF-8") from error


def _check_header(path: Path, header: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in header and name not in OPTIONAL]
    unknown = [name for name in header if name not in COLUMNS]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{path}:1: the header {' and '.join(parts)}; possible: {','.join(COLUMNS)}")


def _number(path: Path, line: int, header: list[str], fields: list[str]) -> Published:
    if len(fields) != len(header):
        raise ValueError(f"{path}:{line}: {len(fields)} fields where the header has {len(header)}; quote commas")
    text = dict.fromkeys(OPTIONAL, "") | {name: value.strip() for name, value in zip(header, fields, strict=True)}

    def error(column: str, possible: str) -> ValueError:
        return ValueError(f"{path}:{line}: {column} is {text[column]!r}; possible: {possible}")

    read: dict[str, Any] = {}
    for column, (convert, allowed, possible) in COLUMNS.items():
        read[column] = None
        if text[column] or column not in MAY_BE_NOTHING:
            with contextlib.suppress(ValueError, InvalidOperation):
                read[column] = convert(text[column])
            if read[column] is None or not allowed(read[column]):
                raise error(column, possible)
    if read["spread"] is not None and not read["spread_kind"]:
        raise error("spread_kind", f"{', '.join(SPREAD_KINDS)}, because a spread is given")
    if read["margin"] is None and read["metric"].endswith("_percent"):
        read["margin"] = DEFAULT_MARGIN_PERCENT
    if read["margin"] is None and read["confirmed"]:
        raise error("margin", "a number above 0 in the metric's unit: only percentages have a default")
    return Published(**read, value_text=text["value"], spread_text=text["spread"])


def _number_of(text: str) -> float:
    return float(Decimal(text))


def _pairs(text: str) -> dict[str, str]:
    """``epochs=20; features=constant`` as a dictionary."""
    return {name.strip(): value.strip() for name, value in (pair.split("=") for pair in filter(None, text.split(";")))}


OPTIONAL = ("protocol", "rerun")
MAY_BE_NOTHING = ("spread", "n", "margin")
# Column -> how its text is read, whether the value may stand there, and what is possible.
COLUMNS: dict[str, tuple[Callable[[str], Any], Callable[[Any], bool], str]] = {
    **dict.fromkeys(("table", "dataset", "method", "metric"), (str, bool, "a name")),
    "value": (_number_of, math.isfinite, "a finite number"),
    "spread": (_number_of, lambda value: 0 <= value < math.inf, "a number of at least 0, or nothing"),
    "spread_kind": (str, ("", *SPREAD_KINDS).__contains__, f"{', '.join(SPREAD_KINDS)}, or nothing"),
    "n": (int, lambda value: value >= 1, "a whole number of at least 1, or nothing"),
    "confirmed": ({"yes": True, "no": False}.get, lambda value: value is not None, "yes or no"),
    "margin": (_number_of, lambda value: 0 < value < math.inf, "a number above 0, or nothing"),
    **dict.fromkeys(("where", "source", "note", "rerun"), (str, lambda value: True, "any text")),
    "protocol": (_pairs, lambda value: True, "name=value pairs with ; between them, or nothing"),
}
