"""Plans what is to be done: the declared cells minus the rows that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contrastbench.runner.artefacts import lost_artefact
from contrastbench.runner.launchers import Job, job_of
from contrastbench.runner.states import State, StillQueued, redo_if_lost, state_of
from contrastbench.runner.tickets import folder_of, write_ticket
from contrastbench.runner.vocabulary import Cell, Run, chain

TO_RUN = ("new", "killed", "lost")


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

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """What the run is counted under: its cells or, for a run that only others need, its stage."""
        return self.cells or ((f"stage {self.run.stage}", f"{self.run.dataset}/{self.run.method}"),)


def plan(
    cells: Iterable[tuple[str, Cell]],
    runs_folder: Path,
    shipped: frozenset[str] = frozenset(),
    still_queued: StillQueued | None = None,
) -> list[Planned]:
    """Plans every run of the cells once, in their order, each after the runs it needs.

    Args:
        cells: (table, cell) pairs.
        runs_folder: where the states are read.
        shipped: the keys of the rows that came with the suite.
    """
    runs: list[Run] = []
    places: dict[str, dict[tuple[str, str], None]] = {}  # a run stands in a cell once, though in two of its metrics
    for table, cell in cells:
        for run in cell.runs:
            runs.append(run)
            places.setdefault(run.key, {})[(table, cell.name)] = None
    return plan_runs(runs, {key: tuple(of_run) for key, of_run in places.items()}, runs_folder, shipped, still_queued)


def plan_runs(
    asked: Iterable[Run],
    places: Mapping[str, tuple[tuple[str, str], ...]],
    runs_folder: Path,
    shipped: frozenset[str] = frozenset(),
    still_queued: StillQueued | None = None,
) -> list[Planned]:
    """Plans the runs and the runs that they need, each once. ``places``: run key -> (table, cell name) pairs."""
    runs = chain(asked)
    states = {key: state_of(folder_of(run, runs_folder), still_queued) for key, run in runs.items()}
    _find_lost(runs, states, runs_folder)
    return [Planned(run, places.get(key, ()), states[key], key in shipped) for key, run in runs.items()]


def _find_lost(runs: dict[str, Run], states: dict[str, State], runs_folder: Path) -> None:
    """Marks a finished run as lost if a run still to do needs its artefact, and that is gone or damaged.

    A run that is found lost is itself to do, so the runs that it needs are looked at after it.
    """
    for key, run in reversed(runs.items()):  # a run before those that it needs
        for need in run.needs.values() if states[key].name in TO_RUN else ():
            row, folder = states[need.key].row, folder_of(need, runs_folder)
            if row and row["status"] == "done" and (problem := lost_artefact(folder, row)):
                states[need.key] = State("lost", problem=f"{problem}; its run is done again")


def write_tickets(planned: Sequence[Planned], runs_folder: Path) -> list[Job]:
    """Writes the runs' tickets and returns the jobs for a launcher. A run whose artefact is lost is put back first.

    Raises:
        OSError: the runs folder cannot be written; nothing was started.
    """
    for each in planned:
        folder = write_ticket(each.run, runs_folder, [list(place) for place in each.cells])
        if each.state.name == "lost":
            redo_if_lost(folder)
    return [job_of(each.run, runs_folder) for each in planned]
