"""From the seeds of one cell and a published number to a verdict with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from contrastbench.report.published import Published
from contrastbench.report.statistics import (
    MOST_SEEDS,
    Difference,
    Interval,
    Summary,
    difference_from_one_number,
    difference_interval,
    difference_of_means,
    equivalence_interval,
    seeds_to_decide,
    summarise,
)

KINDS = ("reproduced", "differs", "undecided", "not comparable", "not run")


@dataclass(frozen=True)
class Verdict:
    """What may be said of one cell.

    ``interval`` is the 95 % interval of ours minus published, ``seeds_needed`` the seeds still to run before an
    undecided cell is decided if mean and spread stay as they are (None: no number of seeds up to 1000 would do).
    """

    kind: str
    reason: str
    interval: Interval | None = None
    seeds_needed: int | None = None
    difference: float | None = None


def verdict(values: Sequence[float], published: Published | None, *, not_comparable: str = "") -> Verdict:
    """The verdict on the runs of one cell.

    Args:
        values: the metric, one value a seed, all of one scale, variant and protocol.
        published: the printed number, or None where there is none.
        not_comparable: why the runs are no rerun of the printed number (scale or protocol), "" if they are.
    """
    if not values:
        return Verdict("not run", "no finished run")
    if reason := not_comparable or _why_not_judged(published):
        return Verdict("not comparable", reason)
    assert published is not None and published.margin is not None  # else _why_not_judged had said so
    here = summarise(values)
    if here.n < 2:
        return Verdict("undecided", "one seed has no interval", None, 2, here.mean - published.value)
    return _judged(here, published, published.margin)


def _why_not_judged(published: Published | None) -> str:
    if published is None:
        return "no published number"
    if not published.confirmed:
        return "the published number is unconfirmed"
    return "" if published.margin is not None else "no equivalence margin was fixed"


def _judged(here: Summary, published: Published, margin: float) -> Verdict:
    theirs = usable_spread(published)
    difference = difference_of_means(here, theirs) if theirs else difference_from_one_number(here, published.value)
    interval = difference_interval(difference).widened(published.rounding)
    method = _method(published, theirs)
    if equivalence_interval(difference).widened(published.rounding).within(margin):
        return Verdict(
            "reproduced", f"equal within {margin:g} (TOST at 5 %, {method})", interval, None, difference.estimate
        )
    if interval.excludes_zero():
        return Verdict("differs", f"off by {difference.estimate:+.3g} ({method})", interval, None, difference.estimate)
    return _undecided(here, theirs or published.value, published, margin, difference, interval)


def _undecided(
    here: Summary,
    theirs: Summary | float,
    published: Published,
    margin: float,
    difference: Difference,
    interval: Interval,
) -> Verdict:
    total = seeds_to_decide(here, theirs, margin, published.rounding)
    if total is None:
        reason = f"the interval is too wide and no number of seeds up to {MOST_SEEDS} would narrow it enough"
        if not isinstance(theirs, Summary):
            reason += ": the published number is a single one"
        return Verdict("undecided", reason, interval, None, difference.estimate)
    more = total - here.n
    reason = f"about {more} more seed{'s' * (more > 1)} would decide it if mean and spread stay"
    return Verdict("undecided", reason, interval, more, difference.estimate)


def usable_spread(published: Published) -> Summary | None:
    """The published mean, sd and n where the spread is over seeds, as ours is; None where kinds would be mixed."""
    if published.spread is None or published.spread_kind != "seeds" or (published.n or 0) < 2:
        return None
    return Summary(published.n or 0, published.value, published.spread)


def _method(published: Published, theirs: Summary | None) -> str:
    if theirs:
        return f"difference of means, published n = {theirs.n}"
    if published.spread is None:
        return "prediction interval for one published number"
    why = f"is over {published.spread_kind}" if published.spread_kind == "folds" else "is of unknown kind"
    if published.spread_kind == "seeds":
        why = "has no number of seeds"
    return f"prediction interval: the published spread {why} and is not used"


def is_finite(value: object) -> bool:
    """A metric that can enter a mean: a number, not NaN, not infinite, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
