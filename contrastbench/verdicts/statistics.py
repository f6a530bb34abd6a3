"""The statistics behind a verdict, as pure functions of numbers.

Why these and not others: a percentile bootstrap over 3 seeds covers 75 %, not 95 %; a one-sample t-test against a
printed mean calls a perfect rerun different 17 % of the time at equal spread, because the printed mean is itself
uncertain; "inside the paper's +- std" errs 34 % at 3 against 3. ``python tests/verdicts/error_rates.py`` measures what
the functions here do instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from scipy import special

LEVEL = 0.95
MOST_SEEDS = 1000  # a plan of more seeds than this is no plan


class Interval(NamedTuple):
    low: float
    high: float

    def within(self, margin: float) -> bool:
        return -margin <= self.low and self.high <= margin

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def widened(self, by: float) -> Interval:
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


def spread_ratio(one: Summary, other: Summary, level: float = LEVEL) -> tuple[float, Interval]:
    """The sd of one sample over that of another, with its F interval (normal values, samples independent).

    Raises:
        ValueError: a sample has fewer than 2 values, or the other one no spread.
    """
    if min(one.n, other.n) < 2 or not other.sd > 0:
        raise ValueError(f"a ratio of spreads needs two seeds a side and some spread, got {one} and {other}")
    ratio = one.sd / other.sd
    low, high = (float(special.fdtri(one.n - 1, other.n - 1, 0.5 + side * level / 2)) for side in (1, -1))
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


def equivalence_interval(difference: Difference, level: float = LEVEL) -> Interval:
    """The interval of two one-sided tests (TOST): 90 % wide for a test at 5 %."""
    return difference_interval(difference, 2 * level - 1)


def decision(difference: Difference, margin: float, rounding: float = 0.0) -> str:
    """Whether the two are equal within the margin (TOST): "reproduced"; else whether they differ: "differs"; else "".

    Args:
        margin: of equivalence, in the metric's unit.
        rounding: half a unit of the last printed digit; added at both ends of the intervals.
    """
    if equivalence_interval(difference).widened(rounding).within(margin):
        return "reproduced"
    return "differs" if difference_interval(difference).widened(rounding).excludes_zero() else ""


def narrowest(sd: float, printed: Printed, level: float = LEVEL) -> float:
    """Half the interval's width if we had infinitely many runs of this sd: the printed number's own uncertainty."""
    return difference_interval(difference(Summary(math.inf, printed.mean, sd), printed), level).high


def seeds_to_decide(here: Summary, printed: Printed, margin: float, rounding: float = 0.0) -> int | None:
    """How many seeds in all would settle the question if mean and sd stayed as they are; None if none up to 1000.

    Args:
        here: our runs so far, at least 2.
        margin, rounding: as in ``decision``.
    """

    def settles(count: float) -> bool:
        return bool(decision(difference(here._replace(n=count), printed), margin, rounding))

    counts: Sequence[int] = range(int(here.n) + 1, MOST_SEEDS + 1)
    if not settles(math.inf):  # more seeds make no interval wider, but for Welch's at as many as the paper has
        counts = [count for count in counts if count == printed.n]
    return next((count for count in counts if settles(count)), None)


def seeds_range(here: Summary, printed: Printed, margin: float, rounding: float = 0.0) -> tuple[int, int | None] | None:
    """Fewest and most seeds in all that would settle it if our mean stayed, over the 80 % interval of our sd.

    n runs tell their sd badly (three: within a factor of 3 at best), so one number of seeds would say too much. The
    most is None beyond 1000; the whole is None where even the smallest likely sd would not do.
    """
    low, high = (
        seeds_to_decide(here._replace(sd=here.sd * math.sqrt((here.n - 1) / quantile)), printed, margin, rounding)
        for quantile in special.chdtri(here.n - 1, [0.1, 0.9])
    )
    return None if low is None else (low, high)
