"""The statistics behind a verdict, as pure functions of numbers.

Why these and not others: a percentile bootstrap over 3 seeds covers 75 %, not 95 %; a one-sample t-test against a
printed mean calls a perfect rerun different 17 % of the time at equal spread, because the printed mean is itself
uncertain; "inside the paper's +- std" errs 34 % at 3 against 3. ``python tests/verdicts/error_rates.py`` measures what
the functions here do instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
MOST_EXACT = 13  # pairs: 2**13 sign patterns are enumerated; more pairs are sampled
PATTERNS = 99_999  # sampled sign patterns: a p of 0.01 is then known to 0.0003
MOST_SEEDS = 1000  # a plan of more seeds than this is no plan


class Interval(NamedTuple):
    low: float
    high: float

    def within(self, margin: float) -> bool:
        return -margin <= self.low and self.high <= margin

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def widen(self, by: float) -> Interval:
        return Interval(self.low - by, self.high + by)


class Summary(NamedTuple):
    """n values' mean and standard deviation (n - 1 below the line; NaN for fewer than 2 values).

    A number that no seed can change is the mean of infinitely many values of sd 0.
    """

    n: float
    mean: float
    sd: float


class Printed(NamedTuple):
    """A printed number: with ``n`` the mean of n runs whose sd over seeds is ``sd``; without ``n`` one run's value.

    One run is taken to vary as ours do, or as the printed ``sd`` says if that is larger.
    """

    mean: float
    sd: float = 0.0
    n: float | None = None


class Difference(NamedTuple):
    """Ours minus printed: the estimate, and the variances of its two sides with their degrees of freedom."""

    estimate: float
    variance_here: float  # of our mean, or of the prediction
    degrees_here: float
    variance_printed: float = 0.0
    degrees_printed: float = math.inf


def summarise(values: Sequence[float]) -> Summary:
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else math.nan
    return Summary(n, mean, sd)


@lru_cache(maxsize=65536)
def t_quantile(probability: float, degrees: float) -> float:
    """Student's t quantile; the normal one for infinite ``degrees``."""
    return float(special.ndtri(probability) if math.isinf(degrees) else special.stdtrit(degrees, probability))


def t_interval(summary: Summary, level: float = LEVEL) -> Interval | None:
    """The interval for the mean of the runs; None for fewer than 2 of them."""
    if summary.n < 2:
        return None
    half = t_quantile(0.5 + level / 2, summary.n - 1) * summary.sd / math.sqrt(summary.n)
    return Interval(summary.mean - half, summary.mean + half)


def differs_among(values: Sequence[float], comparisons: int) -> bool:
    """Whether the interval of the mean leaves 0 out, widened for so many comparisons (Bonferroni)."""
    interval = t_interval(summarise(values), 1 - (1 - LEVEL) / max(1, comparisons))
    return interval is not None and interval.excludes_zero()


def wilson_interval(hits: int, of: int) -> Interval:
    """Wilson's interval for a share, in percent: that ``hits`` of ``of`` runs did something."""
    z = t_quantile(0.5 + LEVEL / 2, math.inf)
    middle, half = hits + z**2 / 2, z * math.sqrt(hits * (of - hits) / of + z**2 / 4)
    return Interval(*(100 * min(max((middle + side * half) / (of + z**2), 0.0), 1.0) for side in (-1, 1)))


def spread_ratio(one: Summary, other: Summary) -> tuple[float, Interval]:
    """The sd of one sample over that of another, with its F interval (normal values, samples independent).

    Raises:
        ValueError: a sample has fewer than 2 values, or the other one no spread.
    """
    if min(one.n, other.n) < 2 or not other.sd > 0:
        raise ValueError(f"a ratio of spreads needs two seeds a side and some spread, got {one} and {other}")
    ratio = one.sd / other.sd
    low, high = (float(special.fdtri(one.n - 1, other.n - 1, 0.5 + side * LEVEL / 2)) for side in (1, -1))
    return ratio, Interval(ratio / math.sqrt(low), ratio / math.sqrt(high))


def difference(here: Summary, printed: Printed) -> Difference:
    """Ours minus a printed number.

    With a printed sd and n: the difference of two means. Else the prediction interval of one run,
    sd * sqrt(1 + 1/n): a printed mean of several runs varies less, so the interval then errs on the wide side.
    """
    estimate = here.mean - printed.mean
    if printed.n:
        ours, theirs = here.sd**2 / here.n, printed.sd**2 / printed.n
        return Difference(estimate, ours, here.n - 1, theirs, printed.n - 1)
    return Difference(estimate, max(here.sd, printed.sd) ** 2 * (1 + 1 / here.n), here.n - 1)


def difference_interval(difference: Difference, level: float = LEVEL) -> Interval:
    """The interval for the difference.

    Equal degrees of freedom on both sides: Welch. Unequal: Cochran and Cox's weighted quantile, because Welch's
    approximation calls up to 7.3 % of perfect reruns different at 3 seeds against 10, theirs at most 5 %.
    """
    ours, theirs = difference.variance_here, difference.variance_printed
    half = _quantile(difference, 0.5 + level / 2) * math.sqrt(ours + theirs)
    return Interval(difference.estimate - half, difference.estimate + half)


def _quantile(difference: Difference, probability: float) -> float:
    ours, theirs = difference.variance_here, difference.variance_printed
    if theirs == 0 or ours + theirs == 0:
        return t_quantile(probability, difference.degrees_here)
    if difference.degrees_here == difference.degrees_printed:
        return t_quantile(probability, welch_degrees((ours, theirs), (difference.degrees_here,) * 2))
    weighted = ours * t_quantile(probability, difference.degrees_here)
    weighted += theirs * t_quantile(probability, difference.degrees_printed)
    return weighted / (ours + theirs)


def welch_degrees(variances: Sequence[float], degrees: Sequence[float]) -> float:
    """Welch and Satterthwaite's degrees of freedom of a sum of independent parts; inf where none varies."""
    below = sum(variance**2 / degree for variance, degree in zip(variances, degrees, strict=True))
    return sum(variances) ** 2 / below if below > 0 else math.inf


def equivalence_interval(difference: Difference) -> Interval:
    """The interval of two one-sided tests (TOST): 90 % wide for a test at 5 %."""
    return difference_interval(difference, 2 * LEVEL - 1)


def gap_found(difference: Difference) -> float:
    """The smallest true gap that the 95 % interval would tell from none in 80 % of all reruns, about."""
    width = _quantile(difference, 0.5 + LEVEL / 2) + _quantile(difference, 0.8)
    return width * math.sqrt(difference.variance_here + difference.variance_printed)


def decision(difference: Difference, margin: float, rounding: float = 0.0, matters: float = 0.0) -> str:
    """What the difference shows: "reproduced", "differs", "consistent", or "" where it shows nothing.

    Reproduced: the two are equal within the margin (TOST). Differs: not that, and the 95 % interval excludes zero.
    Consistent: neither, and a gap as large as ``matters`` would have shown in 80 % of all reruns.

    Args:
        margin: of equivalence, in the metric's unit.
        rounding: half a unit of the last printed digit; added at both ends of the intervals.
        matters: the gap that must not have been overlooked; 0 where nothing is called consistent.
    """
    if equivalence_interval(difference).widen(rounding).within(margin):
        return "reproduced"
    if difference_interval(difference).widen(rounding).excludes_zero():
        return "differs"
    return "consistent" if gap_found(difference) + rounding <= matters else ""


def seeds_to_decide(
    here: Summary, printed: Printed, margin: float, rounding: float = 0.0, matters: float = 0.0
) -> int | None:
    """How many seeds in all would settle the question if mean and sd stayed as they are; None if none up to 1000.

    Args:
        here: our runs so far, at least 2.
        margin, rounding, matters: as in ``decision``.
    """

    def settles(count: float) -> bool:
        return bool(decision(difference(here._replace(n=count), printed), margin, rounding, matters))

    counts: Sequence[int] = range(int(here.n) + 1, MOST_SEEDS + 1)
    if not settles(math.inf):  # more seeds make no interval wider, but for Welch's at as many as the paper has
        counts = [count for count in counts if count == printed.n]
    return next((count for count in counts if settles(count)), None)


def seeds_range(
    here: Summary, printed: Printed, margin: float, rounding: float = 0.0, matters: float = 0.0
) -> tuple[int, int | None] | None:
    """Fewest and most seeds in all that would settle it if our mean stayed, over the 80 % interval of our sd.

    n runs tell their sd badly (three: within a factor of 3 at best), so one number of seeds would say too much. The
    most is None beyond 1000; the whole is None where even the smallest likely sd would not do.
    """
    low, high = (
        seeds_to_decide(here._replace(sd=here.sd * math.sqrt((here.n - 1) / q)), printed, margin, rounding, matters)
        for q in special.chdtri(here.n - 1, [0.1, 0.9])
    )
    return None if low is None else (low, high)


# ------------------------------------------------------------------ differences in pairs by seed


class Paired(NamedTuple):
    """One method minus another over the seeds that both have."""

    n: int
    mean: float  # in the metric's unit
    interval: Interval | None  # 95 % t-interval of the mean difference; None below 2 pairs
    p: float  # two-sided sign-flip test


def compare_pairs(*differences: Mapping[int, float]) -> Paired:
    """The differences by seed as one comparison: their mean with its interval, and the sign-flip test of it.

    Args:
        differences: of each data set; of several the mean is that of their means, the interval Welch's, and the test
            is stratified.
    """
    strata = [list(each.values()) for each in differences]
    mean = math.fsum(summarise(values).mean for values in strata) / len(strata)
    weighted = tuple(value / (len(values) * len(strata)) for values in strata for value in values)
    found = estimate(strata)
    return Paired(len(weighted), mean, found and found.interval(), sign_flip_p(weighted))


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; NaN stays NaN and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted


class Estimate(NamedTuple):
    """A mean with its standard error; with ``se`` 0 it is exact, or all ``n`` values were equal."""

    mean: float
    se: float
    degrees: float
    n: int

    def interval(self) -> Interval:
        half = t_quantile(0.5 + LEVEL / 2, self.degrees) * self.se if self.se else 0.0
        return Interval(self.mean - half, self.mean + half)

    def p_above(self, bound: float) -> float:
        """One-sided p of such a mean if the truth were at or below the bound."""
        if self.se:
            return float(special.stdtr(self.degrees, (bound - self.mean) / self.se))
        return 2.0**-self.n if self.mean > bound else 1.0

    def p_below(self, bound: float) -> float:
        """One-sided p of such a mean if the truth were at or above the bound."""
        return self._replace(mean=-self.mean).p_above(-bound)


EXACT = 10_000  # as ``n`` of a mean that nothing random is in: no chance can explain it


def estimate(strata: Sequence[Sequence[float]], *, exact: bool = False) -> Estimate | None:
    """The mean over strata (data sets, which stay the same) of their means; Welch's degrees of freedom.

    Args:
        strata: the differences of each data set; two at least on each, unless nothing is random.

    None where there are too few values.
    """
    summaries = [summarise(values) for values in strata]
    if not summaries or (not exact and min(summary.n for summary in summaries) < 2):
        return None
    mean = math.fsum(summary.mean for summary in summaries) / len(strata)
    if exact:
        return Estimate(mean, 0.0, math.inf, EXACT)
    variances = [(summary.sd / len(strata)) ** 2 / summary.n for summary in summaries]
    degrees = welch_degrees(variances, [summary.n - 1 for summary in summaries])
    return Estimate(mean, sum(variances) ** 0.5, degrees, sum(len(values) for values in strata))


def over_sets(strata: Sequence[Sequence[float]]) -> Estimate | None:
    """The same mean for data sets like these: they are drawn at random too. None for fewer than two of them."""
    means = summarise([summarise(values).mean for values in strata])
    return Estimate(means.mean, means.sd / means.n**0.5, means.n - 1, int(means.n)) if means.n > 1 else None
