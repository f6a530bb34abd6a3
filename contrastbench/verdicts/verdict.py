"""From the seeds of one cell and a published number to a verdict with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import (
    LEVEL,
    Interval,
    Printed,
    Summary,
    decision,
    difference,
    difference_interval,
    narrowest,
    seeds_range,
    summarise,
)

KINDS = ("reproduced", "differs", "undecided", "not comparable", "not run")
NOTHING_RANDOM = "nothing random"
FEWEST_SEEDS = 3  # two give an interval, and one so wide that it decides nothing


@dataclass(frozen=True)
class Verdict:
    """What may be said of one cell.

    Attributes:
        hint: what a reader asks next, in a few words: how far off, or what would decide it.
        interval: the 95 % interval of ours minus published; the print's rounding if neither is random.
        seeds_needed: of an undecided cell, the fewest and the most seeds still to run (None: beyond 1,000 in all).
    """

    kind: str
    reason: str
    hint: str = ""
    interval: Interval | None = None
    seeds_needed: tuple[int, int | None] | None = None
    difference: float | None = None


def verdict(
    values: Sequence[float], published: Published | None, *, not_comparable: str = "", deterministic: bool = False
) -> Verdict:
    """The verdict on the runs of one cell.

    Args:
        values: the metric, one value a seed, all of one scale, variant and protocol.
        published: the printed number, or None where there is none.
        not_comparable: why the runs are no rerun of the printed number (scale or protocol), "" if they are.
        deterministic: nothing in the runs is random, as their paper declares: one of them is exact.
    """
    if not values:
        return Verdict("not run", "no finished run")
    if reason := not_comparable or _why_not_judged(published):
        return Verdict("not comparable", reason)
    assert published is not None and published.margin is not None  # else _why_not_judged had said so
    here, printed = summarise(values), printed_number(published)
    off = here.mean - published.value
    if deterministic:
        return _judged_exactly(here, printed, published, published.margin)
    if here.n < 2:
        return Verdict("undecided", "one seed has no interval", f"needs at least {FEWEST_SEEDS} seeds", difference=off)
    if here.sd == 0 and not printed.sd:
        reason = f"no variation measured: {here.n} equal values have no interval, and the paper printed one number"
        return Verdict("undecided", reason, "no variation measured", difference=off)
    return _judged(here, printed, published, published.margin)


def _why_not_judged(published: Published | None) -> str:
    if published is None:
        return "no published number"
    if not published.confirmed:
        return "the published number is unconfirmed"
    return "" if published.margin is not None else "no equivalence margin was fixed"


def printed_number(published: Published) -> Printed:
    """The number as the statistics take it: sd and n only where the sd is over seeds, as ours is.

    An sd of unknown kind, or over an unknown number of seeds, widens the interval of one number if it is the larger
    one. An sd over folds says nothing about seeds and is left out.
    """
    if published.spread is None or published.spread_kind == "folds":
        return Printed(published.value)
    over_seeds = published.spread_kind == "seeds" and (published.n or 0) >= 2
    return Printed(published.value, published.spread, published.n if over_seeds else None)


def _judged_exactly(here: Summary, printed: Printed, published: Published, margin: float) -> Verdict:
    """The verdict on a number that no seed can change: as on the mean of infinitely many runs.

    A printed number without a spread comes from the same method, so it is exact too, but for its rounding. A spread
    over folds says that the paper drew its folds; how far another draw would move its mean, it does not say.
    """
    off = here.mean - published.value
    if here.sd > 0:  # NaN for one run
        reason = f"declared to have nothing random, and its {here.n} runs are not equal"
        return Verdict("undecided", reason, "not deterministic as declared", difference=off)
    if published.spread_kind == "folds":
        reason = f"{NOTHING_RANDOM} in ours, and the published number is a mean over folds that its authors drew"
        return Verdict("undecided", reason, "the published folds were drawn", difference=off)
    found = _judged(Summary(math.inf, here.mean, 0.0), printed, published, margin)
    return replace(found, hint=", ".join(filter(None, (found.hint, NOTHING_RANDOM))))


def _judged(here: Summary, printed: Printed, published: Published, margin: float) -> Verdict:
    off = difference(here, printed)
    interval = difference_interval(off).widened(published.rounding)
    kind, method = decision(off, margin, published.rounding), _method(published, printed, here)
    found = Verdict(kind, "", interval=interval, difference=off.estimate)
    if kind == "reproduced":
        test = "" if method == NOTHING_RANDOM else "TOST at 5 %, "
        return replace(found, reason=f"equal within {margin:g} ({test}{method})")
    if kind == "differs":
        words = f"{off.estimate:+.3g}"
        return replace(found, reason=f"off by {words} ({method})", hint=words)
    return _undecided(replace(found, kind="undecided"), here, printed, published, margin)


def _undecided(found: Verdict, here: Summary, printed: Printed, published: Published, margin: float) -> Verdict:
    """Says what would decide the cell: seeds where some number would, else how large the gap would have to be."""
    rounding = published.rounding
    equal, gap = (narrowest(here.sd, printed, level) + rounding for level in (2 * LEVEL - 1, LEVEL))
    known = f"a mean of {printed.n} runs" if printed.n else _without_runs(published)
    never = "" if equal <= margin else f"; it can never be reproduced: {known} is too uncertain (margin {margin:g})"
    total = None if math.isinf(here.n) else seeds_range(here, printed, margin, rounding)
    if total is None:
        bound = f"a gap above {gap:.2g}" if equal > margin else f"a gap above {gap:.2g} or below {margin - equal:.1g}"
        hint = f"{'the printed spread is wide' if printed.n else known}: only {bound} would show"
        return replace(found, reason=f"cannot be decided by more seeds: {hint}{never}", hint=hint)
    low, high = int(total[0] - here.n), total[1] and int(total[1] - here.n)
    hint = f"{low} more seeds or many more" if high is None else f"{low} to {high} more seeds"
    hint = hint if low != high else f"{low} more seed{'s' * (low > 1)}"
    reason = f"about {hint} would decide it if the mean stays (80 % interval of the sd){never}"
    return replace(found, reason=reason, hint=hint, seeds_needed=(low, high))


def _without_runs(published: Published) -> str:
    """What the paper printed where it does not say how many runs vary how much."""
    kinds = {"folds": "over folds", "seeds": "over an unknown number of seeds"}
    spread = f"a spread {kinds.get(published.spread_kind, 'of unknown kind')}"
    return "one printed number" if published.spread is None else f"one printed number with {spread}"


def _method(published: Published, printed: Printed, here: Summary) -> str:
    exact = math.isinf(here.n)
    if printed.n:
        return f"difference of means, published n = {printed.n}" + f", {NOTHING_RANDOM} in ours" * exact
    if published.spread is None:
        return NOTHING_RANDOM if exact else "prediction interval for one published number"
    if published.spread_kind == "folds":
        return "prediction interval: the published spread is over folds and is not used"
    why = "has no number of seeds" if published.spread_kind == "seeds" else "is of unknown kind"
    larger = "the published sd, which is larger than ours" if printed.sd > here.sd else "our sd, which is larger"
    return f"prediction interval: the published spread {why}; with {larger}"


def is_finite(value: object) -> bool:
    """A metric that can enter a mean: a number, not NaN, not infinite, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
