"""Makes tables of the user's own runs: settings and data sets that no table of the paper declares."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from contrastbench.cli.app import places
from contrastbench.cli.gathering import Gathered
from contrastbench.runner.rows import Row
from contrastbench.runner.states import run_of
from contrastbench.runner.vocabulary import Cell, Run
from contrastbench.verdicts.cells import JoinedTable
from contrastbench.verdicts.join import join

TITLE = "yours: settings and data sets that the paper's table does not have"


def own_tables(gathered: Gathered) -> list[JoinedTable]:
    """A table of the runs made here with ``--set``, for each declared table and scale that they belong to."""
    standing = {row["key"] for table in gathered.tables for cell in table.cells for row in cell.here.done}
    others = [row for row in gathered.here if row["key"] not in standing and row["status"] == "done"]
    made = []
    for name, runs in _runs_by_table(others).items():
        if name in gathered.paper.tables:
            cells = _cells(gathered, name, runs)
            table = dataclasses.replace(gathered.paper.tables[name], title=TITLE, baseline="")
            made += join(gathered.paper.name, {name: table}, {name: cells}, [row for _, row in runs.values()])
    return made


def _runs_by_table(rows: Iterable[Row]) -> dict[str, dict[tuple[str, str], tuple[Run, Row]]]:
    """Table -> (cell, key) -> run and row. Rows made by another version of the paper are left out."""
    tables: dict[str, dict[tuple[str, str], tuple[Run, Row]]] = defaultdict(dict)
    for row in rows:
        try:
            run = run_of(places.runs / row["paper"] / row["key"])
        except (ValueError, OSError):
            continue
        for table, cell in row["cells"]:
            tables[table][cell, row["key"]] = run, row
    return tables


def _cells(gathered: Gathered, table: str, runs: dict[tuple[str, str], tuple[Run, Row]]) -> list[Cell]:
    """Makes cells of the runs: one for each setting, and each metric of the declared table that the rows have."""
    metrics = {cell.metric: cell.better for each in gathered.tables if each.name == table for cell in each.cells}
    groups: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)  # by seed; cells that are one run are one
    labels: dict[str, str] = {}
    for (name, _), (run, row) in runs.items():
        kind = _kind(run)
        labels.setdefault(kind, name.removeprefix(f"{run.dataset}/"))
        for metric in (each for each in metrics if each in row["metrics"]):
            groups[metric, kind][run.seed] = run
    return [
        Cell(next(iter(found.values())).dataset, labels[kind], metric, tuple(found.values()), {}, metrics[metric])
        for (metric, kind), found in groups.items()
    ]


def _kind(run: Run) -> str:
    """A key of the run without its seed: runs that differ in the seed alone share it."""
    return dataclasses.replace(run, seed=0).key
