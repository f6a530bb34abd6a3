"""Comparisons between methods: the paper's order, the gains it claims, and our own paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from contrastbench.report.statistics import Interval, summarise, t_interval

LEVEL_OF_TEST = 0.05
MOST_EXACT = 16  # pairs; 2**16 sign patterns are enumerated, more pairs are sampled


def rank_correlation(ours: Sequence[float], published: Sequence[float]) -> float:
    """Kendall's tau-b between two lists of the same methods' results: 1 the same order, -1 the reverse.

    NaN for fewer than two methods, or where one side is all ties.
    """
    concordant = discordant = tied_ours = tied_published = 0
    for i in range(len(ours)):
        for j in range(i):
            a, b = np.sign(ours[i] - ours[j]), np.sign(published[i] - published[j])
            concordant += a * b > 0
            discordant += a * b < 0
            tied_ours += a == 0 and b != 0
            tied_published += b == 0 and a != 0
    pairs = concordant + discordant
    below = math.sqrt((pairs + tied_ours) * (pairs + tied_published))
    return float(concordant - discordant) / below if below else math.nan


class Gain(NamedTuple):
    """A method's gain over the baseline, positive where it is better: claimed, and measured in pairs by seed."""

    published: float
    here: float

    @property
    def same_sign(self) -> bool:
        return self.published * self.here > 0

    @property
    def share_kept(self) -> float:
        """Ours over published: 1 all of it, 0 none, below 0 the other way round; NaN where nothing was claimed."""
        return self.here / self.published if self.published else math.nan


@dataclass(frozen=True)
class Paired:
    """One method minus another over the seeds that both have."""

    n: int
    mean: float  # in the metric's unit
    interval: Interval | None  # 95 % t-interval of the mean difference; None below 2 pairs
    p: float  # two-sided sign-flip test, before Holm
    p_holm: float = math.nan
    impossible: str = ""  # why no result could have been significant, "" where one could

    @property
    def significant(self) -> bool:
        return not self.impossible and self.p_holm <= LEVEL_OF_TEST


def paired(method: Mapping[int, float], baseline: Mapping[int, float]) -> Paired:
    """Differences in pairs by seed (same seed, same splits), with the exact sign-flip test of their mean.

    Args:
        method, baseline: value by seed.
    """
    differences = [method[seed] - baseline[seed] for seed in sorted(method.keys() & baseline.keys())]
    summary = summarise(differences)
    return Paired(summary.n, summary.mean, t_interval(summary), sign_flip_p(differences))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the mean difference when every difference could as well have had the other sign.

    Assumes no distribution. All 2^n patterns are counted up to n = 16; beyond, 2^16 - 1 drawn ones and the one seen.
    The smallest p that n pairs can give is 2^(1 - n): 0.25 for 3.
    """
    if not differences:
        return math.nan
    values = np.asarray(differences, dtype=float)
    sums = np.abs(_signs(len(values)) @ values)
    seen = abs(values.sum())
    return float(np.mean(sums >= seen - 1e-12 * max(np.abs(values).sum(), 1e-300)))


@lru_cache(maxsize=MOST_EXACT + 4)
def _signs(n: int) -> np.ndarray:
    """[P, n] patterns of +1 and -1, the first one all +1 (what was seen)."""
    if n <= MOST_EXACT:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return 1.0 - 2.0 * bits
    drawn = np.random.default_rng(n).integers(0, 2, size=(2**MOST_EXACT, n)) * 2.0 - 1.0
    drawn[0] = 1.0
    return drawn


def smallest_p(n: int) -> float:
    """The smallest p that the sign-flip test can give with n pairs."""
    return 2.0 ** (1 - min(n, MOST_EXACT + 1)) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; NaN stays NaN and does not count."""
    adjusted = [math.nan] * len(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(order) - rank)))
        adjusted[i] = highest
    return adjusted


def with_holm(comparisons: Sequence[Paired]) -> list[Paired]:
    """The comparisons of one table with their adjusted p, and a word where no result could have been significant."""
    adjusted = holm([comparison.p for comparison in comparisons])
    tested = [comparison for comparison in comparisons if comparison.n]
    best = min((smallest_p(comparison.n) for comparison in tested), default=1.0)
    first_step_fails = best * len(tested) > LEVEL_OF_TEST
    return [
        Paired(c.n, c.mean, c.interval, c.p, p, _impossible(c.n, len(tested), first_step_fails))
        for c, p in zip(comparisons, adjusted, strict=True)
    ]


def _impossible(n: int, comparisons: int, first_step_fails: bool) -> str:
    if n == 0:
        return "no seed in common with the baseline"
    if smallest_p(n) > LEVEL_OF_TEST:
        return f"significance is impossible at n = {n}: the smallest p is {smallest_p(n):.2g}"
    if first_step_fails:
        return f"significance is impossible at n = {n} with {comparisons} comparisons"
    return ""
