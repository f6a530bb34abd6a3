"""What the arena's rows say: each loss against NT-Xent on each data set, in pairs by seed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmarks.loss_arena.tables import BASELINE, METRICS, metric_of
from contrastbench.verdicts.statistics import Interval, compare_pairs, differs_among

Row = dict[str, Any]
SCALES = ("smoke", "quick", "lite")


@dataclass(frozen=True)
class Against:
    """A loss on a data set; its differences to NT-Xent are taken over the seeds that both have."""

    dataset: str
    method: str
    mean: float
    seeds: int
    difference: float
    interval: Interval | None  # 95 % of the difference; None below two pairs
    is_best: bool  # of the data set
    is_real: bool  # the interval of all losses of the data set together (Bonferroni) leaves 0 out


def against_baseline(rows: Iterable[Row]) -> list[Against]:
    """Compares every loss on every data set with NT-Xent, from rows of the largest scale that has any."""
    done = [row for row in rows if row["status"] == "done" and row["scale"] in SCALES]
    scale = max((row["scale"] for row in done), key=SCALES.index, default="")
    values: dict[str, dict[str, dict[int, float]]] = {}  # data set -> method -> seed -> value
    for row in sorted(done, key=lambda row: list(METRICS).index(row["stage"])):
        if row["scale"] == scale:
            value = row["metrics"][metric_of(row["stage"], scale)]
            values.setdefault(row["dataset"], {}).setdefault(row["method"], {})[row["seed"]] = value
    return [
        _against(dataset, method, methods)
        for dataset, methods in values.items()
        for method, by_seed in methods.items()
        if BASELINE in methods
    ]


def _against(dataset: str, method: str, methods: Mapping[str, Mapping[int, float]]) -> Against:
    means = {name: fmean(by_seed.values()) for name, by_seed in methods.items()}
    baseline, own = methods[BASELINE], methods[method]
    pairs = {seed: value - baseline[seed] for seed, value in own.items() if seed in baseline}
    is_real = method != BASELINE and differs_among([*pairs.values()], len(methods) - 1)
    found, best = compare_pairs(pairs), max(means.values())
    return Against(dataset, method, means[method], len(own), found.mean, found.interval, means[method] == best, is_real)
