"""Chooses the table that `reproduce` does and shows first: verdicts to read while the rest is at work."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from contrastbench import papers
from contrastbench.cli.app import console, places
from contrastbench.cli.display import layout_for
from contrastbench.cli.planning import prices
from contrastbench.evidence import gather
from contrastbench.report.tables import sheet, terminal
from contrastbench.runner.plan import Planned
from contrastbench.runner.vocabulary import Run, chain
from contrastbench.verdicts.cells import JoinedTable
from contrastbench.verdicts.verdict import JUDGED

CHEAP = 0.25  # cells that cost less than this share of the dearest judged cell are done and shown too

Place = tuple[str, str, str]  # paper, table and the scale of its runs


@dataclass(frozen=True)
class First:
    """Some cells of one table."""

    place: Place
    cells: frozenset[str]
    keys: frozenset[str]  # of their runs, and of the runs that those need

    def print(self) -> None:
        """Prints these cells as `table` does, but without tests, which need all cells of the table."""
        (table,) = (
            each
            for each in gather(papers.paper(self.place[0]), places.runs, places.results).tables
            if _place(each) == self.place
        )
        cells = [cell for cell in table.cells if cell.name in self.cells]
        shown = dataclasses.replace(table, cells=cells, unmatched=())
        console.print(terminal(sheet(shown, layout_for(console.width), analysis=False), console.width))


def first_part(planned: Sequence[Planned]) -> First | None:
    """The judged cells of the table that has most of them, with its cheap cells; None where no cell is judged.

    A cell is judged if its rows, from here or shipped, have a verdict against a printed number.
    """
    asked = _runs_by_cell(planned)
    judged = {place: names & asked[place].keys() for place, names in _judged_cells(planned) if place in asked}
    place, names = max(judged.items(), key=lambda each: len(each[1]), default=(("", "", ""), set[str]()))
    if not names:
        return None
    names |= _cheap(asked[place], names, planned)
    return First(place, frozenset(names), frozenset(chain(run for name in names for run in asked[place][name])))


def _runs_by_cell(planned: Iterable[Planned]) -> Mapping[Place, dict[str, list[Run]]]:
    found: dict[Place, dict[str, list[Run]]] = defaultdict(dict)
    for each in planned:
        for table, name in each.cells:
            found[each.run.paper, table, each.run.scale].setdefault(name, []).append(each.run)
    return found


def _judged_cells(planned: Iterable[Planned]) -> Iterable[tuple[Place, set[str]]]:
    for paper in dict.fromkeys(each.run.paper for each in planned):
        for table in gather(papers.paper(paper), places.runs, places.results).tables:
            yield _place(table), {cell.name for cell in table.cells if cell.verdict.kind in JUDGED}


def _place(table: JoinedTable) -> Place:
    return table.paper, table.name, table.scale


def _cheap(cells: Mapping[str, list[Run]], judged: Iterable[str], planned: Sequence[Planned]) -> set[str]:
    """The cells whose first run costs little beside a run of the dearest judged cell."""
    price = prices(planned, "cpu")
    seconds = {name: found.seconds for name, runs in cells.items() if (found := price[runs[0].key])}
    dearest = max((seconds.get(name, 0.0) for name in judged), default=0.0)
    return {name for name, each in seconds.items() if each < CHEAP * dearest}
