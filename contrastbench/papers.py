"""Which papers, tables and cells are meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from contrastbench.runner.studies import Paper
from contrastbench.runner.studies import load_paper as paper
from contrastbench.runner.studies import paper_names as names
from contrastbench.runner.vocabulary import SCALES, Cell
from contrastbench.settings import changed, combinations, reached, relabelled, settings_of, unused_along

__all__ = ["SCALES", "Paper", "Selection", "names", "paper", "select", "with_settings", "without_settings"]


@dataclass(frozen=True)
class Selection:
    """What ``PAPER[/TABLE[/CELL]]`` names: a paper, its tables and, within them, cells."""

    paper: Paper
    tables: tuple[str, ...]
    cell: str | None = None
    whole: bool = False  # the paper alone was named, and so all of its tables

    def tables_at(self, scale: str) -> list[str]:
        """The tables that a command works on at the scale: of a whole paper not those that are run by name only."""
        declared = self.paper.tables
        return [table for table in self.tables if not (self.whole and scale in declared[table].only_by_name)]

    def left_out(self, scale: str) -> list[str]:
        """The tables that the scale has and that ``tables_at`` leaves out."""
        others = [table for table in self.tables if table not in self.tables_at(scale)]
        return [table for table in others if self.paper.cells(table, scale)]

    def names(self, name: str, dataset: str, method: str) -> bool:
        """Whether it names a cell: by its whole name, its data set or its method, with or without ``--set`` values."""
        return self.cell in (None, name, dataset, method, name.split(" [")[0], method.split(" [")[0])

    def cells(self, scale: str, seeds: Sequence[int] | None = None) -> list[tuple[str, Cell]]:
        """(table, cell) pairs at the scale, in declared order.

        Raises:
            ValueError: the scale or the cell is unknown; the message lists what is possible.
        """
        if scale not in SCALES:
            raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
        declared = [(table, cell) for table in self.tables_at(scale) for cell in self.paper.cells(table, scale, seeds)]
        if self.cell is None:
            return declared
        chosen = [(table, cell) for table, cell in declared if self.names(cell.name, cell.dataset, cell.method)]
        if not chosen:
            possible = dict.fromkeys(cell.name for _, cell in declared)
            raise ValueError(
                f"unknown cell {self.cell!r} in {self.paper.name}/{self.tables[0]} at scale {scale}; "
                f"there are: {', '.join(possible) or 'none at this scale'}"
            )
        return chosen


def select(target: str) -> Selection:
    """Reads ``PAPER``, ``PAPER/TABLE`` or ``PAPER/TABLE/CELL``; a cell is DATASET/METHOD, a dataset or a method.

    Raises:
        ValueError: no such paper or table; the message lists those there are.
    """
    name, _, rest = target.partition("/")
    chosen = paper(name)
    table, _, cell = rest.partition("/")
    if table and table not in chosen.tables:
        raise ValueError(f"unknown table {table!r}; {name} has: {', '.join(chosen.tables)}")
    return Selection(chosen, (table,) if table else tuple(chosen.tables), cell or None, whole=not table)


def with_settings(cells: list[tuple[str, Cell]], settings: dict[str, str]) -> list[tuple[str, Cell]]:
    """The cells with config fields changed as ``--set key=value`` asks; a sweep (``beta=0.5,1,2``) makes several.

    Cells that do not use a changed field are left out; ``without_settings`` names them.

    Raises:
        ValueError: a key that no config has or no cell uses, or a value of the wrong type or outside its range.
    """
    if not settings or not cells:
        return cells
    _check_known(cells, settings)
    changed = [(table, each) for table, cell in cells for each in _changed(cell, settings)]
    if not changed:
        raise ValueError(_why_unused(cells[0][1], settings))
    return changed


def without_settings(cells: list[tuple[str, Cell]], settings: dict[str, str]) -> list[str]:
    """The methods of the cells that do not use some of the settings."""
    unused = [cell.method for _, cell in cells if settings and not _changed(cell, settings)]
    return list(dict.fromkeys(unused))


def _check_known(cells: list[tuple[str, Cell]], settings: dict[str, str]) -> None:
    known = dict.fromkeys(name for _, cell in cells for name in settings_of(cell.runs[0]))
    for key in settings:
        if not any(reached(cell.runs[0], key) for _, cell in cells):
            raise ValueError(f"unknown setting {key!r}; a run of {cells[0][1].runs[0].paper} has: {', '.join(known)}")


def _changed(cell: Cell, settings: dict[str, str]) -> list[Cell]:
    """The cell under each combination of the settings' values; none where its runs do not use some of the fields."""
    first = cell.runs[0]
    if not all(reached(first, key) for key in settings):
        return []
    made = []
    for changes in combinations(first, settings):
        if unused_along(changed(first, changes), settings):
            continue
        runs = tuple(changed(run, changes) for run in cell.runs)
        method = relabelled(cell.method, first, first, changes)
        # What the paper declares of a method it does not declare of every setting of it.
        deterministic = cell.deterministic and method == cell.method
        labels = {"dataset": runs[0].dataset, "method": method}
        said = {**cell.settings, **changes}
        made.append(dataclasses.replace(cell, runs=runs, settings=said, deterministic=deterministic, **labels))
    return made


def _why_unused(cell: Cell, settings: dict[str, str]) -> str:
    first = cell.runs[0]
    changes = combinations(first, {key: text for key, text in settings.items() if reached(first, key)})[0]
    reasons = unused_along(changed(first, changes), settings)
    words = "; ".join(f"{key} is used only where {where}" for key, where in reasons.items())
    return f"{cell.name} does not use {', '.join(reasons)}: {words}" if reasons else "no cell has all of these settings"
