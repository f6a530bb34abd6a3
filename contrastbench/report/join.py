"""Joins declared cells, rows measured here, rows shipped and published numbers into tables of judged cells.

One pass over the rows and one over the cells, by dictionary. Rows of two scales never meet: a table is split by the
scale its runs really are.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contrastbench.data.catalogue import copy_of
from contrastbench.report.published import Published
from contrastbench.report.statistics import Interval, Summary, summarise, t_interval
from contrastbench.report.verdict import Verdict, is_finite, verdict
from contrastbench.runner.vocabulary import SCALES, Cell, Table, canonical_json, reseeded

Row = dict[str, Any]
Place = tuple[str, str, str, str]


@dataclass(frozen=True)
class Sample:
    """The rows of one cell from one place (here, or shipped): those that count, those that failed."""

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

    @cached_property
    def marks(self) -> list[str]:
        """What is to be said of the data that the rows were made on: "JPEG copy of the data"."""
        read = {item for row in self.done for item in row.get("data", {}).items()}
        return sorted({mark for name, sha256 in read if (mark := copy_of(name, sha256).mark)})

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
    here: Sample
    shipped: Sample
    published: tuple[Published, ...]
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
    def judged(self) -> Published | None:
        """The published number that the verdict is about: the first confirmed one, else the first."""
        confirmed = (number for number in self.published if number.confirmed)
        return next(confirmed, self.published[0] if self.published else None)

    @cached_property
    def verdict(self) -> Verdict:
        return self.verdict_on(self.judged, self.best_known or self.here)

    @cached_property
    def others(self) -> tuple[tuple[Published, Verdict], ...]:
        """The cell's further published numbers (other reruns of the method), each with its own verdict."""
        others = (number for number in self.published if number is not self.judged)
        return tuple((number, self.verdict_on(number, self.best_known)) for number in others)

    def verdict_on(self, number: Published | None, sample: Sample) -> Verdict:
        """What the sample's seeds say about one of the published numbers."""
        if sample.failed and not sample.done:
            statuses = sorted({str(row["status"]) for row in sample.failed})
            return Verdict("not run", f"{len(sample.failed)} run(s) ended without the metric: {', '.join(statuses)}")
        return verdict(sample.values, number, not_comparable=self._why_not_comparable if number else "")

    @property
    def _why_not_comparable(self) -> str:
        """Why these runs are no rerun of a printed number; "" if they are."""
        if self.scale != "paper":
            return f"{self.scale} scale is not the published protocol"
        if self.protocol == "clean":
            return "the clean protocol chooses nothing on test data, the published one did"
        if self.ambiguous:
            return f"several cells share the published number's name and differ in {self.ambiguous}"
        return ""


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

    A row belongs to a cell if one of the cell's runs has its key, or if it differs from them in the seed alone (more
    seeds than the table asks for are used, all of them).
    """
    here, shipped = _Rows(rows_here), _Rows(rows_shipped)
    numbers: dict[Place, list[Published]] = defaultdict(list)
    for number in published:
        numbers[number.place].append(number)
    joined = []
    for name, table in tables.items():
        kept = _merged(cells.get(name, ()))
        claimed = {(name, cell.dataset, cell.method, cell.metric) for cell in kept}
        unmatched = tuple(number for number in published if number.table == name and number.place not in claimed)
        ambiguous = _ambiguous(kept)
        for scale in sorted({cell.runs[0].scale for cell in kept}, key=SCALES.index):
            made = [
                _joined(paper, name, cell, here, shipped, numbers, ambiguous.get(_place(cell), ""))
                for cell in kept
                if cell.runs[0].scale == scale
            ]
            joined.append(JoinedTable(paper, name, scale, table, made, unmatched))
    return joined


def _joined(
    paper: str,
    table: str,
    cell: Cell,
    here: _Rows,
    shipped: _Rows,
    numbers: Mapping[Place, list[Published]],
    ambiguous: str,
) -> JoinedCell:
    first = cell.runs[0]
    return JoinedCell(
        *(paper, table, cell.dataset, cell.method, cell.metric, cell.settings, cell.better),
        *(first.scale, first.variant, first.protocol, first.identity["config"]),
        *(_sample(cell, here), _sample(cell, shipped)),
        tuple(numbers.get((table, cell.dataset, cell.method, cell.metric), ())),
        ambiguous,
    )


def _sample(cell: Cell, rows: _Rows) -> Sample:
    done: list[Row] = []
    failed: list[Row] = []
    for row in sorted(rows.of(cell), key=lambda row: (row["seed"], row["key"])):
        counts = row["status"] == "done" and is_finite(row["metrics"].get(cell.metric))
        (done if counts else failed).append(row)
    return Sample(tuple(done), tuple(failed), len(cell.runs), cell.metric)


class _Rows:
    """Rows by key, and by everything but the seed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.by_key = {row["key"]: row for row in rows}
        self.by_group: dict[str, list[Row]] = defaultdict(list)
        for row in self.by_key.values():
            self.by_group[_group(row)].append(row)

    def of(self, cell: Cell) -> Iterable[Row]:
        first, found = cell.runs[0], self.by_group.get(_group(cell.runs[0].identity), [])
        if not first.needs:
            return found
        # A row names the runs it needed by key, so its own key is proof. It must be that of a run which the cell asks
        # for or, for one more seed, of the cell's first run under that seed.
        keys = {run.key for run in cell.runs}
        return [row for row in found if row["key"] in keys or row["key"] == reseeded(first, row["seed"]).key]


_IDENTITY = ("paper", "stage", "scale", "variant", "protocol", "protocol_version")


def _group(identity: Mapping[str, Any]) -> str:
    """What a run is, its seed and the keys of what it needs left out."""
    needs = [name for name, _ in identity.get("needs", ())]
    return canonical_json([*(identity[name] for name in _IDENTITY), identity["config"], needs])


def _merged(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of all scales; one that is declared twice is one cell with the runs of both."""
    merged: dict[tuple[str, ...], Cell] = {}
    for cell in cells:
        kinds = {(run.scale, run.variant, run.protocol) for run in cell.runs}
        if len(kinds) != 1:
            raise ValueError(f"cell {cell.name} mixes scales, variants or protocols: {sorted(kinds)}; it must have one")
        same = (cell.name, cell.metric, canonical_json(cell.settings), reseeded(cell.runs[0], 0).key)
        if same in merged:
            runs = {run.key: run for run in (*merged[same].runs, *cell.runs)}
            cell = dataclasses.replace(cell, runs=tuple(runs.values()))
        merged[same] = cell
    return list(merged.values())


def _place(cell: Cell) -> tuple[str, ...]:
    first = cell.runs[0]
    return (first.scale, cell.dataset, cell.method, cell.metric, first.variant, first.protocol)


def _ambiguous(cells: Iterable[Cell]) -> dict[tuple[str, ...], str]:
    """Places that more than one cell claims, with the settings that differ: no published number is theirs for sure."""
    places: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for cell in cells:
        places[_place(cell)].append(cell)
    return {place: _differing(cells) for place, cells in places.items() if len(cells) > 1}


def _differing(cells: Sequence[Cell]) -> str:
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    differing = [name for name in names if len({canonical_json(cell.settings.get(name)) for cell in cells}) > 1]
    return ", ".join(differing) or "their configs"
