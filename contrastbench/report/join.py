"""Joins declared cells, rows measured here, rows shipped and published numbers into tables of judged cells.

One pass over the rows and one over the cells, by dictionary. Rows of two scales never meet: a table is split by the
scale its runs really are.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from contrastbench.report.joined import JoinedCell, JoinedTable, Row, Sample, judged_number
from contrastbench.report.published import Published
from contrastbench.report.verdict import Verdict, is_finite, verdict
from contrastbench.runner.vocabulary import SCALES, Cell, Run, Table, canonical_json

__all__ = ["JoinedCell", "JoinedTable", "Row", "Sample", "join"]

Place = tuple[str, str, str, str]


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
    declared = {name: _merged(cells.get(name, ())) for name in tables}
    here, shipped = _Rows(rows_here), _Rows(rows_shipped)
    numbers: dict[Place, list[Published]] = defaultdict(list)
    for number in published:
        numbers[number.place].append(number)
    joined = []
    for name, kept in declared.items():
        unmatched = _unmatched(name, kept, published)
        ambiguous = _ambiguous(kept)
        for scale in sorted({one.scale for one in kept}, key=SCALES.index):
            of_scale = [one for one in kept if one.scale == scale]
            made = [_join_cell(paper, name, one, here, shipped, numbers, ambiguous) for one in of_scale]
            joined.append(JoinedTable(paper, name, scale, tables[name], made, unmatched))
    return joined


class _Declared(NamedTuple):
    """A declared cell, with what its runs are when the seed is left out."""

    cell: Cell
    group: str

    @property
    def first(self) -> Run:
        return self.cell.runs[0]

    @property
    def scale(self) -> str:
        return self.first.scale


class _Rows:
    """Rows by key, and by everything but the seed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.by_key = {row["key"]: row for row in rows}
        self.by_group: dict[str, list[Row]] = defaultdict(list)
        for row in self.by_key.values():
            self.by_group[_group_of_row(row)].append(row)

    def of(self, declared: _Declared) -> Iterable[Row]:
        if declared.first.needs:  # a row does not say which runs it needed, so there only the key is proof
            return [self.by_key[run.key] for run in declared.cell.runs if run.key in self.by_key]
        return self.by_group.get(declared.group, ())


_IDENTITY = ("paper", "stage", "scale", "variant", "protocol", "protocol_version")


def _group_of_row(row: Row) -> str:
    return canonical_json([*(row[name] for name in _IDENTITY), row["config"]])


def _group_of_run(run: Run) -> str:
    """What the run is, its seed left out; what it needs, which only a key tells, kept in."""
    group = canonical_json([*(run.identity[name] for name in _IDENTITY), run.identity["config"]])
    return f"{group} needs {run.key}" if run.needs else group


def _merged(cells: Iterable[Cell]) -> list[_Declared]:
    """The cells of all scales; one that is declared twice is one cell with the runs of both."""
    merged: dict[tuple[str, ...], _Declared] = {}
    for cell in cells:
        kinds = {(run.scale, run.variant, run.protocol) for run in cell.runs}
        if len(kinds) != 1:
            raise ValueError(f"cell {cell.name} mixes scales, variants or protocols: {sorted(kinds)}; it must have one")
        group = _group_of_run(cell.runs[0])
        same = (cell.name, cell.metric, canonical_json(cell.settings), group)
        if same in merged:
            runs = {run.key: run for run in (*merged[same].cell.runs, *cell.runs)}
            cell = dataclasses.replace(cell, runs=tuple(runs.values()))
        merged[same] = _Declared(cell, group)
    return list(merged.values())


def _join_cell(
    paper: str,
    table: str,
    declared: _Declared,
    rows_here: _Rows,
    rows_shipped: _Rows,
    numbers: Mapping[Place, list[Published]],
    ambiguous: Mapping[tuple[str, ...], str],
) -> JoinedCell:
    cell, first = declared.cell, declared.first
    here, shipped = _sample(declared, rows_here), _sample(declared, rows_shipped)
    found = tuple(numbers.get((table, cell.dataset, cell.method, cell.metric), ()))
    number = judged_number(found)
    reason = why_not_comparable(first.scale, first.protocol) if number else ""
    differing = ambiguous.get(_place(cell), "")
    if number and differing:
        reason = reason or f"several cells share the published number's name and differ in {differing}"
    return JoinedCell(
        *(paper, table, cell.dataset, cell.method, cell.metric, cell.settings, cell.better),
        *(first.scale, first.variant, first.protocol, first.identity["config"]),
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


def _ambiguous(declared: Iterable[_Declared]) -> dict[tuple[str, ...], str]:
    """Places that more than one cell claims, with the settings that differ: no published number is theirs for sure."""
    places: dict[tuple[str, ...], list[Cell]] = defaultdict(list)
    for one in declared:
        places[_place(one.cell)].append(one.cell)
    return {place: _differing(cells) for place, cells in places.items() if len(cells) > 1}


def _differing(cells: Sequence[Cell]) -> str:
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    differing = [name for name in names if len({canonical_json(cell.settings.get(name)) for cell in cells}) > 1]
    return ", ".join(differing) or "their configs"


def _sample(declared: _Declared, rows: _Rows) -> Sample:
    cell = declared.cell
    done: list[Row] = []
    failed: list[Row] = []
    for row in sorted(rows.of(declared), key=_by_seed):
        counts = row["status"] == "done" and is_finite(row["metrics"].get(cell.metric))
        (done if counts else failed).append(row)
    return Sample(tuple(done), tuple(failed), len(cell.runs), cell.metric)


def _by_seed(row: Row) -> tuple[int, str]:
    return (row["seed"], row["key"])


def _unmatched(table: str, declared: Iterable[_Declared], published: Sequence[Published]) -> tuple[Published, ...]:
    claimed = {(table, one.cell.dataset, one.cell.method, one.cell.metric) for one in declared}
    return tuple(number for number in published if number.table == table and number.place not in claimed)
