"""Plans what is to be done, the declared cells minus the rows that exist, and estimates what it will cost."""

import heapq
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from contrastbench.runner.checkpoint import lost_artefact
from contrastbench.runner.launchers import Job, job_of
from contrastbench.runner.rows import Row
from contrastbench.runner.states import State, StillQueued, folder_of, put_back, state_of, write_ticket
from contrastbench.runner.vocabulary import Cell, Run, canonical_json, chain

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
    # A finished run is lost if a run still to do needs its artefact, and that is gone or damaged. It is then to do too.
    for key, run in reversed(runs.items()):  # a run before those that it needs
        for need in run.needs.values() if states[key].name in TO_RUN else ():
            row, folder = states[need.key].row, folder_of(need, runs_folder)
            if row and row["status"] == "done" and (problem := lost_artefact(folder, row)):
                states[need.key] = State("lost", problem=f"{problem}; its run is done again")
    return [Planned(run, places.get(key, ()), states[key], key in shipped) for key, run in runs.items()]


def write_tickets(planned: Sequence[Planned], runs_folder: Path) -> list[Job]:
    """Writes the runs' tickets and returns the jobs for a launcher. A run whose artefact is lost is put back first.

    Raises:
        OSError: the runs folder cannot be written; nothing was started.
    """
    for each in planned:
        folder = write_ticket(each.run, runs_folder, [list(place) for place in each.cells])
        if each.state.name == "lost":
            put_back(folder, "lost")
    return [job_of(each.run, runs_folder) for each in planned]


# ------------------------------------------------------------------------------------------------------------- the cost

# Fields of a config that a run's time is proportional to, where it has them.
LENGTH = ("epochs", "train_images", "sentences")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Price(NamedTuple):
    """What a run costs, and what kind of device says so."""

    seconds: float  # on one slot
    device: str  # as rows name it


class Expected(Price):
    """A price that a paper tells by other means than rows."""


class Estimator:
    """Estimates the seconds of a run from the measured runs that are most like it.

    Most alike are runs of the same config; then those of the same paper, stage, scale, protocol, dataset, length and
    method; then the same but for the method. The clean protocol trains an encoder a fold, and another stage is other
    work altogether, so neither stands for the other. A GPU's time says nothing about a CPU's, and each model of either
    has its own prices, so a price names the device that it comes from. Only runs done in one go count: a resumed run's
    row knows the seconds of its last part.

    Runs of one config do the same work under every seed. Where their times differ, the machine was busy with other
    things, which only adds time: a crowded one has made rows ten times as slow. So their lower quartile counts. Over
    several configs the median of these counts.

    Args:
        groups: finished rows, the most trusted first: where a group has rows like a run, later ones do not count.
    """

    def __init__(self, *groups: Iterable[Row]) -> None:
        self._seconds: dict[tuple[Any, ...], float] = {}
        devices: Counter[str] = Counter()
        for rows in groups:
            measured: dict[tuple[Any, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            for row in rows:
                if row["status"] == "done" and not row["resumes"]:
                    devices[row["device"]] += 1
                    config = canonical_json(row["config"])
                    for place in _places(row, row["dataset"], row["method"]):
                        measured[row["device"], *place][config].append(row["seconds"])
            for place, by_config in measured.items():
                self._seconds.setdefault(place, median(map(lower_quartile, by_config.values())))
        self.devices = [device for device, _ in devices.most_common()]  # most measured first

    def price(self, run: Run, devices: Iterable[str]) -> Price | None:
        """The price that the runs most like this one tell; of several kinds of devices, on the first."""
        devices = list(devices)
        for place in _places(run.identity, run.dataset, run.method):
            for device in devices:
                if (seconds := self._seconds.get((device, *place))) is not None:
                    return Price(seconds, device)
        return None


def lower_quartile(values: Sequence[float]) -> float:
    """The measured value below which a quarter of the others lie, rounded down: of up to four values the least."""
    return sorted(values)[(len(values) - 1) // 4]


def _places(identity: Mapping[str, Any], dataset: str, method: str) -> Iterator[tuple[Any, ...]]:
    """The keys under which times of similar runs are looked up, the most alike first."""
    work = (*(identity[name] for name in ("paper", "stage", "scale", "protocol")), dataset)
    length = tuple(identity["config"].get(name) for name in LENGTH)
    yield *work, canonical_json(identity["config"]), "config"
    yield *work, length, method, "method"
    yield *work, length, "dataset"


@dataclass(frozen=True)
class Slots:
    """What the runs are spread over: how many work at a time, and what part of a device each of them takes."""

    count: int
    unit: str  # "CPU" (a core) or "GPU"
    units_per_run: float  # threads of a run, or 1 / the runs that share a GPU

    def device_hours(self, seconds: Iterable[float]) -> float:
        """CPU core hours or GPU hours of runs of these many seconds each."""
        return sum(seconds) * self.units_per_run / 3600

    def wall_hours(self, seconds: Iterable[float]) -> float:
        """Hours from start to end: each run, in order, goes to the slot that is free first."""
        free_at = [0.0] * self.count
        for each in seconds:
            heapq.heapreplace(free_at, free_at[0] + each)
        return max(free_at) / 3600


def seconds_of(duration: str) -> float:
    """``30m``, ``8h`` or ``2d`` in seconds.

    Raises:
        ValueError: it is not a number with one of the units s, m, h, d.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration)
    if not match:
        raise ValueError(f"a budget is a number and s, m, h or d (30m, 8h), got {duration!r}")
    return float(match[1]) * UNITS[match[2]]


def within(planned: Sequence[Planned], costs: dict[str, float | None], budget_seconds: float) -> list[Planned]:
    """The runs of the first cells, in declared order, whose summed cost fits the budget of one slot's seconds.

    A run whose cost nobody can tell ends the list, as one that does not fit does.
    """
    seconds = (costs[each.run.key] for each in planned)
    spent = itertools.accumulate(math.inf if each is None else each for each in seconds)
    return [each for each, so_far in zip(planned, spent, strict=True) if so_far <= budget_seconds]
