"""What a whole table says: the methods' order, the gains over the baseline, and each gain over all data sets.

Rows made here count if there are any, else the shipped ones. Differences are taken in pairs by seed: methods share
weights, order and splits under one seed, so it is the seed, not the run, that is drawn at random.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contrastbench.verdicts.cells import JoinedCell, JoinedTable, group_by
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import Interval, Paired, compare_pairs, holm


class Order(NamedTuple):
    """Do the methods come in the paper's order on one dataset? ``tau`` is Kendall's, over ``methods`` methods."""

    dataset: str
    metric: str
    tau: float
    methods: int


@dataclass(frozen=True)
class Gain:
    """One method against its baseline on one dataset, positive where it is better."""

    cell: JoinedCell
    baseline: JoinedCell
    published: float | None  # difference of the published numbers; None where one is missing or they are equal
    paired: Paired

    @property
    def share_kept(self) -> float | None:
        """Ours over published: 1 all of it, 0 none, below 0 the other way round."""
        return self.paired.mean / self.published if self.published else None


class Pooled(NamedTuple):
    """One method minus another over all data sets: the mean over data sets of the mean difference in pairs by seed.

    ``pairs`` counts the pairs of each data set.
    """

    method: str
    other: str
    mean: float
    interval: Interval
    p: float
    pairs: Mapping[str, int]
    p_holm: float = math.nan


def orders(table: JoinedTable) -> list[Order]:
    """The order of methods on each data set and metric with three confirmed numbers or more; ties have none."""
    found = []
    for place, cells in group_by(table.cells, lambda cell: (cell.dataset, cell.metric)).items():
        known = [(cell.best_known.summary.mean, _measured_and_confirmed(cell)) for cell in cells]
        both = [(mean, number.value) for mean, number in known if number]
        if len(both) >= 3:  # two methods are a gain, not an order
            ours, published = zip(*both, strict=True)
            found.append(Order(*place, rank_correlation(ours, published), len(both)))
    return [order for order in found if not math.isnan(order.tau)]


def rank_correlation(ours: Sequence[float], published: Sequence[float]) -> float:
    """Kendall's tau-b between two lists of the same methods' results: 1 the same order, -1 the reverse, NaN for ties.

    scipy.stats takes a second to import, so it is imported only here, when something is compared.
    """
    from scipy.stats import kendalltau

    return float(kendalltau(ours, published).statistic)


def _measured_and_confirmed(cell: JoinedCell) -> Published | None:
    number = cell.judged
    return number if number and number.confirmed and not cell.ambiguous and cell.best_known.done else None


def gains(table: JoinedTable) -> list[Gain]:
    """Each method against its baseline, on each data set and metric."""
    groups = group_by(table.cells, lambda cell: (cell.dataset, cell.metric))
    return [
        _gain(cell, baseline)
        for cells in groups.values()
        for cell in cells
        if (baseline := counterpart(cell, cell.baseline, cells))
    ]


def counterpart(cell: JoinedCell, method: str, cells: Sequence[JoinedCell]) -> JoinedCell | None:
    """The cell of another method that this one is compared with: of its protocol and variant if there is one.

    None for the method itself.
    """
    others = [other for other in cells if other.method == method != cell.method]
    return max(others, key=lambda o: (o.protocol == cell.protocol, o.variant == cell.variant), default=None)


def _gain(cell: JoinedCell, baseline: JoinedCell) -> Gain:
    pairs = compare_pairs(gain_by_seed(cell, baseline))
    number, other = _measured_and_confirmed(cell), _measured_and_confirmed(baseline)
    published = _sign(cell) * (number.value - other.value) if number and other and pairs.n else None
    return Gain(cell, baseline, published or None, pairs)


def _sign(cell: JoinedCell) -> int:
    return -1 if cell.better == "lower" else 1


def gain_by_seed(cell: JoinedCell, baseline: JoinedCell) -> dict[int, float]:
    """Seed -> the cell minus the baseline, positive if the cell is better, also if lower is better.

    Both sides are from here if both were measured here, else both are shipped. A side with nothing random has one
    number for every seed of the other.
    """
    is_here = cell.here.done and baseline.here.done
    ours, theirs = (each.here.by_seed if is_here else each.shipped.by_seed for each in (cell, baseline))
    if cell.deterministic and len(set(ours.values())) == 1:
        ours = dict.fromkeys(theirs, next(iter(ours.values())))
    elif baseline.deterministic and len(set(theirs.values())) == 1:
        theirs = dict.fromkeys(ours, next(iter(theirs.values())))
    return {seed: _sign(cell) * (ours[seed] - theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())}


def pooled_gains(table: JoinedTable) -> tuple[Pooled, ...]:
    """Tests every method against its baseline, and the table's further pairs, over all data sets; then Holm.

    The rule was fixed before the suite made any pooled test. It takes the table's first metric, and the data sets on
    which both sides have two seeds in common, two sets at least. Every data set counts the same. Holm's correction is
    over all pairs of the table.
    """
    cells = [cell for cell in table.cells if cell.metric == table.cells[0].metric]
    wanted = [(cell.method, cell.baseline) for cell in cells if cell.method != cell.baseline]
    found = [pooled for pair in dict.fromkeys([*wanted, *table.claims]) if (pooled := _pool(*pair, cells))]
    adjusted = holm([pooled.p for pooled in found])
    return tuple(pooled._replace(p_holm=p) for pooled, p in zip(found, adjusted, strict=True))


def _pool(method: str, other: str, cells: Sequence[JoinedCell]) -> Pooled | None:
    by_dataset = group_by(cells, lambda cell: cell.dataset)
    strata = {name: gains_of(method, other, there) for name, there in by_dataset.items()}
    pairs = {name: len(by_seed) for name, by_seed in strata.items() if len(by_seed) >= 2}
    if len(pairs) < 2:
        return None
    found = compare_pairs(*(strata[name] for name in pairs))
    assert found.interval is not None  # two seeds at least on each
    return Pooled(method, other, found.mean, found.interval, found.p, pairs)


def gains_of(method: str, other: str, cells: Sequence[JoinedCell]) -> dict[int, float]:
    """Seed -> gain, from the cells of one data set and metric.

    If several cells share the method's name it is their mean, since runs of a seed are alike.
    """
    by_seed: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        if cell.method == method and (baseline := counterpart(cell, other, cells)):
            for seed, gain in gain_by_seed(cell, baseline).items():
                by_seed[seed].append(gain)
    return {seed: math.fsum(by_seed[seed]) / len(by_seed[seed]) for seed in sorted(by_seed)}
