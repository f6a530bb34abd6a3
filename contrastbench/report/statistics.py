"""The statistics behind a verdict, as pure functions of numbers.

Why these and not others: a percentile bootstrap over 3 seeds covers 75 %, not 95 %; a one-sample t-test against a
printed mean calls a perfect rerun different 17 % of the time at equal spread, because the printed mean is itself
uncertain; "inside the paper's +- std" errs 34 % at 3 against 3. ``python -m contrastbench.report.simulation`` measures
what the functions here do instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
MOST_SEEDS = 1000  # beyond this many, more seeds are no plan


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
    """n values' mean and standard deviation (n - 1 below the line; NaN for fewer than 2 values)."""

    n: int
    mean: float
    sd: float


class Difference(NamedTuple):
    """Ours minus published: the estimate, and the variances of its two sides with their degrees of freedom."""

    estimate: float
    variance_here: float  # of our mean
    degrees_here: float
    variance_published: float  # of the published number
    degrees_published: float


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


def difference_of_means(here: Summary, published: Summary) -> Difference:
    """Ours minus a published mean whose spread over seeds and number of seeds are printed."""
    return Difference(
        here.mean - published.mean, here.sd**2 / here.n, here.n - 1, published.sd**2 / published.n, published.n - 1
    )


def difference_from_one_number(here: Summary, value: float) -> Difference:
    """Ours minus one printed number, taken as one draw from the distribution our runs come from.

    This is the prediction interval: sd * sqrt(1 + 1/n). A printed mean of several runs varies less than one run, so the
    interval then errs on the wide side.
    """
    return Difference(here.mean - value, here.sd**2 * (1 + 1 / here.n), here.n - 1, 0.0, math.inf)


def difference_interval(difference: Difference, level: float = LEVEL) -> Interval:
    """The interval for the difference.

    Equal degrees of freedom on both sides: Welch. Unequal: Cochran and Cox's weighted quantile, because Welch's
    approximation calls up to 7.3 % of perfect reruns different at 3 seeds against 10, theirs at most 5 %.
    """
    ours, theirs = difference.variance_here, difference.variance_published
    half = _quantile(difference, 0.5 + level / 2) * math.sqrt(ours + theirs)
    return Interval(difference.estimate - half, difference.estimate + half)


def _quantile(difference: Difference, probability: float) -> float:
    ours, theirs = difference.variance_here, difference.variance_published
    if theirs == 0 or ours + theirs == 0:
        return t_quantile(probability, difference.degrees_here)
    if difference.degrees_here == difference.degrees_published:
        return t_quantile(probability, welch_degrees(difference))
    weighted = ours * t_quantile(probability, difference.degrees_here)
    weighted += theirs * t_quantile(probability, difference.degrees_published)
    return weighted / (ours + theirs)


def welch_degrees(difference: Difference) -> float:
    """Welch and Satterthwaite's degrees of freedom; inf where neither side varies."""
    ours, theirs = difference.variance_here, difference.variance_published
    below = ours**2 / difference.degrees_here + theirs**2 / difference.degrees_published
    return (ours + theirs) ** 2 / below if below > 0 else math.inf


def equivalence_interval(difference: Difference, level: float = LEVEL) -> Interval:
    """The interval of two one-sided tests (TOST): 90 % wide for a test at 5 %."""
    return difference_interval(difference, 2 * level - 1)


def seeds_to_decide(here: Summary, published: Summary | float, margin: float, rounding: float = 0.0) -> int | None:
    """How many seeds in all would settle the question if mean and spread stayed as they are; None if none up to 1000.

    Args:
        here: our runs so far, at least 2.
        published: mean, sd and n over seeds, or one number.
        margin: of equivalence, in the metric's unit.
        rounding: half a unit of the last published digit.
    """
    if math.isnan(here.sd):
        return None
    counts = np.arange(here.n + 1, MOST_SEEDS + 1, dtype=float)
    mean = published.mean if isinstance(published, Summary) else published
    distance = abs(here.mean - mean)
    wide, narrow = (_half_widths(counts, here.sd, published, level) + rounding for level in (LEVEL, 2 * LEVEL - 1))
    settled = (distance + narrow <= margin) | (distance > wide)
    return int(counts[np.argmax(settled)]) if settled.any() else None


def _half_widths(counts: np.ndarray, sd: float, published: Summary | float, level: float) -> np.ndarray:
    """Half the difference interval's width for each number of seeds."""
    quantiles = _quantiles_up_to(0.5 + level / 2)[counts.astype(int) - 1]
    if not isinstance(published, Summary):
        return quantiles * sd * np.sqrt(1 + 1 / counts)
    ours, theirs = sd**2 / counts, published.sd**2 / published.n
    if ours[0] + theirs == 0:
        return np.zeros_like(counts)
    weighted = (ours * quantiles + theirs * t_quantile(0.5 + level / 2, published.n - 1)) / (ours + theirs)
    same = counts == published.n
    if same.any():
        pair = Difference(0.0, float(ours[same][0]), published.n - 1, theirs, published.n - 1)
        weighted[same] = _quantile(pair, 0.5 + level / 2)
    return weighted * np.sqrt(ours + theirs)


@lru_cache(maxsize=8)
def _quantiles_up_to(probability: float) -> np.ndarray:
    """t quantiles for 0 (unused), 1, 2, ... degrees of freedom."""
    return special.stdtrit(np.maximum(np.arange(MOST_SEEDS), 1.0), probability)
