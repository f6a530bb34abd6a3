"""Judges a paper's claims from its tables: which hold, which fail, which are undecided, and what would decide those.

The smaller of a claim's two p values, corrected by Holm over all claims of the paper, decides.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contrastbench.verdicts.cells import JoinedTable
from contrastbench.verdicts.claims import Claim, Data, Test
from contrastbench.verdicts.statistics import Interval, holm, t_quantile

MOST_SEEDS = 100  # a plan of more is no plan


class Outcome(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"

    @property
    def sign(self) -> str:
        return {"holds": "✓", "fails": "✗", "undecided": "?", "not run": "–"}[self]


@dataclass(frozen=True)
class Judged:
    """A claim with what was found."""

    claim: Claim
    outcome: Outcome
    table: JoinedTable | None = None  # that decided it
    test: Test | None = None
    p: float = math.nan
    p_holm: float = math.nan
    family: int = 1  # claims that Holm's correction is over

    @property
    def protocol(self) -> str:
        """``at quick scale, on MNIST-5k`` or ``at the published protocol, on 6 data sets``."""
        if not self.table or not self.test:
            return ""
        scale = "at the published protocol" if self.table.scale == "paper" else f"at {self.table.scale} scale"
        names = list(self.test.pairs)
        return f"{scale}, on {names[0] if len(names) == 1 else f'{len(names)} data sets'}"

    @property
    def numbers(self) -> str:
        """``+1.9 [+1.3, +2.5], 5 seeds``."""
        if not self.test:
            return ""
        counts = sorted(set(self.test.pairs.values()))
        seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        plural = "s" * (counts[-1] > 1)
        return f"{_effect(self.test.effect, self.test.interval)}, {seeds} seed{plural}"

    @property
    def facts(self) -> str:
        return ", ".join(filter(None, (self.numbers, self.protocol)))

    @property
    def remark(self) -> str:
        """What would decide an undecided claim; and where data sets like these say something else."""
        if not self.test:
            return ""
        words = []
        if self.outcome == Outcome.UNDECIDED:
            needed = _seeds_needed(self.test, self.family)
            words.append(
                f"about {needed} seeds would decide it" if needed else "no number of seeds in reach would decide it"
            )
        sets = self.test.over_sets if len(self.test.pairs) > 2 else None  # two data sets say nothing of others
        p = {Outcome.HOLDS: sets.p_holds, Outcome.FAILS: sets.p_fails}.get(self.outcome, 0.0) if sets else 0.0
        if sets and 2 * p > 0.05:
            there = _effect(sets.mean.mean, sets.mean.interval())
            words.append(f"on data sets like these {there} does not show it")
        return "; ".join(words)

    @property
    def words(self) -> str:
        """``✓ holds: +1.9 [+1.3, +2.5], 5 seeds, at lite scale, on CIFAR10``."""
        parts = "; ".join(filter(None, (self.facts, self.remark)))
        return f"{self.outcome.sign} {self.outcome}" + (f": {parts}" if parts else "")


def _seeds_needed(test: Test, family: int) -> int | None:
    """Seeds in all on each data set that would decide it four times in five if the mean and spread stay; or None."""
    now = max(test.pairs.values())
    for seeds in range(now + 1, MOST_SEEDS + 1):
        degrees = len(test.pairs) * (seeds - 1)
        quantiles = t_quantile(1 - 0.025 / family, degrees) + t_quantile(0.8, degrees)
        if quantiles * test.se * (now / seeds) ** 0.5 < test.away:
            return seeds
    return None


def _effect(value: float, interval: Interval | None) -> str:
    digits = 2 if abs(value) < 10 else 1
    ends = f" [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]" if interval else ""
    return f"{value:+.{digits}f}{ends}"


def judge(claims: Sequence[Claim], tables: Sequence[JoinedTable]) -> list[Judged]:
    """Judges a paper's claims from its tables at every scale; Holm's correction is over all that have rows."""
    found = [_first_test(claim, tables) for claim in claims]
    p_values = [min(1.0, 2 * min(test.p_holds, test.p_fails)) if test else math.nan for _, test in found]
    family = sum(test is not None for _, test in found)
    judged = []
    for claim, (table, test), p, adjusted in zip(claims, found, p_values, holm(p_values), strict=True):
        if test is None:
            judged.append(Judged(claim, Outcome.NOT_RUN))
            continue
        correction = adjusted / p if p else 1.0
        outcome = Outcome.UNDECIDED
        if 2 * test.p_fails * correction <= 0.05:  # also of an effect that is there, and too small to matter
            outcome = Outcome.FAILS
        elif 2 * test.p_holds * correction <= 0.05:
            outcome = Outcome.HOLDS
        judged.append(Judged(claim, outcome, table, test, p, adjusted, family))
    return judged


def _first_test(claim: Claim, tables: Sequence[JoinedTable]) -> tuple[JoinedTable | None, Test | None]:
    for place in claim.at:
        for table in tables:
            if f"{table.name}/{table.scale}" == place:
                cells = [cell for cell in table.cells if not claim.datasets or cell.dataset in claim.datasets]
                for where in ("here", "shipped"):
                    if test := claim.test(Data(cells, where)):
                        return table, test
    return None, None


def count_outcomes(judged: Sequence[Judged]) -> str:
    """``7 of 9 claims hold, 1 fails, 1 is undecided``."""
    counts = Counter(each.outcome for each in judged)
    words = {Outcome.FAILS: ("fails", "fail"), Outcome.UNDECIDED: ("is undecided", "are undecided")}
    others = [f"{counts[kind]} {one if counts[kind] == 1 else many}" for kind, (one, many) in words.items()]
    not_run = counts[Outcome.NOT_RUN]
    others += [f"{not_run} not run"] if not_run else []
    hold = counts[Outcome.HOLDS]
    return ", ".join([f"{hold} of {len(judged)} claims hold{'s' * (hold == 1)}", *others])


def most_telling(by_paper: Mapping[str, Sequence[Judged]], count: int) -> list[tuple[str, Judged]]:
    """Claims with rows, from each paper in turn: decided ones, those of papers before our own, failures first."""

    def rank(judged: Judged) -> tuple[bool, bool, bool, float]:
        undecided = judged.outcome == Outcome.UNDECIDED
        return undecided, judged.claim.ours, judged.outcome != Outcome.FAILS, judged.p_holm

    ranked = {name: sorted((each for each in judged if each.test), key=rank) for name, judged in by_paper.items()}
    turns = [(place, name, each) for name, judged in ranked.items() for place, each in enumerate(judged)]
    turns.sort(key=lambda turn: (turn[2].outcome == Outcome.UNDECIDED, turn[0]))
    return [(name, each) for _, name, each in turns[:count]]
