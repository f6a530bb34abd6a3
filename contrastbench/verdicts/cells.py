"""What reports are made of: samples of rows, cells with all that is known of them, and tables of cells."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from contrastbench.data.catalogue import copy_of
from contrastbench.runner.studies import Study
from contrastbench.runner.vocabulary import Cell
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import Interval, Summary, summarise, t_interval
from contrastbench.verdicts.verdict import Verdict, verdict

Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """The rows of one cell from one place (here, or shipped): those that count, those that failed."""

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

    @cached_property
    def marks(self) -> list[str]:
        """Remarks on the data that the rows were made on, as "JPEG copy of the data"."""
        read = {item for row in self.done for item in row.get("data", {}).items()}
        return sorted({mark for name, sha256 in read if (mark := copy_of(name, sha256).mark)})

    def __bool__(self) -> bool:
        return bool(self.done or self.failed)


@dataclass(frozen=True, kw_only=True)
class JoinedCell(Cell):
    """One place of a table with everything known about it."""

    paper: str
    table: str
    scale: str
    variant: str
    protocol: str
    config: dict[str, Any]
    here: Sample
    shipped: Sample
    published: tuple[Published, ...]
    ambiguous: str = ""  # settings that tell this cell from others of its name: no published number is surely its own

    @property
    def label(self) -> str:
        """The method, with variant and protocol if they are not the usual ones."""
        marks = [mark for mark, usual in ((self.variant, "as_paper"), (self.protocol, "published")) if mark != usual]
        return f"{self.method} ({', '.join(marks)})" if marks else self.method

    @property
    def command(self) -> str:
        """The command that runs this cell."""
        return f"contrastbench run {shlex.quote(f'{self.paper}/{self.table}/{self.name}')} --scale {self.scale}"

    @property
    def best_known(self) -> Sample:
        """The rows made here if there are any, else the shipped ones."""
        return self.here if self.here.done else self.shipped

    @property
    def judged(self) -> Published | None:
        """The published number that the verdict is about: the first confirmed one, else the first."""
        confirmed = (number for number in self.published if number.confirmed)
        return next(confirmed, self.published[0] if self.published else None)

    @cached_property
    def verdict(self) -> Verdict:
        return self.verdict_on(self.judged, self.best_known or self.here)

    @cached_property
    def others(self) -> tuple[tuple[Published, Verdict], ...]:
        """The cell's further published numbers (other reruns of the method), each with its own verdict."""
        others = (number for number in self.published if number is not self.judged)
        return tuple((number, self.verdict_on(number, self.best_known)) for number in others)

    def verdict_on(self, number: Published | None, sample: Sample) -> Verdict:
        """What the sample's seeds say about one of the published numbers."""
        if sample.failed and not sample.done:
            statuses = sorted({str(row["status"]) for row in sample.failed})
            return Verdict("not run", f"{len(sample.failed)} run(s) ended without the metric: {', '.join(statuses)}")
        not_comparable = self._why_not_comparable if number else ""
        return verdict(sample.values, number, not_comparable=not_comparable, deterministic=self.deterministic)

    @property
    def _why_not_comparable(self) -> str:
        """Why these runs are no rerun of a printed number; "" if they are."""
        if self.scale != "paper":
            return f"{self.scale} scale is not the published protocol"
        if self.protocol == "clean":
            return "the clean protocol chooses nothing on test data, the published one did"
        if self.ambiguous:
            return f"several cells share the published number's name and differ in {self.ambiguous}"
        return ""


@dataclass(frozen=True)
class JoinedTable:
    """A paper's table at one scale."""

    paper: str
    name: str
    scale: str
    table: Study
    cells: list[JoinedCell] = field(default_factory=list)
    unmatched: tuple[Published, ...] = ()  # published numbers of this table that no cell of any scale claims


Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Groups items by key, in the order met. ``itertools.groupby`` would want them sorted."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
