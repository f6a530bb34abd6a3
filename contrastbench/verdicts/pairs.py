"""Tests on differences in pairs: methods share weights, order and splits under one seed, so seeds make the pairs."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from contrastbench.verdicts.statistics import LEVEL, Interval, summarise, t_interval, t_quantile, welch_degrees

LEVEL_OF_TEST = 0.05
MOST_EXACT = 13  # pairs: 2**13 sign patterns are enumerated; more pairs are sampled
PATTERNS = 99_999  # sampled sign patterns: a p of 0.01 is then known to 0.0003


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


def paired(differences: Mapping[int, float]) -> Paired:
    """The differences by seed as one comparison: their mean with its interval, and the sign-flip test of it."""
    values = tuple(differences.values())
    summary = summarise(values)
    return Paired(len(values), summary.mean, t_interval(summary), sign_flip_p(values))


@lru_cache(maxsize=4096)
def sign_flip_p(differences: tuple[float, ...]) -> float:
    """Two-sided p of the sum of the differences when each could as well have had the other sign.

    Assumes no distribution. All 2^n patterns are counted up to n = 13; beyond, 99,999 drawn ones and the one seen.
    The smallest p that n pairs can give is 2^(1 - n): 0.25 for 3.
    """
    if not differences:
        return math.nan
    values = np.asarray(differences, dtype=float)
    sums = np.abs(_signs(len(values)) @ values)
    return float(np.mean(sums >= abs(values.sum()) - 1e-12 * np.abs(values).sum()))


@lru_cache(maxsize=32)
def _signs(n: int) -> np.ndarray:
    """[P, n] patterns of +1 and -1, the first one all +1 (what was seen).

    scipy.stats.permutation_test makes its patterns one by one: 0.3 s a claim with 50 pairs, where this takes 0.01 s.
    """
    if n <= MOST_EXACT:
        return 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    drawn = np.random.default_rng(n).integers(0, 2, size=(PATTERNS + 1, n), dtype=np.int8) * 2 - 1
    drawn[0] = 1
    return drawn


def smallest_p(n: int) -> float:
    """The smallest p that the sign-flip test can give with n pairs."""
    if n > MOST_EXACT:
        return 1 / (PATTERNS + 1)
    return 2.0 ** (1 - n) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; NaN stays NaN and does not count."""
    adjusted = iter(_holm_of(tuple(p for p in p_values if not math.isnan(p))))
    return [p if math.isnan(p) else next(adjusted) for p in p_values]


@cache
def _holm_of(p_values: tuple[float, ...]) -> tuple[float, ...]:
    if not p_values:
        return ()
    from statsmodels.stats.multitest import multipletests

    gc.freeze()  # statsmodels collects garbage at each call: half a second where all rows of the suite are in memory
    adjusted = multipletests(p_values, method="holm")[1]
    gc.unfreeze()
    return tuple(adjusted.tolist())


def stratified(strata: Sequence[Sequence[float]]) -> tuple[float, Interval, float]:
    """Mean over strata of the strata's means, its 95 % interval (Welch) and the p of the stratified sign-flip test.

    Args:
        strata: the differences of each data set, two at least.
    """
    summaries = [summarise(values) for values in strata]
    mean = math.fsum(summary.mean for summary in summaries) / len(strata)
    variances = [(summary.sd / len(strata)) ** 2 / summary.n for summary in summaries]
    half = t_quantile(0.5 + LEVEL / 2, welch_degrees(variances, [s.n - 1 for s in summaries])) * sum(variances) ** 0.5
    weighted = tuple(value / (len(values) * len(strata)) for values in strata for value in values)
    return mean, Interval(mean - half, mean + half), sign_flip_p(weighted)


def with_holm(comparisons: Sequence[Paired]) -> list[Paired]:
    """The comparisons of one table with their adjusted p, and a word where no result could have been significant."""
    tested = [comparison.n for comparison in comparisons if comparison.n]
    first_step_fails = min(map(smallest_p, tested), default=1.0) * len(tested) > LEVEL_OF_TEST
    return [
        replace(comparison, p_holm=p, impossible=_impossible(comparison.n, len(tested), first_step_fails))
        for comparison, p in zip(comparisons, holm([comparison.p for comparison in comparisons]), strict=True)
    ]


def _impossible(n: int, comparisons: int, first_step_fails: bool) -> str:
    if n == 0:
        return "no seed in common with the baseline"
    if smallest_p(n) > LEVEL_OF_TEST:
        return f"one data set alone cannot show significance at n = {n}: the smallest p is {smallest_p(n):.2g}"
    if first_step_fails:
        return f"one data set alone cannot show significance at n = {n} with {comparisons} comparisons"
    return ""
