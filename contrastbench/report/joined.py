"""What a join gives: tables of cells, each with its seeds from both places, its published numbers and its verdicts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from contrastbench.report.published import Published
from contrastbench.report.statistics import Interval, Summary, summarise, t_interval
from contrastbench.report.verdict import Verdict
from contrastbench.runner.vocabulary import Table

Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """The rows of one cell from one place (here, or shipped): what counts, what failed, what is missing."""

    done: tuple[Row, ...] = ()  # rows with a finite value, by seed
    failed: tuple[Row, ...] = ()  # every other status, and done rows without a finite value of the metric
    expected: int = 0  # seeds that the table declares
    metric: str = ""

    @cached_property
    def by_seed(self) -> dict[int, float]:
        return {row["seed"]: float(row["metrics"][self.metric]) for row in self.done}

    @cached_property
    def values(self) -> list[float]:
        return list(self.by_seed.values())

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.values)

    @cached_property
    def interval(self) -> Interval | None:
        return t_interval(self.summary)

    @property
    def missing(self) -> int:
        return max(0, self.expected - len(self.done) - len(self.failed))

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


@dataclass(frozen=True)
class JoinedCell:
    """One place of a table with everything known about it."""

    paper: str
    table: str
    dataset: str
    method: str
    metric: str
    settings: dict[str, Any]
    better: str
    scale: str
    variant: str
    protocol: str
    config: dict[str, Any]
    here: Sample
    shipped: Sample
    published: tuple[Published, ...]
    verdict_here: Verdict
    verdict_shipped: Verdict
    ambiguous: str = ""  # settings in which another cell of the same name differs: then no published number is its own

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.method}"

    @property
    def label(self) -> str:
        """The method with what sets its runs apart from the ordinary: variant and protocol."""
        marks = [mark for mark, usual in ((self.variant, "as_paper"), (self.protocol, "published")) if mark != usual]
        return f"{self.method} ({', '.join(marks)})" if marks else self.method

    @property
    def command(self) -> str:
        """What runs this cell."""
        return f"contrastbench run {shlex.quote(f'{self.paper}/{self.table}/{self.name}')} --scale {self.scale}"

    @property
    def best_known(self) -> Sample:
        """Measured here where anything was, else shipped."""
        return self.here if self.here.done else self.shipped

    @property
    def verdict(self) -> Verdict:
        return self.verdict_here if self.here.done else self.verdict_shipped

    @property
    def judged(self) -> Published | None:
        """The published number that the verdict is about: the first confirmed one, else the first."""
        return judged_number(self.published)


@dataclass(frozen=True)
class JoinedTable:
    """A paper's table at one scale."""

    paper: str
    name: str
    scale: str
    table: Table
    cells: list[JoinedCell] = field(default_factory=list)
    unmatched: tuple[Published, ...] = ()  # published numbers of this table that no cell of any scale claims


def judged_number(numbers: Sequence[Published]) -> Published | None:
    return next((number for number in numbers if number.confirmed), numbers[0] if numbers else None)
