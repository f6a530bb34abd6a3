"""Joins declared cells, rows measured here, rows shipped and published numbers into tables of judged cells.

It takes one pass over the rows and one over the cells. Rows of two scales never meet: a table is split by the scale of
its runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastbench.runner.studies import Study
from contrastbench.runner.vocabulary import IDENTITY, SCALES, Cell, canonical_json, reseeded
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, Row, Sample, grouped
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.verdict import is_finite

RowsByGroup = Mapping[str, Sequence[Row]]


def join(
    paper: str,
    tables: Mapping[str, Study],
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
    here, shipped = _by_group(rows_here), _by_group(rows_shipped)
    numbers = grouped(published, lambda number: number.place)
    joined = []
    for name, table in tables.items():
        kept = [dataclasses.replace(c, baseline=c.baseline or table.baseline) for c in _merged(cells.get(name, ()))]
        claimed = {_printed_place(name, cell) for cell in kept}
        unmatched = tuple(number for number in published if number.table == name and number.place not in claimed)
        ambiguous = _ambiguous(kept)
        made = [
            _joined(
                *(paper, name, cell, _sample(cell, here), _sample(cell, shipped)),
                *(numbers.get(_printed_place(name, cell), ()), ambiguous.get(_place(cell), "")),
            )
            for cell in kept
        ]
        by_scale = grouped(made, lambda cell: cell.scale)
        for scale in sorted(by_scale, key=SCALES.index):
            joined.append(JoinedTable(paper, name, scale, table, by_scale[scale], unmatched))
    return joined


def _printed_place(table: str, cell: Cell) -> tuple[str, str, str, str]:
    return (table, cell.dataset, cell.method, cell.metric)


def _joined(
    paper: str, table: str, cell: Cell, here: Sample, shipped: Sample, numbers: Iterable[Published], ambiguous: str
) -> JoinedCell:
    first = cell.runs[0]
    return JoinedCell(
        **vars(cell),
        paper=paper,
        table=table,
        scale=first.scale,
        variant=first.variant,
        protocol=first.protocol,
        config=first.identity["config"],
        here=here,
        shipped=shipped,
        published=tuple(numbers),
        ambiguous=ambiguous,
    )


def _sample(cell: Cell, rows: RowsByGroup) -> Sample:
    done: list[Row] = []
    failed: list[Row] = []
    for row in sorted(_rows_of(cell, rows), key=lambda row: (row["seed"], row["key"])):
        counts = row["status"] == "done" and is_finite(row["metrics"].get(cell.metric))
        (done if counts else failed).append(row)
    return Sample(tuple(done), tuple(failed), len(cell.runs), cell.metric)


def _by_group(rows: Iterable[Row]) -> RowsByGroup:
    """Groups the rows, each key once, by all that a run is except its seed."""
    return grouped({row["key"]: row for row in rows}.values(), _group)


def _rows_of(cell: Cell, rows: RowsByGroup) -> Sequence[Row]:
    first = cell.runs[0]
    found = rows.get(_group(first.identity), ())
    if not first.needs:
        return found
    # A row names the runs it needed by key, so its own key is proof. It must be that of a run which the cell asks
    # for or, for one more seed, of the cell's first run under that seed.
    keys = {run.key for run in cell.runs}
    return [row for row in found if row["key"] in keys or row["key"] == reseeded(first, row["seed"]).key]


def _group(identity: Mapping[str, Any]) -> str:
    """All that a run is, without its seed and the keys of the runs that it needs."""
    needs = [name for name, _ in identity.get("needs", ())]
    return canonical_json([needs, *(identity[name] for name in IDENTITY if name not in ("seed", "needs"))])


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
    """Finds cells of one place: place -> the settings in which they differ. No published number is surely theirs."""
    return {place: _differing(alike) for place, alike in grouped(cells, _place).items() if len(alike) > 1}


def _differing(cells: Sequence[Cell]) -> str:
    names = dict.fromkeys(name for cell in cells for name in cell.settings)
    differing = [name for name in names if len({canonical_json(cell.settings.get(name)) for cell in cells}) > 1]
    return ", ".join(differing) or "their configs"
