"""Claims: one sentence that a paper prints, declared as data and tested by rows.

    Greater("hcl_over_simclr", "Hard negatives beat SimCLR's.", where="HCL, Table 1", at=("main/paper", "main/quick"),
            metric="test_linear_top1_percent", method="HCL", over="SimCLR", printed=2.1)

Each kind of claim turns rows into two p values: of such rows if it does not hold, and of such rows if it does not fail.
``judging`` decides by them. Differences are taken in pairs by seed, and only seeds count that the table declares: they
are fixed before they are run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import linear_regression
from typing import NamedTuple

from contrastbench.verdicts.cells import JoinedCell, Sample, setting_of, without_setting
from contrastbench.verdicts.statistics import Estimate, Interval, estimate, over_sets

Samples = Mapping[str, Mapping[int, float]]  # data set -> seed -> value, higher is better; EVERY seed if none is random
EVERY = -1


class Strata(NamedTuple):
    """Differences by data set. They are exact if nothing random is in them: one value a data set is all there is."""

    by_set: Mapping[str, Sequence[float]]
    exact: bool = False


class Sets(NamedTuple):
    """An effect on data sets like those that were measured: these are drawn at random too."""

    mean: Estimate
    p_holds: float
    p_fails: float


class Test(NamedTuple):
    """What rows say on a claim."""

    effect: float  # in the metric's unit, positive in the claimed direction
    interval: Interval | None  # 95 %, on these data sets; None if nothing is random
    p_holds: float  # of such rows if the claim does not hold
    p_fails: float  # of such rows if it does not fail: its effect is as large as matters
    pairs: Mapping[str, int]  # seeds by data set
    over_sets: Sets | None = None  # the same effect on data sets like these
    away: float = 0.0  # how far the effect is from what it must be told from, the nearer of the two
    se: float = 0.0


@dataclass(frozen=True)
class Claim:
    """One sentence, and what decides it.

    Attributes:
        where: where it is printed; of a claim of this suite's own, where it is said.
        at: "table/scale" in the order of preference: the first with rows decides.
        printed: the printed effect, of which half is the smallest that matters unless ``matters`` says more.
        ours: the claim is this suite's, not the paper's.
        seen: the commit whose rows had been seen when the claim was named; "" if it was named before.
    """

    id: str
    sentence: str
    where: str
    at: Sequence[str]
    metric: str
    datasets: Sequence[str] = ()
    printed: float | None = None
    matters: float | None = None
    ours: bool = False
    seen: str = ""

    @property
    def smallest(self) -> float:
        """The smallest effect that matters."""
        if self.matters is None and self.printed is None:
            raise ValueError(f"claim {self.id} says neither the printed effect nor the smallest one that matters")
        return self.matters if self.matters is not None else abs(self.printed or 0.0) / 2

    def test(self, data: Data) -> Test | None:
        """The test of the rows; None if there are not enough of them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Greater(Claim):
    """One method is better than another; or a sum of signed terms (sign, method, metric), as measured, is above 0."""

    method: str = ""
    over: str = ""
    terms: Sequence[tuple[int, str, str]] = ()

    def test(self, data: Data) -> Test | None:
        return _test_of(self.differences(data), self.smallest)

    def differences(self, data: Data) -> Strata:
        terms = self.terms or ((1, self.method, self.metric), (-1, self.over, self.metric))
        parts = [(sign, data.of(method, metric, as_measured=bool(self.terms))) for sign, method, metric in terms]
        return _combine(parts)


@dataclass(frozen=True)
class Equal(Greater):
    """Two methods are alike, or a sum of terms is ``target``: the difference is smaller than ``matters`` either way."""

    target: float = 0.0

    def test(self, data: Data) -> Test | None:
        strata = self.differences(data)
        off = {name: [value - self.target for value in values] for name, values in strata.by_set.items()}
        return _shift(_test_of(strata._replace(by_set=off), self.smallest, equal=True), self.target)


@dataclass(frozen=True)
class Curve(Claim):
    """The metric over a setting: "interior" (best at ``best``, not at an end), "rises", "falls" or "flat"."""

    x: str = ""
    line: str = ""  # the methods' name without the setting
    shape: str = "interior"
    best: Sequence[float] = ()  # where the paper says that it is best

    def test(self, data: Data) -> Test | None:
        points = data.over(self.x, self.line, self.metric, as_measured=self.shape != "interior")
        if len(points) < 2:
            return None
        first, *inner, last = sorted(points)
        if self.shape in ("rises", "falls"):
            ends = [(1, points[last]), (-1, points[first])]
            turned = [(-sign, samples) for sign, samples in ends] if self.shape == "falls" else ends
            return _test_of(_combine(turned), self.smallest)
        if self.shape == "flat":
            tests = [_test_of(_combine([(1, points[x]), (-1, points[first])]), self.smallest, equal=True)
                     for x in (*inner, last)]  # fmt: skip
            return _all_of(tests, largest=True)
        peaks = [x for x in self.best or inner if x in inner]
        tests = [_all_of([_test_of(_combine([(1, points[x]), (-1, points[end])]), self.smallest)
                          for end in (first, last)]) for x in peaks]  # fmt: skip
        return _any_of(tests)


@dataclass(frozen=True)
class Rate(Claim):
    """The metric goes with a power of a setting: the slope of its logarithm over that of x, within ``matters``."""

    x: str = ""
    line: str = ""
    slope: float = -1.0
    least: float = 0.0  # only above this x, where the power is meant for large ones

    def test(self, data: Data) -> Test | None:
        points = data.over(self.x, self.line, self.metric)
        xs = [x for x in sorted(points) if x > self.least]
        if len(xs) < 3:
            return None
        off: dict[str, list[float]] = {}
        for dataset in points[xs[0]]:
            samples = [points[x].get(dataset, {}) for x in xs]
            seeds = sorted(set.intersection(*map(set, samples)))
            logs = [[math.log(abs(sample[seed]) or math.nan) for sample in samples] for seed in seeds]
            log_x = [math.log(x) for x in xs]
            off[dataset] = [linear_regression(log_x, values).slope - self.slope for values in logs]
        exact = all(EVERY in samples for x in xs for samples in points[x].values())
        return _shift(_test_of(Strata(off, exact), self.smallest, equal=True), self.slope)


@dataclass(frozen=True)
class Bound(Claim):
    """The metric is never above a value, on no data set; ``matters`` is what a breach must exceed."""

    at_most: Mapping[str, float] = field(default_factory=dict)  # method -> value

    def test(self, data: Data) -> Test | None:
        tests = []
        for cell in data.cells:
            if cell.metric == self.metric and cell.method in self.at_most:
                values, limit = data.values(cell, as_measured=True), self.at_most[cell.method] + self.smallest
                room = {cell.dataset: [limit - value for value in values.values()]}
                tests.append(_test_of(Strata(room, EVERY in values), 0.0) if values else None)
        return _shift(_all_of(tests), -self.smallest)


class Data(NamedTuple):
    """The cells of one table at one scale, and their values by seed, all from here or all shipped."""

    cells: Sequence[JoinedCell]
    place: str  # "here" or "shipped"

    def values(self, cell: JoinedCell, *, as_measured: bool = False) -> Mapping[int, float]:
        """Seed -> value, of the seeds that the table declares; higher is better, unless as measured."""
        sample: Sample = getattr(cell, self.place)
        sign = -1 if cell.better == "lower" and not as_measured else 1
        declared = {run.seed for run in cell.runs}
        values = {seed: sign * value for seed, value in sample.by_seed.items() if seed in declared}
        return {EVERY: next(iter(values.values()))} if cell.deterministic and values else values

    def of(self, method: str, metric: str, *, as_measured: bool = False) -> Samples:
        """The values of a method, named alone or by its whole label."""
        cells = [cell for cell in self.cells if cell.metric == metric and method in (cell.label, cell.method)]
        exactly = [cell for cell in cells if cell.label == method] or cells
        return {cell.dataset: values for cell in exactly if (values := self.values(cell, as_measured=as_measured))}

    def over(self, x: str, line: str, metric: str, *, as_measured: bool = False) -> dict[float, Samples]:
        """x -> the values of the line's point there."""
        points: dict[float, dict[str, Mapping[int, float]]] = defaultdict(dict)
        for cell in self.cells:
            at, values = setting_of(cell, x), self.values(cell, as_measured=as_measured)
            if cell.metric == metric and at is not None and values and without_setting(cell.method, x, at) == line:
                points[at][cell.dataset] = values
        return dict(points)


def named_after(commit: str, claims: Sequence[Claim]) -> list[Claim]:
    """Claims that were named after the rows of that commit had been seen."""
    return [replace(claim, seen=commit) for claim in claims]


def _combine(terms: Sequence[tuple[int, Samples]]) -> Strata:
    """The signed sum of samples for each data set and seed that all have; what is not random has every seed."""
    strata: dict[str, list[float]] = {}
    for dataset in terms[0][1]:
        if not all(dataset in samples for _, samples in terms):
            continue
        signed = [(sign, samples[dataset]) for sign, samples in terms]
        drawn = [values.keys() for _, values in signed if EVERY not in values]
        sums = [math.fsum(sign * values[EVERY if EVERY in values else seed] for sign, values in signed)
                for seed in (sorted(set.intersection(*map(set, drawn))) if drawn else [EVERY])]  # fmt: skip
        if sums:
            strata[dataset] = sums
    return Strata(strata, exact=all(EVERY in values for _, samples in terms for values in samples.values()))


def _test_of(strata: Strata, smallest: float, *, equal: bool = False) -> Test | None:
    """The test of a mean difference, or that it is smaller than ``smallest`` either way if the two should be equal."""
    kept = {name: values for name, values in strata.by_set.items() if strata.exact or len(values) > 1}
    mean = estimate(list(kept.values()), exact=strata.exact)
    if mean is None and len(strata.by_set) > 2:  # one seed on each of several data sets: these are what varies
        kept = dict(strata.by_set)
        mean = over_sets(list(kept.values()))
    if mean is None:
        return None
    holds, fails = _p_values(mean, smallest, equal=equal)
    away = abs(smallest - abs(mean.mean)) if equal else max(mean.mean, smallest - mean.mean)
    pairs = {name: len(values) for name, values in kept.items()}
    interval = None if strata.exact else mean.interval()
    other = over_sets(list(kept.values()))
    sets = Sets(other, *_p_values(other, smallest, equal=equal)) if other else None
    return Test(mean.mean, interval, holds, fails, pairs, sets, away, mean.se)


def _p_values(mean: Estimate, smallest: float, *, equal: bool) -> tuple[float, float]:
    """The p values of such a mean if the claim does not hold, and if it does not fail."""
    if equal:
        outside = min(1.0, 2 * min(mean.p_above(smallest), mean.p_below(-smallest)))
        return max(mean.p_above(-smallest), mean.p_below(smallest)), outside
    return mean.p_above(0.0), mean.p_below(smallest)


def _shift(test: Test | None, by: float) -> Test | None:
    """The test with its effect said as measured, where it was tested as a distance from something."""
    if test is None:
        return None
    interval = test.interval and Interval(test.interval.low + by, test.interval.high + by)
    sets = test.over_sets and test.over_sets._replace(mean=test.over_sets.mean._replace(mean=test.effect + by))
    return test._replace(effect=test.effect + by, interval=interval, over_sets=sets)


def _all_of(tests: Sequence[Test | None], *, largest: bool = False) -> Test | None:
    """Several tests that must all hold; one that fails is enough. The effect is that of the weakest, or the largest."""
    known = [test for test in tests if test]
    if not known or len(known) < len(tests):
        return None
    shown = max(known, key=lambda test: abs(test.effect)) if largest else min(known, key=lambda test: test.effect)
    fails = min(1.0, len(known) * min(test.p_fails for test in known))
    return shown._replace(p_holds=max(test.p_holds for test in known), p_fails=fails)


def _any_of(tests: Sequence[Test | None]) -> Test | None:
    """Several tests of which one must hold; to fail, all have to. The effect is that of the best."""
    known = [test for test in tests if test]
    if not known:
        return None
    holds = min(1.0, len(known) * min(test.p_holds for test in known))
    best = max(known, key=lambda test: test.effect)
    return best._replace(p_holds=holds, p_fails=max(test.p_fails for test in known))
