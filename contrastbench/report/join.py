"""Joins declared cells, rows measured here, rows shipped and published numbers into tables of judged cells.

One pass over the rows and one over the cells, by dictionary. Rows of two scales never meet: a table is split by the
scale its runs really are.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contrastbench.report.published import Published
from contrastbench.report.statistics import Interval, Summary, summarise, t_interval
from contrastbench.report.verdict import Verdict, is_finite, verdict
from contrastbench.runner.vocabulary import SCALES, Cell, Run, Table, canonical_json, resolved

Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """The rows of one cell from one place (here, or shipped): what counts, what failed, what is missing."""

    done: tuple[Row, ...] = ()  # rows with a finite value, by seed
    failed: tuple[Row, ...] = ()  # every other status, and done rows without a finite value of the metric
    expected: int = 0  # seeds that the table declares
    metric: str = ""

    @cached_property
    def by_seed(self) -> dict[int, float]:
        return {row["seed"]: float(row["metrics"][self.metric]) for row in self.done}

    @cached_property
    def values(self) -> list[float]:
        return list(self.by_seed.values())

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.values)

    @cached_property
    def interval(self) -> Interval | None:
        return t_interval(self.summary)

    @property
    def missing(self) -> int:
        return max(0, self.expected - len(self.done) - len(self.failed))

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


@dataclass(frozen=True)
class JoinedCell:
    """One place of a table with everything known about it."""

    paper: str
    table: str
    dataset: str
    method: str
    metric: str
    settings: dict[str, Any]
    better: str
    scale: str
    variant: str
    protocol: str
    config: dict[str, Any]
    keys: tuple[str, ...]  # of the declared runs
    here: Sample
    shipped: Sample
    published: tuple[Published, ...]
    verdict_here: Verdict
    verdict_shipped: Verdict
    ambiguous: str = ""  # settings in which another cell of the same name differs: then no published number is its own

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.method}"

    @property
    def label(self) -> str:
        """The method with what sets its runs apart from the ordinary: variant and protocol."""
        marks = [mark for mark, usual in ((self.variant, "as_paper"), (self.protocol, "published")) if mark != usual]
        return f"{self.method} ({', '.join(marks)})" if marks else self.method

    @property
    def command(self) -> str:
        """What runs this cell."""
        return f"contrastbench run {shlex.quote(f'{self.paper}/{self.table}/{self.name}')} --scale {self.scale}"

    @property
    def best_known(self) -> Sample:
        """Measured here where anything was, else shipped."""
        return self.here if self.here.done else self.shipped

    @property
    def verdict(self) -> Verdict:
        return self.verdict_here if self.here.done else self.verdict_shipped

    @property
    def judged(self) -> Published | None:
        """The published number that the verdict is about: the first confirmed one, else the first."""
        return _judged_number(self.published)


@dataclass(frozen=True)
class JoinedTable:
    """A paper's table at one scale."""

    paper: str
    name: str
    scale: str
    table: Table
    cells: list[JoinedCell] = field(default_factory=list)
    unmatched: tuple[Published, ...] = ()  # published numbers of this table that no cell of any scale claims


def join(
    paper: str,
    tables: Mapping[str, Table],
    cells: Mapping[str, Iterable[Cell]],
    rows_here: Sequence[Row] = (),
    rows_shipped: Sequence[Row] = (),
    published: Sequence[Published] = (),
) -> list[JoinedTable]:
    """The paper's tables, one per scale that has cells, in the order declared.

    Args:
        cells: per table, its cells of any number of scales; a cell that several scales declare is one cell.

    A row belongs to a cell if one of the cell's runs has its key, or if it differs from the cell's first run in the
    seed alone (more seeds than the table asks for are used, all of them).
    """
    here, shipped = _Rows(rows_here), _Rows(rows_shipped)
    numbers: dict[tuple[str, str, str, str], list[Published]] = defaultdict(list)
    for number in published:
        numbers[number.place].append(number)
    joined = []
    for name, table in tables.items():
        by_scale = _merged(cells.get(name, ()))
        unmatched = _unmatched(name, by_scale, published)
        ambiguous = _ambiguous(by_scale)
        for scale in sorted(by_scale, key=SCALES.index):
            made = [_join_cell(paper, name, cell, here, shipped, numbers, ambiguous) for cell in by_scale[scale]]
            joined.append(JoinedTable(paper, name, scale, table, made, unmatched))
    return joined


class _Rows:
    """Rows by key, and by everything but the seed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.by_key = {row["key"]: row for row in rows}
        self.by_group: dict[str, list[Row]] = defaultdict(list)
        for row in self.by_key.values():
            self.by_group[_group_of_row(row)].append(row)

    def of(self, cell: Cell) -> dict[str, Row]:
        found = {run.key: self.by_key[run.key] for run in cell.runs if run.key in self.by_key}
        first = cell.runs[0]
        if not first.needs:  # a row does not say which runs it needed, so there only the key is proof
            found.update({row["key"]: row for row in self.by_group.get(group_of_run(first), ())})
        return found


_IDENTITY = ("paper", "stage", "scale", "variant", "protocol", "protocol_version")


def _group_of_row(row: Row) -> str:
    return canonical_json([*(row[name] for name in _IDENTITY), row["config"]])


def group_of_run(run: Run) -> str:
    """What the run is, its seed left out."""
    return canonical_json([*(getattr(run, name) for name in _IDENTITY), resolved(run.config)])


def _merged(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Cells by the scale of their runs; one that is declared twice is one cell with the runs of both."""
    by_scale: dict[str, dict[tuple[Any, ...], Cell]] = defaultdict(dict)
    for cell in cells:
        kinds = {(run.scale, run.variant, run.protocol) for run in cell.runs}
        if len(kinds) != 1:
            raise ValueError(f"cell {cell.name} mixes scales, variants or protocols: {sorted(kinds)}; it must have one")
        first = cell.runs[0]
        same = (cell.name, cell.metric, canonical_json(cell.settings), group_of_run(first))
        known = by_scale[first.scale].get(same)
        runs = {run.key: run for run in (*(known.runs if known else ()), *cell.runs)}
        by_scale[first.scale][same] = Cell(
            cell.dataset, cell.method, cell.metric, tuple(runs.values()), cell.settings, cell.better
        )
    return {scale: list(merged.values()) for scale, merged in by_scale.items()}


def _join_cell(
    paper: str,
    table: str,
    cell: Cell,
    rows_here: _Rows,
    rows_shipped: _Rows,
    numbers: Mapping[tuple[str, str, str, str], list[Published]],
    ambiguous: Mapping[tuple[str, ...], str],
) -> JoinedCell:
    first = cell.runs[0]
    here, shipped = _sample(cell, rows_here), _sample(cell, rows_shipped)
    found = tuple(numbers.get((table, cell.dataset, cell.method, cell.metric), ()))
    number = _judged_number(found)
    reason = why_not_comparable(first.scale, first.protocol) if number else ""
    differing = ambiguous.get(_place(cell), "")
    if number and differing:
        reason = reason or f"several cells share the published number's name and differ in {differing}"
    return JoinedCell(
        *(paper, table, cell.dataset, cell.method, cell.metric, cell.settings, cell.better),
        *(first.scale, first.variant, first.protocol, resolved(first.config), tuple(run.key for run in cell.runs)),
        *(here, shipped, found),
        _verdict(here, number, reason),
        _verdict(shipped, number, reason),
        differing,
    )


def _verdict(sample: Sample, number: Published | None, reason: str) -> Verdict:
    if sample.done or not sample.failed:
        return verdict(sample.values, number, not_comparable=reason)
    statuses = sorted({str(row["status"]) for row in sample.failed})
    return Verdict("not run", f"{len(sample.failed)} run(s) ended without the metric: {', '.join(statuses)}")


def why_not_comparable(scale: str, protocol: str) -> str:
    """Why runs of this scale and protocol are no rerun of a printed number; "" if they are."""
    if scale != "paper":
        return f"{scale} scale is not the published protocol"
    return "the clean protocol chooses nothing on test data, the published one did" if protocol == "clean" else ""


def _place(cell: Cell) -> tuple[str, ...]:
    first = cell.runs[0]
    return (first.scale, cell.dataset, cell.method, cell.metric, first.variant, first.protocol)


def _ambiguous(by_scale: Mapping[str, Sequence[Cell]]) -> dict[tuple[str, ...], str]:
    """Places that more than one cell claims, with the settings that differ: no published number is theirs for sure."""
    places: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cells in by_scale.values():
        for cell in cells:
            places[_place(cell)].append(cell)
    return {place: _differing(cells) for place, cells in places.items() if len(cells) > 1}


def _differing(cells: Sequence[Cell]) -> str:
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    differing = [name for name in names if len({canonical_json(cell.settings.get(name)) for cell in cells}) > 1]
    return ", ".join(differing) or "their configs"


def _judged_number(numbers: Sequence[Published]) -> Published | None:
    return next((number for number in numbers if number.confirmed), numbers[0] if numbers else None)


def _sample(cell: Cell, rows: _Rows) -> Sample:
    done: list[Row] = []
    failed: list[Row] = []
    for row in sorted(rows.of(cell).values(), key=_by_seed):
        counts = row["status"] == "done" and is_finite(row["metrics"].get(cell.metric))
        (done if counts else failed).append(row)
    return Sample(tuple(done), tuple(failed), len(cell.runs), cell.metric)


def _by_seed(row: Row) -> tuple[int, str]:
    return (row["seed"], row["key"])


def _unmatched(
    table: str, cells: Mapping[str, Sequence[Cell]], published: Sequence[Published]
) -> tuple[Published, ...]:
    claimed = {(table, cell.dataset, cell.method, cell.metric) for made in cells.values() for cell in made}
    return tuple(number for number in published if number.table == table and number.place not in claimed)
