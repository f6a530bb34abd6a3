"""Estimates what runs will cost, from what similar runs have cost on the same kind of device."""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from contrastbench.runner.plan import Planned
from contrastbench.runner.rows import Row
from contrastbench.runner.vocabulary import Run, canonical_json

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
    work altogether, so neither stands for the other. A GPU's time says nothing about a CPU's, nor one model's about
    another's, so each kind of device has its own prices. Only runs done in one go count: a resumed run's row knows the
    seconds of its last part.

    Runs of one config do the same work under every seed. Where their times differ, the machine was busy with other
    things, which only adds time: a crowded one has made rows ten times as slow. So their lower quartile counts. Over
    several configs the median of these counts.

    Args:
        rows: finished rows, from here and from the suite.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        measured: dict[tuple[Any, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        devices: Counter[str] = Counter()
        for row in rows:
            if row["status"] == "done" and not row["resumes"]:
                devices[row["device"]] += 1
                config = canonical_json(row["config"])
                for place in _places(row, row["dataset"], row["method"]):
                    measured[row["device"], *place][config].append(row["seconds"])
        self._seconds = {
            place: median(map(lower_quartile, by_config.values())) for place, by_config in measured.items()
        }
        self.devices = [device for device, _ in devices.most_common()]  # most measured first

    def price(self, run: Run, devices: Iterable[str]) -> Price | None:
        """The price on the first of the kinds of devices on which something like the run was measured."""
        places = list(_places(run.identity, run.dataset, run.method))
        for device in devices:
            for place in places:
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
    chosen: list[Planned] = []
    spent = 0.0
    for each in planned:
        seconds = costs[each.run.key]
        spent += math.inf if seconds is None else seconds
        if spent > budget_seconds:
            break
        chosen.append(each)
    return chosen
