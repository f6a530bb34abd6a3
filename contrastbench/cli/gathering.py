"""Gathers all that is known of a paper: its rows here and shipped, the states of its runs, its tables."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from contrastbench.cli.app import places
from contrastbench.papers import Paper
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.rows import Row, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import SCALES, Cell
from contrastbench.selection import Selection
from contrastbench.verdicts.cells import JoinedCell, JoinedTable
from contrastbench.verdicts.join import join
from contrastbench.verdicts.published import Published, read_published


@dataclass(frozen=True)
class Gathered:
    """One paper with everything measured of it. ``here`` is empty where only shipped rows are to be shown."""

    paper: Paper
    shipped: list[Row]
    here: list[Row] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)  # of the run folders here
    problems: list[str] = field(default_factory=list)  # one line for each folder that cannot be read

    @cached_property
    def tables(self) -> list[JoinedTable]:
        """Every table, once per scale that the paper declares for it."""
        cells = {
            table: [cell for scale in SCALES for cell in self.paper.cells(table, scale)] for table in self.paper.tables
        }
        return join(self.paper.name, self.paper.tables, cells, self.here, self.shipped, self.published)

    @cached_property
    def published(self) -> list[Published]:
        return read_published(self.paper.folder / "published.csv")

    @cached_property
    def measured(self) -> list[JoinedTable]:
        """The tables with at least one row."""
        return [table for table in self.tables if any(cell.here or cell.shipped for cell in table.cells)]

    def chosen(self, selection: Selection) -> list[JoinedTable]:
        """The selected tables with the selected cells only, at the selection's scale or the largest scale with rows.

        Raises:
            ValueError: a setting is unknown or impossible.
        """
        tables = self._under(selection) if selection.seeds or selection.settings else self.tables
        cut = [
            dataclasses.replace(
                table, cells=[cell for cell in table.cells if selection.names(cell.name, cell.dataset, cell.method)]
            )
            for table in tables
            if table.name in selection.tables and table.scale in selection.scales
        ]
        if selection.settings:  # of all that could be run so, what was; published numbers belong to other settings
            cut = [dataclasses.replace(each, cells=_with_rows(each) or each.cells, unmatched=()) for each in cut]
        found = [table for table in cut if table.cells]
        return found if selection.scale else _largest(found)

    def _under(self, selection: Selection) -> list[JoinedTable]:
        """The selected tables as ``run`` with the selection's seeds and settings would fill them."""
        here, shipped = (
            [row for row in rows if not selection.seeds or row["seed"] in selection.seeds]
            for rows in (self.here, self.shipped)
        )
        cells: dict[str, list[Cell]] = {table: [] for table in selection.tables}
        for table, cell in selection.cells(every_table=True):
            cells[table].append(cell)
        known = {table: self.paper.tables[table] for table in selection.tables}
        return join(self.paper.name, known, cells, here, shipped, self.published)

    @property
    def rows(self) -> list[Row]:
        """One row per key: the one made here where there is one, else the shipped one."""
        return sorted({row["key"]: row for row in (*self.shipped, *self.here)}.values(), key=sort_key)


def _with_rows(table: JoinedTable) -> list[JoinedCell]:
    return [cell for cell in table.cells if cell.here or cell.shipped]


def _largest(tables: list[JoinedTable]) -> list[JoinedTable]:
    """Each table at its largest scale with rows; a table without rows is left out."""
    measured = {table.name: table for table in tables if any(cell.here or cell.shipped for cell in table.cells)}
    return list(measured.values())  # a table's scales come in rising order


def gather(paper: Paper, *, with_here: bool = True) -> Gathered:
    """Reads the paper's rows and, unless only the shipped ones are wanted, its run folders."""
    gathered = Gathered(paper, rows_shipped(places.results, paper.name))
    if not with_here:
        return gathered
    still_queued = slurm_queue.still_queued()
    for folder in run_folders(places.runs, paper.name):
        state = state_of(folder, still_queued)
        gathered.states[state.name] += 1
        if state.row:
            gathered.here.append(state.row)
        if state.problem:
            gathered.problems.append(state.problem)
    return gathered
