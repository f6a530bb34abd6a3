"""What runs will cost, from what runs have cost on the same kind of device."""

from __future__ import annotations

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from contrastbench.runner.plan import Planned
from contrastbench.runner.rows import Row
from contrastbench.runner.vocabulary import Run

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Estimator:
    """Seconds of a run: the median of the measured runs that are most like it.

    Most like: same paper, stage, scale, protocol, dataset and method; else the same but for the method. The clean
    protocol trains an encoder a fold, and another stage is other work altogether, so neither stands for the other.
    Only rows from the same kind of device count, as a GPU's time says nothing about a CPU's, and only runs done in one
    go: a resumed run's row knows the seconds of its last part.

    Args:
        rows: finished rows, from here and from the suite.
        same_device: whether a device's kind, as rows name it, is the one that the cost is asked for.
    """

    def __init__(self, rows: Iterable[Row], same_device: Callable[[str], bool]) -> None:
        measured: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for row in rows:
            if row["status"] == "done" and not row["resumes"] and same_device(row["device"]):
                work = row["paper"], row["stage"], row["scale"], row["protocol"], row["dataset"]
                measured[work].append(row["seconds"])
                measured[*work, row["method"]].append(row["seconds"])
        self._seconds = {place: median(values) for place, values in measured.items()}

    def seconds(self, run: Run) -> float | None:
        """Seconds on one slot, or None where nothing like the run was measured."""
        work = run.paper, run.stage, run.scale, run.protocol, run.dataset
        return self._seconds.get((*work, run.method), self._seconds.get(work))


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

    A run whose cost nobody could tell in time ends the list, as one that does not fit does.
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
