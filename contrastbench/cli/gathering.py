"""Gathers what is known of a paper: its rows here and shipped, the states of its runs, its tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from contrastbench.cli.app import places
from contrastbench.papers import Paper, Selection
from contrastbench.report.join import JoinedTable, join
from contrastbench.report.published import Published, read_published
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.rows import Row, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import SCALES


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

    def chosen(self, selection: Selection, scale: str | None) -> list[JoinedTable]:
        """The selected tables at a scale; at every measured one where none is given."""
        tables = self.tables if scale else self.measured
        return [table for table in tables if table.name in selection.tables and scale in (None, table.scale)]

    @property
    def rows(self) -> list[Row]:
        """One row per key: the one made here where there is one, else the shipped one."""
        return sorted({row["key"]: row for row in (*self.shipped, *self.here)}.values(), key=sort_key)


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
