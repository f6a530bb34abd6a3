"""What a whole table says: the methods' order, the gains over the baseline, and paired comparisons of our own rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from contrastbench.report.comparisons import Gain, Paired, paired, rank_correlation, with_holm
from contrastbench.report.join import JoinedCell, JoinedTable
from contrastbench.report.published import Published


@dataclass(frozen=True)
class Order:
    """Do the methods come in the paper's order on one dataset? ``tau`` is Kendall's, over ``methods`` methods."""

    dataset: str
    metric: str
    tau: float
    methods: int


@dataclass(frozen=True)
class Claim:
    """One method against the baseline on one dataset: the claimed gain and ours (None where one side is missing)."""

    cell: JoinedCell
    baseline: JoinedCell
    gain: Gain | None
    paired: Paired


@dataclass(frozen=True)
class Analysis:
    orders: tuple[Order, ...]
    claims: tuple[Claim, ...]


def analyse(table: JoinedTable) -> Analysis:
    """The analysis of one table at one scale, from the rows measured here where there are any, else the shipped."""
    groups: dict[tuple[str, str], list[JoinedCell]] = defaultdict(list)
    for cell in table.cells:
        groups[cell.dataset, cell.metric].append(cell)
    orders = [order for place, cells in groups.items() if (order := _order(*place, cells))]
    claims = [claim for cells in groups.values() for claim in _claims(table.table.baseline, cells)]
    adjusted = with_holm([claim.paired for claim in claims])
    return Analysis(
        tuple(orders),
        tuple(Claim(c.cell, c.baseline, c.gain, p) for c, p in zip(claims, adjusted, strict=True)),
    )


def _order(dataset: str, metric: str, cells: Sequence[JoinedCell]) -> Order | None:
    both = [(cell.best_known.summary.mean, number.value) for cell in cells if (number := _measured_and_confirmed(cell))]
    if len(both) < 3:  # two methods are a gain, not an order
        return None
    ours, published = zip(*both, strict=True)
    return Order(dataset, metric, rank_correlation(ours, published), len(both))


def _measured_and_confirmed(cell: JoinedCell) -> Published | None:
    number = cell.judged
    return number if number and number.confirmed and not cell.ambiguous and cell.best_known.done else None


def _claims(baseline_method: str, cells: Sequence[JoinedCell]) -> list[Claim]:
    """Each method against the baseline of the same variant and protocol, or the only baseline there is."""
    baselines = [cell for cell in cells if cell.method == baseline_method]
    if not baselines:
        return []
    claims = []
    for cell in cells:
        if cell.method == baseline_method:
            continue
        same = [b for b in baselines if (b.variant, b.protocol) == (cell.variant, cell.protocol)]
        same = same or [b for b in baselines if b.protocol == cell.protocol]
        if same:
            claims.append(_claim(cell, same[0]))
    return claims


def _claim(cell: JoinedCell, baseline: JoinedCell) -> Claim:
    """Differences are taken so that a positive one is a gain, also where lower is better."""
    ours, theirs = _same_place(cell, baseline)
    pairs = paired(theirs, ours) if cell.better == "lower" else paired(ours, theirs)
    number, other = _measured_and_confirmed(cell), _measured_and_confirmed(baseline)
    if not (number and other and pairs.n):
        return Claim(cell, baseline, None, pairs)
    claimed = other.value - number.value if cell.better == "lower" else number.value - other.value
    return Claim(cell, baseline, Gain(claimed, pairs.mean), pairs)


def _same_place(cell: JoinedCell, baseline: JoinedCell) -> tuple[dict[int, float], dict[int, float]]:
    """Values by seed of both cells from one place: here if both were measured here, else shipped; never mixed."""
    if cell.here.done and baseline.here.done:
        return cell.here.by_seed, baseline.here.by_seed
    return cell.shipped.by_seed, baseline.shipped.by_seed
