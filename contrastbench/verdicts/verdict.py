"""From the seeds of one cell and a published number to a verdict with its reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import (
    Interval,
    Printed,
    Summary,
    decision,
    difference,
    difference_interval,
    gap_found,
    seeds_range,
    summarise,
)


class Kind(StrEnum):
    """Every verdict there is, in the order in which pages list them."""

    REPRODUCED = "reproduced"
    CONSISTENT = "consistent"
    DIFFERS = "differs"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not comparable"
    NOT_RUN = "not run"
    OURS = "ours"  # measured, and nobody printed such a number

    @property
    def sign(self) -> str:
        return dict(zip(Kind, "✓≈✗?○–·", strict=True))[self]


JUDGED = (Kind.REPRODUCED, Kind.CONSISTENT, Kind.DIFFERS, Kind.UNDECIDED)  # they say something of a printed number
NOTHING_RANDOM = "nothing random"
FEWEST_SEEDS = 3  # two give an interval, and one so wide that it decides nothing
PRINTED_SEEDS = (3, 5, 10)  # what a paper may have run that prints a spread over seeds, and not how many
MARGINS = 3  # where a paper claims no gain, a gap of so many margins must not be overlooked


@dataclass(frozen=True)
class Verdict:
    """What may be said of one cell.

    Attributes:
        hint: what a reader asks next, in a few words: how far off, or what would decide it.
        interval: the 95 % interval of ours minus published; the print's rounding if neither is random.
        seeds_needed: of an undecided cell, the fewest and the most seeds still to run (None: beyond 1,000 in all).
    """

    kind: Kind
    reason: str
    hint: str = ""
    interval: Interval | None = None
    seeds_needed: tuple[int, int | None] | None = None
    difference: float | None = None


def verdict(
    values: Sequence[float],
    published: Published | None,
    *,
    not_comparable: str = "",
    deterministic: bool = False,
    claimed: float | None = None,
) -> Verdict:
    """The verdict on the runs of one cell.

    Args:
        values: the metric, one value a seed, all of one scale, variant and protocol.
        published: the printed number, or None where there is none.
        not_comparable: why the runs are no rerun of the printed number (scale or protocol), "" if they are.
        deterministic: nothing in the runs is random, as their paper declares: one of them is exact.
        claimed: the gain over the baseline that the paper claims for this cell; None where it claims none.
    """
    if not values:
        return Verdict(Kind.NOT_RUN, "no finished run")
    if published is None:
        return Verdict(Kind.OURS, "nobody printed this number")
    unconfirmed = "" if published.confirmed else "the published number is unconfirmed"
    if reason := not_comparable or unconfirmed:
        return Verdict(Kind.NOT_COMPARABLE, reason)
    assert published.margin is not None  # every confirmed number has one
    here, off = summarise(values), summarise(values).mean - published.value
    matters = max(abs(claimed), published.margin) if claimed else MARGINS * published.margin
    if deterministic:
        return _judged_exactly(here, published, matters)
    if here.n < 2:
        hint = f"needs at least {FEWEST_SEEDS} seeds"
        return Verdict(Kind.UNDECIDED, "one seed has no interval", hint, difference=off)
    if here.sd == 0 and not printed_number(published).sd:
        reason = f"no variation measured: {here.n} equal values have no interval, and the paper printed one number"
        return Verdict(Kind.UNDECIDED, reason, "no variation measured", difference=off)
    return _judge(here, published, matters)


def printed_number(published: Published) -> Printed:
    """The number as the statistics take it: sd and n only where the sd is over seeds, as ours is.

    An sd of unknown kind widens the interval of one number if it is the larger one. An sd over folds says nothing about
    seeds and is left out.
    """
    if published.spread is None or published.spread_kind == "folds":
        return Printed(published.value)
    over_seeds = published.spread_kind == "seeds" and (published.n or 0) >= 2
    return Printed(published.value, published.spread, published.n if over_seeds else None)


def _judged_exactly(here: Summary, published: Published, matters: float) -> Verdict:
    """The verdict on a number that no seed can change: as on the mean of infinitely many runs.

    A printed number without a spread comes from the same method, so it is exact too, but for its rounding. A spread
    over folds says that the paper drew its folds; how far another draw would move its mean, it does not say.
    """
    off = here.mean - published.value
    if here.sd > 0:  # NaN for one run
        reason = f"declared to have nothing random, and its {here.n} runs are not equal"
        return Verdict(Kind.UNDECIDED, reason, "not deterministic as declared", difference=off)
    if published.spread_kind == "folds":
        reason = f"{NOTHING_RANDOM} in ours, and the published number is a mean over folds that its authors drew"
        return Verdict(Kind.UNDECIDED, reason, "the published folds were drawn", difference=off)
    found = _judge(Summary(math.inf, here.mean, 0.0), published, matters)
    return replace(found, hint=", ".join(filter(None, (found.hint, NOTHING_RANDOM))))


def _judge(here: Summary, published: Published, matters: float) -> Verdict:
    if published.spread_kind == "seeds" and published.spread and not published.n:
        return _for_any_number_of_seeds(here, published, matters)
    return _against(here, published, matters)


def _for_any_number_of_seeds(here: Summary, published: Published, matters: float) -> Verdict:
    """The verdict if the paper ran 5 seeds, with what it is for 3 and 10 where that is another.

    Where one number of seeds would make it differ and another would make it good, nothing is decided.
    """
    possible = {n: replace(published, n=n) for n in PRINTED_SEEDS}
    verdicts = {n: _against(here, number, matters) for n, number in possible.items()}
    kinds, middle = {n: each.kind for n, each in verdicts.items()}, verdicts[PRINTED_SEEDS[1]]
    if len({*kinds.values()}) == 1:
        return replace(middle, reason=f"{middle.reason}; the same if the paper ran 3 or 10 seeds (it does not say)")
    words = ", ".join(
        f"{kind} for {' and '.join(str(n) for n in kinds if kinds[n] == kind)}"
        for kind in dict.fromkeys(kinds.values())
    )
    good = {Kind.REPRODUCED, Kind.CONSISTENT} & {*kinds.values()}
    kind = Kind.UNDECIDED if good and Kind.DIFFERS in kinds.values() else middle.kind
    hint = f"{words} printed seeds"
    return replace(middle, kind=kind, reason=f"the paper does not say how many seeds it ran: {hint}", hint=hint)


def _against(here: Summary, published: Published, matters: float) -> Verdict:
    assert published.margin is not None
    off, rounding, margin = difference(here, printed_number(published)), published.rounding, published.margin
    interval = difference_interval(off).widen(rounding)
    half, method = (interval.high - interval.low) / 2, _method(published, here)
    kind = Kind(decision(off, margin, rounding, matters) or Kind.UNDECIDED)
    found = Verdict(kind, "", interval=interval, difference=off.estimate)
    if kind == Kind.REPRODUCED:
        test = "" if method == NOTHING_RANDOM else "TOST at 5 %, "
        return replace(found, reason=f"equal within {margin:g} ({test}{method})")
    if kind == Kind.DIFFERS:
        return replace(found, reason=f"off by {off.estimate:+.3g} ({method})", hint=f"{off.estimate:+.3g}")
    if kind == Kind.CONSISTENT:
        reason = f"the printed number lies within ± {half:.2g}, and a gap of {matters:.3g} would have shown ({method})"
        return replace(found, reason=reason, hint=f"± {half:.2g}")
    return _undecided(found, here, published, matters)


def _undecided(found: Verdict, here: Summary, published: Published, matters: float) -> Verdict:
    """Says what was not seen, and how many seeds would decide it where some number would."""
    assert published.margin is not None
    printed, rounding = printed_number(published), published.rounding
    off = difference(here, printed)
    unseen = gap_found(off) + rounding
    seen = f"no difference seen; a gap under {unseen:.2g} would not show"
    total = None if math.isinf(here.n) else seeds_range(here, printed, published.margin, rounding, matters)
    if total is None:
        never = "" if math.isinf(here.n) else ", whatever number of seeds is run here"
        return replace(found, reason=f"{seen} ({_method(published, here)}){never}", hint=seen)
    low, high = int(total[0] - here.n), total[1] and int(total[1] - here.n)
    hint = f"{low} more seeds or many more" if high is None else f"{low} to {high} more seeds"
    hint = hint if low != high else f"{low} more seed{'s' * (low > 1)}"
    reason = f"{seen}; about {hint} would decide it if the mean stays (80 % interval of the sd)"
    return replace(found, reason=reason, hint=hint, seeds_needed=(low, high))


def _method(published: Published, here: Summary) -> str:
    printed, exact = printed_number(published), math.isinf(here.n)
    if printed.n:
        return f"difference of means, published n = {printed.n}" + f", {NOTHING_RANDOM} in ours" * exact
    if published.spread is None:
        return NOTHING_RANDOM if exact else "prediction interval for one published number"
    if published.spread_kind == "folds":
        return "prediction interval: the published spread is over folds and is not used"
    larger = "the published sd, which is larger than ours" if printed.sd > here.sd else "our sd, which is larger"
    return f"prediction interval: the published spread is of unknown kind; with {larger}"


def is_finite(value: object) -> bool:
    """A metric that can enter a mean: a number, not NaN, not infinite, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
