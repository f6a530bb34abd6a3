"""What is to be done: declared cells minus the rows that exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contrastbench.runner.execute import folder_of, write_ticket
from contrastbench.runner.launchers import Job, job_of
from contrastbench.runner.states import State, StillQueued, state_of
from contrastbench.runner.vocabulary import Cell, Run, chain

TO_RUN = ("new", "killed")


@dataclass(frozen=True)
class Planned:
    """One run of the plan, with its state here and whether the suite shipped a row for it."""

    run: Run
    cells: tuple[tuple[str, str], ...]  # (table, cell name); empty for a run that only others need
    state: State
    shipped: bool

    @property
    def is_to_run(self) -> bool:
        return self.state.name in TO_RUN


def plan(
    cells: Iterable[tuple[str, Cell]],
    runs_folder: Path,
    shipped: frozenset[str] = frozenset(),
    still_queued: StillQueued | None = None,
) -> list[Planned]:
    """Every run of the cells once, in their order, each after the runs it needs.

    Args:
        cells: (table, cell) pairs.
        runs_folder: where the states are read.
        shipped: the keys of the rows that came with the suite.
    """
    runs: dict[str, Run] = {}
    places: dict[str, list[tuple[str, str]]] = {}
    for table, cell in cells:
        for run in cell.runs:
            if run.key not in runs:
                runs |= {key: each for key, each in chain([run]).items() if key not in runs}
            places.setdefault(run.key, []).append((table, cell.name))
    return [
        Planned(run, tuple(places.get(key, ())), state_of(folder_of(run, runs_folder), still_queued), key in shipped)
        for key, run in runs.items()
    ]


def write_tickets(planned: Sequence[Planned], runs_folder: Path) -> list[Job]:
    """Writes the tickets of the runs and returns the jobs for a launcher.

    Raises:
        OSError: the runs folder cannot be written; nothing was started.
    """
    for each in planned:
        write_ticket(each.run, runs_folder, [list(place) for place in each.cells])
    return [job_of(each.run, runs_folder) for each in planned]
