"""Prints the metrics that `run --set` has just measured, and names metrics that runs should have and lack."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table as Grid

from contrastbench.cli.app import console, places
from contrastbench.cli.choosing import asked_for
from contrastbench.runner.rows import Row
from contrastbench.runner.states import folder_of, state_of
from contrastbench.runner.vocabulary import Cell


def print_measured(targets: Sequence[str] | None, scale: str, seeds: str | None, settings: list[str] | None) -> None:
    """Prints mean, sd and number of seeds of each cell's metric; nothing if no run is finished."""
    grid = Grid(box=None, padding=(0, 2, 0, 0))
    for column in ("cell", "metric", "mean ± sd (seeds)"):
        grid.add_column(column, overflow="fold")
    printed = set()  # cells that are the same run under these settings are one line
    for selection in asked_for(targets, scale, seeds, settings).selections:
        for _, cell in selection.cells():
            same = (cell.metric, *(run.key for run in cell.runs))
            if same not in printed and (values := _values(cell)):
                printed.add(same)
                spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
                grid.add_row(cell.name, cell.metric, f"{statistics.mean(values):#.4g}{spread} ({len(values)})")
    if grid.row_count:
        console.print(grid)


def metrics_missing(
    targets: Sequence[str] | None, scale: str, seeds: str | None, settings: list[str] | None
) -> list[str]:
    """A line for each metric that tables.py names and that finished runs lack: the paper's code contradicts itself."""
    lines: dict[str, None] = {}
    for selection in asked_for(targets, scale, seeds, settings).selections:
        for table, cell in selection.cells():
            done = [row for row in _rows(cell) if row["status"] == "done"]
            if lacking := [row for row in done if cell.metric not in row["metrics"]]:
                place, returned = (
                    f"{selection.paper.name}/{table}/{cell.name}",
                    ", ".join(lacking[0]["metrics"]) or "nothing",
                )
                lines[
                    f"{place}: {len(lacking)} finished runs have no {cell.metric!r}, which tables.py names; "
                    f"train returned: {returned}. Correct one of the two (and raise PROTOCOL_VERSION)"
                ] = None
    return list(lines)


def _rows(cell: Cell) -> list[Row]:
    return [row for run in cell.runs if (row := state_of(folder_of(run, places.runs)).row)]


def _values(cell: Cell) -> list[float]:
    return [row["metrics"][cell.metric] for row in _rows(cell) if cell.metric in row["metrics"]]
