"""Joins declared cells, rows measured here, rows shipped and published numbers into tables of judged cells.

It takes one pass over the rows and one over the cells. Rows of two scales never meet: a table is split by the scale of
its runs.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from contrastbench.data.catalogue import copy_of
from contrastbench.runner.studies import Study
from contrastbench.runner.vocabulary import SCALES, Cell, canonical_json, kind_of, with_seed
from contrastbench.verdicts.published import Published
from contrastbench.verdicts.statistics import Interval, Summary, summarise, t_interval, wilson_interval
from contrastbench.verdicts.verdict import JUDGED, Kind, Verdict, is_finite, verdict

Row = dict[str, Any]


def counts_runs(metric: str) -> bool:
    """Whether the metric is 100 for a run that did something and 0 for one that did not: a share of runs."""
    return metric.startswith(("collapsed", "diverged"))


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
        if self.done and counts_runs(self.metric):
            return wilson_interval(sum(value > 50 for value in self.values), len(self.done))
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
    claimed: float | None = None  # the gain over the baseline that the paper prints
    ambiguous: str = ""  # settings that tell this cell from others of its name: no published number is surely its own

    @property
    def best_known(self) -> Sample:
        """The rows made here if there are any, else the shipped ones."""
        return self.here if self.here.done else self.shipped

    @cached_property
    def judged(self) -> Published | None:
        """The published number that the verdict is about: the first confirmed one of this protocol.

        If none is of this protocol it is the first confirmed one, else the first.
        """
        confirmed = [number for number in self.published if number.confirmed]
        comparable = (number for number in confirmed if not self.why_not_comparable(number))
        return next(iter((*comparable, *confirmed, *self.published)), None)

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
            words = f"{len(sample.failed)} run(s) ended without the metric: {', '.join(statuses)}"
            return Verdict(Kind.NOT_RUN, words)
        return verdict(
            sample.values,
            number,
            not_comparable=self.why_not_comparable(number) if number else "",
            deterministic=self.deterministic,
            claimed=self.claimed,
        )

    def why_not_comparable(self, number: Published) -> str:
        """Why these runs are no rerun of a printed number; "" if they are."""
        if self.scale != "paper":
            return f"{self.scale} scale is not the published protocol"
        if self.protocol == "clean":
            return "the clean protocol chooses nothing on test data, the published one did"
        if self.ambiguous:
            return f"several cells share the published number's name and differ in {self.ambiguous}"
        if number.protocol.get("known") == "no":
            return "the printed number is quoted at second hand, and its protocol is not known"
        ours = self._own_protocol
        other = {name: value for name, value in number.protocol.items() if ours.get(name, value) != value}
        printed = ", ".join(f"{name} {value}" for name, value in other.items())
        return f"print has {printed}; ours {', '.join(f'{name} {ours[name]}' for name in other)}" if other else ""

    @cached_property
    def _own_protocol(self) -> dict[str, str]:
        """What decides the cell's number: its config, and the epoch or the selection that its metric names."""
        own = {**vars(self.runs[0].config), **self.settings, "selection": "last epoch"}
        if epoch := re.search(r"_epoch_(\d+)_", self.metric):
            own["epochs"] = int(epoch[1])
        if "best_epoch_on_test" in self.metric:
            own["selection"] = "best epoch on test data"
        return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in own.items()}


@dataclass(frozen=True)
class JoinedTable:
    """A paper's table at one scale."""

    paper: str
    name: str
    scale: str
    title: str  # one sentence: the question that the table answers
    columns: str  # "dataset" or "metric"
    claims: tuple[tuple[str, str], ...]  # further pairs (method, other) that are compared over all data sets
    cells: list[JoinedCell] = field(default_factory=list)
    unmatched: tuple[Published, ...] = ()  # published numbers of this table that no cell of any scale claims

    @property
    def has_rows(self) -> bool:
        return any(cell.here or cell.shipped for cell in self.cells)


Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def group_by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Groups items by key, in the order met. ``itertools.groupby`` would want them sorted."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def without_setting(label: str, x: str, value: object = None) -> str:
    """Takes the value of ``x`` out of a name: ``HCL beta=0.5`` is HCL, ``HCL [beta=2.0, lr=0.1]`` is HCL [lr=0.1].

    Args:
        value: of ``x``; then a part of the name that has it under another word goes too: ``dot, t=1`` is dot.
    """
    names = {re.escape(x), *(name for name, text in re.findall(r"(\w+)=([^\s,()[\]]+)", label) if _is(text, value))}
    bare = re.sub(rf"(, *)?\b({'|'.join(sorted(names))})[= ][^\s,()[\]]+", "", label)
    bare = re.sub(r"(?<=[(\[]), *", "", bare)  # it was the first of several
    return " ".join(re.sub(r"\(\)|\[\]", "", bare).split()).replace(" ,", ",").removeprefix(", ")


def setting_of(cell: Cell, x: str) -> float | None:
    """The value of a setting: as the cell says it, else as its method's name does (``HCL beta=0.5``)."""
    if is_finite(value := cell.settings.get(x)):
        return float(value)  # type: ignore[arg-type]
    named = re.search(rf"\b{re.escape(x)}=(-?[\d.]+)", cell.method)
    return float(named[1]) if named else None


def _is(text: str, value: object) -> bool:
    try:
        return is_finite(value) and float(text) == value
    except ValueError:
        return False


RowsByGroup = Mapping[str, Sequence[Row]]
Place = tuple[str, str, str, str]  # table, data set, method, metric


def join(
    paper: str,
    tables: Mapping[str, Study],
    cells: Mapping[str, Iterable[Cell]],
    rows_here: Sequence[Row] = (),
    rows_shipped: Sequence[Row] = (),
    published: Sequence[Published] = (),
) -> list[JoinedTable]:
    """The paper's tables, one per scale that has cells, in the order declared.

    Args:
        cells: per table, its cells of any number of scales; a cell that several scales declare is one cell.

    A row belongs to a cell if one of the cell's runs has its key, or if it differs from them in the seed alone (more
    seeds than the table asks for are used, all of them).
    """
    here, shipped = _by_group(rows_here), _by_group(rows_shipped)
    numbers = group_by(published, lambda number: number.place)
    joined = []
    for name, table in tables.items():
        kept = [dataclasses.replace(c, baseline=c.baseline or table.baseline) for c in _merge(cells.get(name, ()))]
        named = {(name, cell.dataset, cell.method, cell.metric) for cell in kept}
        unmatched = tuple(number for number in published if number.table == name and number.place not in named)
        ambiguous = _ambiguous(kept)
        made = [_join_cell(paper, name, cell, here, shipped, numbers, ambiguous.get(_place(cell), "")) for cell in kept]
        by_scale = group_by(made, lambda cell: cell.scale)
        for scale in sorted(by_scale, key=SCALES.index):
            words = (table.title, table.columns, table.claims)  # the study itself, which has functions, is no pickle
            joined.append(JoinedTable(paper, name, scale, *words, by_scale[scale], unmatched))
    return joined


def _join_cell(
    paper: str,
    table: str,
    cell: Cell,
    here: RowsByGroup,
    shipped: RowsByGroup,
    numbers: Mapping[Place, Sequence[Published]],
    ambiguous: str,
) -> JoinedCell:
    first = cell.runs[0]
    own = numbers.get((table, cell.dataset, cell.method, cell.metric), ())
    return JoinedCell(
        **vars(cell),
        paper=paper,
        table=table,
        scale=first.scale,
        variant=first.variant,
        protocol=first.protocol,
        config=first.identity["config"],
        here=_sample(cell, here),
        shipped=_sample(cell, shipped),
        published=tuple(own),
        claimed=_claimed_gain(own, numbers.get((table, cell.dataset, cell.baseline, cell.metric), ())),
        ambiguous=ambiguous,
    )


def _claimed_gain(own: Sequence[Published], baseline: Sequence[Published]) -> float | None:
    """The first number minus the baseline's of the same source; None if no source prints both, or for the baseline."""
    pairs = ((number, other) for number in own for other in baseline if other is not number)
    return next((number.value - other.value for number, other in pairs if number.where == other.where), None) or None


def _sample(cell: Cell, rows: RowsByGroup) -> Sample:
    done: list[Row] = []
    failed: list[Row] = []
    for row in sorted(_rows_of(cell, rows), key=lambda row: (row["seed"], row["key"])):
        counts = row["status"] == "done" and is_finite(row["metrics"].get(cell.metric))
        (done if counts else failed).append(row)
    return Sample(tuple(done), tuple(failed), len(cell.runs), cell.metric)


def _by_group(rows: Iterable[Row]) -> RowsByGroup:
    """Groups the rows, each key once, by all that a run is except its seed."""
    return group_by({row["key"]: row for row in rows}.values(), kind_of)


def _rows_of(cell: Cell, rows: RowsByGroup) -> Sequence[Row]:
    first = cell.runs[0]
    found = rows.get(kind_of(first.identity), ())
    if not first.needs:
        return found
    # A row names the runs it needed by key, so its own key is proof. It must be that of a run which the cell asks
    # for or, for one more seed, of the cell's first run under that seed.
    keys = {run.key for run in cell.runs}
    return [row for row in found if row["key"] in keys or row["key"] == with_seed(first, row["seed"]).key]


def _merge(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of all scales; one that is declared twice is one cell with the runs of both."""
    merged: dict[tuple[str, ...], Cell] = {}
    for cell in cells:
        kinds = {(run.scale, run.variant, run.protocol) for run in cell.runs}
        if len(kinds) != 1:
            raise ValueError(f"cell {cell.name} mixes scales, variants or protocols: {sorted(kinds)}; it must have one")
        same = (cell.name, cell.metric, canonical_json(cell.settings), with_seed(cell.runs[0], 0).key)
        if same in merged:
            runs = {run.key: run for run in (*merged[same].runs, *cell.runs)}
            cell = dataclasses.replace(cell, runs=tuple(runs.values()))
        merged[same] = cell
    return list(merged.values())


def _place(cell: Cell) -> tuple[str, ...]:
    first = cell.runs[0]
    return (first.scale, cell.dataset, cell.method, cell.metric, first.variant, first.protocol)


def _ambiguous(cells: Iterable[Cell]) -> dict[tuple[str, ...], str]:
    """Finds cells of one place: place -> the settings in which they differ. No published number is surely theirs."""
    found = {}
    for place, alike in group_by(cells, _place).items():
        names = dict.fromkeys(name for cell in alike for name in cell.settings)
        differing = [name for name in names if len({canonical_json(cell.settings.get(name)) for cell in alike}) > 1]
        if len(alike) > 1:
            found[place] = ", ".join(differing) or "their configs"
    return found


def count_numbers(published: Sequence[Published], tables: Sequence[JoinedTable]) -> Counter[str]:
    """How many numbers a paper's file has ("printed"), how many some cell declares ("declared"), and their verdicts.

    A number that several cells claim has the best verdict of them. All numbers of a run in which nothing is random are
    one comparison, with the verdict that is worst.
    """
    every = (cell for table in tables for cell in table.cells)
    cells = group_by(every, lambda cell: (cell.table, cell.dataset, cell.method, cell.metric))
    counts: Counter[str] = Counter(printed=len(published))
    exact: dict[tuple[str, ...], list[Kind]] = {}
    for number in published:
        own = cells.get(number.place, ())
        verdicts = [cell.verdict if cell.judged is number else cell.verdict_on(number, cell.best_known) for cell in own]
        if not verdicts:
            continue
        counts["declared"] += 1
        kind = min((verdict.kind for verdict in verdicts), key=list(Kind).index)
        if kind in JUDGED and all(cell.deterministic for cell in own):
            exact.setdefault((*number.place[:3], number.where), []).append(kind)
        else:
            counts[kind] += 1
    order = (Kind.REPRODUCED, Kind.CONSISTENT, Kind.UNDECIDED, Kind.DIFFERS)
    counts.update(max(kinds, key=order.index) for kinds in exact.values())
    return counts
