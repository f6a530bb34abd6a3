"""What Markdown files take from the rows: tables, and numbers in sentences, marked by comments that GitHub hides.

A table stands between two comments; its name is paper/table/scale, and ``/long``, ``/grid`` or ``/brief`` fixes the
layout:

    <!-- table: hard_negatives/main/quick -->
    ...
    <!-- end -->

A number is followed by a comment that says where it comes from; sign and decimals are kept as they stand:

    InfoGraph has 87.7<!--= mean | main | MUTAG | InfoGraph --> there, +1.4 [0.1, 2.8]<!--= gain | main | MUTAG |
    InfoGraph | Untrained GIN --> over the untrained encoder.

In a paper's own README the paper may be left out, and so may the scale where the table was measured at one scale only.
Both show shipped rows; what was measured on the reader's machine is in the report. Times and memory are in CSV files
that scripts of the paper wrote beside its rows:

    2.41<!--= times | speed.csv | milliseconds | loss=hcl; batch=256 | contender=formula | contender=ours -->
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from contrastbench.report.cells import JoinedCell, JoinedTable
from contrastbench.report.comparisons import Pooled, gain_in_pairs, pooled_claims
from contrastbench.report.formats import markdown
from contrastbench.report.statistics import Interval, spread_ratio
from contrastbench.report.tables import LAYOUTS, sheet
from contrastbench.runner import files
from contrastbench.runner.vocabulary import SCALES

BLOCK = re.compile(r"(<!-- table: *(?P<name>[^\n]*?) *-->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)
START = re.compile(r"<!-- table:")
_ONE = r"[+-]?\d+(?:\.\d+)?"
NUMBER = re.compile(rf"(?P<text>{_ONE}(?: \[{_ONE}, {_ONE}\])?)<!--= *(?P<says>[^>]*?) *-->")
MARK = re.compile(r"<!--=")
FINDINGS = re.compile(r"<!-- findings -->\n(.*?)<!-- end -->", re.DOTALL)

RESULTS = Path("results")
Values = tuple[float, ...]  # a number, or a number and the two ends of its interval
Lines = Sequence[Mapping[str, str]]  # of a CSV file


def fill(text: str, tables: Iterable[JoinedTable], where: str, paper: str = "", results: Path = RESULTS) -> str:
    """``text`` with every table and every marked number made anew.

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
    """The values in the style of the text that stands there: its decimals, a plus sign where it has one."""
    numbers = re.findall(_ONE, text)
    if len(numbers) > len(values):
        raise ValueError(f"{text!r} has an interval, what its mark names has none")
    fresh = iter(zip(numbers, values, strict=False))

    def one(match: re.Match[str]) -> str:
        old, value = next(fresh)
        return f"{value:{'+' if old[0] == '+' else ''}.{len(old.partition('.')[2])}f}"

    return re.sub(_ONE, one, text)


class _Known:
    """The tables and files by name, and what a mark can say of them."""

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
        """What a mark names: ``mean | table | data set | method | metric``; see below for the other words."""
        word, *parts = (part.strip() for part in " ".join(says.split()).split("|"))
        if word not in (*OF_TABLES, *OF_FILES) or not parts:
            known = f"it starts with {', '.join(OF_TABLES)}, and a table follows, or {', '.join(OF_FILES)}, and a file"
            raise ValueError(f"unknown mark {says!r}; {known}")
        if word in OF_TABLES:
            return OF_TABLES[word](self.table(parts[0]), parts[1:])
        return (OF_FILES[word](self.lines(parts[0]), parts[1:]),)


def _cell(table: JoinedTable, parts: Sequence[str]) -> JoinedCell:
    """The measured cell of (data set, method[, metric]); a method is named alone or by its whole label."""
    found = [cell for cell in table.cells if _is_named(cell, parts)]
    if not found or not found[0].best_known.done:
        raise ValueError(f"no measured cell {' | '.join(parts)} in {table.paper}/{table.name}/{table.scale}")
    return found[0]


def _is_named(cell: JoinedCell, parts: Sequence[str]) -> bool:
    possible = ((cell.dataset,), (cell.method, cell.label), (cell.metric,))
    return all(part in names for part, names in zip(parts, possible, strict=False))


def _ends(value: float, interval: Interval | None) -> Values:
    return (value, *interval) if interval else (value,)


def _mean(table: JoinedTable, parts: Sequence[str]) -> Values:
    sample = _cell(table, parts).best_known
    return _ends(sample.summary.mean, sample.interval)


def _first(table: JoinedTable, parts: Sequence[str]) -> Values:
    *cell, count = parts
    values = [value for seed, value in _cell(table, cell).best_known.by_seed.items() if seed < int(count)]
    return (statistics.fmean(values),)


def _off(table: JoinedTable, parts: Sequence[str]) -> Values:
    verdict = _cell(table, parts).verdict
    if verdict.difference is None:
        raise ValueError(f"{' | '.join(parts)} of {table.name} is {verdict.kind}: {verdict.reason}")
    return _ends(verdict.difference, verdict.interval)


def _gain(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, other, *metric = parts
    pairs = gain_in_pairs(_cell(table, [dataset, method, *metric]), _cell(table, [dataset, other, *metric]))
    return _ends(pairs.mean, pairs.interval)


def _between(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, metric, other = parts
    pairs = gain_in_pairs(_cell(table, [dataset, method, metric]), _cell(table, [dataset, method, other]))
    return _ends(pairs.mean, pairs.interval)


def _spread(table: JoinedTable, parts: Sequence[str]) -> Values:
    dataset, method, other, *metric = parts
    one, two = (_cell(table, [dataset, name, *metric]).best_known.summary for name in (method, other))
    return _ends(*spread_ratio(one, two))


def _pooled(table: JoinedTable, parts: Sequence[str]) -> Pooled:
    found = [claim for claim in pooled_claims(table) if [claim.method, claim.other] == list(parts)]
    if not found:
        raise ValueError(f"{table.paper}/{table.name} pools no claim {' | '.join(parts)}")
    return found[0]


OF_TABLES: dict[str, Callable[[JoinedTable, Sequence[str]], Values]] = {
    "mean": _mean,  # table | data set | method [| metric], with the interval of the mean
    "first": _first,  # table | data set | method [| metric] | n: the mean of the seeds below n
    "sd": lambda table, parts: (_cell(table, parts).best_known.summary.sd,),
    "n": lambda table, parts: (float(_cell(table, parts).best_known.summary.n),),
    # the median seconds of the cell's runs
    "seconds": lambda table, parts: (statistics.median(r["seconds"] for r in _cell(table, parts).best_known.done),),
    "off": _off,  # ours minus published, with its interval
    "gain": _gain,  # table | data set | method | other [| metric], in pairs by seed, with its interval
    "between": _between,  # table | data set | method | metric | other metric: of the same runs, with its interval
    "spread": _spread,  # table | data set | method | other [| metric]: sd over the other's sd, with its interval
    # table | method | other: over all data sets, with its interval, and the p of the same claim
    "pooled": lambda table, parts: _ends((claim := _pooled(table, parts)).mean, claim.interval),
    "p": lambda table, parts: (_pooled(table, parts).p,),
    "p after Holm": lambda table, parts: (_pooled(table, parts).p_holm,),
}


def _chosen(lines: Lines, parts: Sequence[str]) -> list[float]:
    """The column's numbers in the lines that have ``loss=hcl; batch=256``; those without a number are left out."""
    column, where = parts
    wanted = dict(part.strip().split("=", 1) for part in where.split(";"))
    if unknown := {column, *wanted} - set(lines[0]):
        raise ValueError(f"the file has no column {', '.join(unknown)}; it has {', '.join(lines[0])}")
    found = [float(line[column]) for line in lines if line[column] and wanted.items() <= line.items()]
    if not found:
        raise ValueError(f"the file has no {column} where {where}")
    return found


def _sole(lines: Lines, parts: Sequence[str]) -> float:
    if len(found := _chosen(lines, parts)) > 1:
        raise ValueError(f"the file has {len(found)} times {' where '.join(parts)}; say more")
    return found[0]


def _times(lines: Lines, parts: Sequence[str]) -> float:
    column, both, more, less = parts
    return _sole(lines, [column, f"{both}; {more}"]) / _sole(lines, [column, f"{both}; {less}"])


OF_FILES: dict[str, Callable[[Lines, Sequence[str]], float]] = {
    "read": _sole,  # file | column | column=value; column=value
    "least": lambda lines, parts: min(_chosen(lines, parts)),
    "times": _times,  # file | column | what both share | the larger one's | the smaller one's: their quotient
}


def findings_of(path: Path) -> list[str]:
    """What a paper's README says first: the items between <!-- findings --> and <!-- end -->, as plain text."""
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
