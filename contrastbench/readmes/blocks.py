"""Fills Markdown files from the rows: tables, and numbers in sentences, marked by comments that GitHub hides.

A table stands between two comments; its name is paper/table/scale, and ``/long``, ``/grid`` or ``/brief`` fixes the
layout:

    <!-- table: hard_negatives/main/quick -->
    ...
    <!-- end -->

A number is followed by a comment that says where it comes from; sign and decimals are kept as they stand:

    InfoGraph has 87.7<!--= mean | main | MUTAG | InfoGraph --> there, +1.4 [0.1, 2.8]<!--= gain | main | MUTAG |
    InfoGraph | Untrained GIN --> over the untrained encoder.

In a paper's own README the paper may be left out, and the scale too if the table was measured at one scale only. Both
show shipped rows; what was measured on the reader's machine is in the report. Times and memory come from CSV files that
scripts of the paper wrote beside its rows:

    2.41<!--= times | speed.csv | milliseconds | loss=hcl; batch=256 | contender=formula | contender=ours -->
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from contrastbench.readmes.marks import OF_FILES, OF_TABLES, Lines, Values
from contrastbench.report.tables import LAYOUTS, markdown, sheet
from contrastbench.runner import files
from contrastbench.runner.vocabulary import SCALES
from contrastbench.verdicts.cells import JoinedTable

BLOCK = re.compile(r"(<!-- table: *(?P<name>[^\n]*?) *-->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
START = re.compile(r"<!-- table:")
_ONE = r"[+-]?\d+(?:\.\d+)?"
NUMBER = re.compile(rf"(?P<text>{_ONE}(?: \[{_ONE}, {_ONE}\])?)<!--= *(?P<says>[^>]*?) *-->")
MARK = re.compile(r"<!--=")
FINDINGS = re.compile(r"<!-- findings -->\n(.*?)<!-- end -->", re.DOTALL)

RESULTS = Path("results")


def fill(text: str, tables: Iterable[JoinedTable], where: str, paper: str = "", results: Path = RESULTS) -> str:
    """Makes every table and every marked number of ``text`` anew.

    Args:
        tables: everything measured.
        where: the file's name, for errors.
        paper: the paper whose README it is; then names may leave it out.
        results: the folder of the shipped rows, with a folder for each paper.

    Raises:
        ValueError: a block has no end, a mark has no number before it, or a name is unknown.
    """
    if len(START.findall(text)) != len(BLOCK.findall(text)):
        raise ValueError(f"{where}: a <!-- table: ... --> has no <!-- end --> below it")
    if len(MARK.findall(text)) != len(NUMBER.findall(text)):
        raise ValueError(f"{where}: a <!--= ... --> does not stand right behind a number")
    known = _Known(list(tables), paper, results)
    try:
        text = BLOCK.sub(lambda match: f"{match[1]}{known.printed(match['name'])}{match[4]}", text)
        return NUMBER.sub(lambda m: f"{_written(m['text'], known.values(m['says']))}<!--= {m['says']} -->", text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _written(text: str, values: Values) -> str:
    """Writes the values as the text has them: with its decimals, and a plus sign if it has one."""
    numbers = re.findall(_ONE, text)
    if len(numbers) > len(values):
        raise ValueError(f"{text!r} has an interval, what its mark names has none")
    fresh = iter(zip(numbers, values, strict=False))

    def one(match: re.Match[str]) -> str:
        old, value = next(fresh)
        return f"{value:{'+' if old[0] == '+' else ''}.{len(old.partition('.')[2])}f}"

    return re.sub(_ONE, one, text)


class _Known:
    """Finds tables and files by name, and looks up what marks name."""

    def __init__(self, tables: Sequence[JoinedTable], paper: str, results: Path) -> None:
        self.tables, self.paper, self.folder = tables, paper, results / paper

    def table(self, name: str) -> JoinedTable:
        parts = name.split("/")
        if self.paper and parts[0] != self.paper:
            parts.insert(0, self.paper)
        scale = parts.pop() if parts[-1] in SCALES else ""
        found = [t for t in self.tables if [t.paper, t.name] == parts and scale in ("", t.scale)]
        measured = [t for t in found if any(cell.best_known for cell in t.cells)] or found
        if len(measured) != 1:
            among = dict.fromkeys(f"{t.paper}/{t.name}/{t.scale}" for t in measured or self.tables)
            raise ValueError(f"not one table is named {name!r}; possible: {', '.join(among) or 'none'}")
        return measured[0]

    def printed(self, name: str) -> str:
        """The body of a table's block."""
        name, slash, layout = name.rpartition("/") if name.rpartition("/")[2] in LAYOUTS else (name, "", "auto")
        return "\n" + markdown(sheet(self.table(name), layout, places=("shipped",)), title=False) + "\n"

    def lines(self, name: str) -> Lines:
        """The lines of a CSV file beside the paper's rows."""
        if not (self.folder / name).exists():
            raise ValueError(f"there is no file {self.folder / name}")
        with open(self.folder / name, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def values(self, says: str) -> Values:
        """Looks up a mark, as ``mean | table | data set | method | metric``; the other words are in ``marks``."""
        word, *parts = (part.strip() for part in " ".join(says.split()).split("|"))
        if word not in (*OF_TABLES, *OF_FILES) or not parts:
            known = f"it starts with {', '.join(OF_TABLES)}, and a table follows, or {', '.join(OF_FILES)}, and a file"
            raise ValueError(f"unknown mark {says!r}; {known}")
        if word in OF_TABLES:
            return OF_TABLES[word](self.table(parts[0]), parts[1:])
        return (OF_FILES[word](self.lines(parts[0]), parts[1:]),)


def findings_of(path: Path) -> list[str]:
    """Reads a README's findings, the items between <!-- findings --> and <!-- end -->, as plain text."""
    match = FINDINGS.search(path.read_text(encoding="utf-8")) if path.exists() else None
    if not match:
        return []
    text = re.sub(r"<!--.*?-->", "", match[1], flags=re.DOTALL)
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("**", "").replace("`", "")
    return [" ".join(item.split()) for item in re.split(r"^(?:\d+\.|-) ", text, flags=re.MULTILINE) if item.strip()]


def fill_file(path: Path, tables: Iterable[JoinedTable], paper: str = "", results: Path = RESULTS) -> bool:
    """Fills the tables and numbers of one Markdown file; True if that changed it."""
    old = path.read_text(encoding="utf-8")
    new = fill(old, tables, str(path), paper, results)
    if new != old:
        files.write_text(path, new)
    return new != old


def check_file(path: Path, tables: Iterable[JoinedTable], paper: str = "", results: Path = RESULTS) -> list[str]:
    """One line for each table and number of the file that does not follow from the rows and measurements."""
    text = path.read_text(encoding="utf-8")
    fresh = fill(text, tables, str(path), paper, results)
    tables_there = zip(BLOCK.finditer(text), BLOCK.finditer(fresh), strict=True)
    numbers_there = zip(NUMBER.finditer(text), NUMBER.finditer(fresh), strict=True)
    return [
        *(
            f"{path}: the table {old['name']} does not follow from the rows; fill it again"
            for old, new in tables_there
            if old["body"] != new["body"]
        ),
        *(
            f"{path}: the rows say {new['text']}, not {old['text']} ({' '.join(old['says'].split())})"
            for old, new in numbers_there
            if old["text"] != new["text"]
        ),
    ]
