"""How the rows made here compare with the shipped ones: bit for bit, or within the noise of their seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from contrastbench.cli.gathering import Gathered
from contrastbench.runner.rows import Row, result_of
from contrastbench.verdicts.cells import JoinedCell
from contrastbench.verdicts.statistics import LEVEL, Printed, difference, difference_interval

EQUAL, OTHER_MACHINE, DIFFERS = "bit for bit", "other machine", "differs"


class Agreement(NamedTuple):
    """What the comparison of a paper's rows here with its shipped ones gave."""

    counts: Counter[str]  # of the words of ``compare_rows``
    judged: int  # cells with two seeds that have rows of another machine here or shipped
    outside: int  # those of them whose means differ by more than the noise
    differing: list[str]  # a line for each disagreement

    def __str__(self) -> str:
        words = [f"{count} {word}" for word, count in self.counts.items()]
        if self.counts[OTHER_MACHINE]:
            within = self.judged - self.outside
            words.append(f"of the {self.judged} cells with these and two seeds {within} within the noise")
        return ", ".join(words)


def agreement(gathered: Gathered) -> Agreement:
    """Compares the rows here with the shipped ones of the same keys.

    Rows of the same kind of machine must be equal; of other machines, the means of cells must agree.
    """
    compared = compare_rows(gathered.here, gathered.shipped)
    differing = [
        f"row {row['key'][:12]} of {gathered.paper.name} differs from the shipped one on the same kind of machine"
        for row, _, word in compared
        if word == DIFFERS
    ]
    elsewhere = {row["key"] for row, _, word in compared if word == OTHER_MACHINE}
    judged, outside = outside_noise(_cells_with(gathered, elsewhere))
    differing += [
        f"{gathered.paper.name}/{cell.table}/{cell.name}: {cell.here.summary.mean:.4g} here and "
        f"{cell.shipped.summary.mean:.4g} shipped ({cell.metric}) differ by more than the noise of the seeds"
        for cell in outside
    ]
    return Agreement(Counter(word for _, _, word in compared), judged, len(outside), differing)


def _cells_with(gathered: Gathered, keys: set[str]) -> list[JoinedCell]:
    """The cells with one of these rows; a cell that several tables show counts once."""
    cells = {
        (cell.metric, *(row["key"] for row in cell.here.done)): cell
        for table in gathered.tables
        for cell in table.cells
        if any(row["key"] in keys for row in cell.here.done)
    }
    return list(cells.values())


def compare_rows(here: Sequence[Row], shipped: Sequence[Row]) -> list[tuple[Row, Row, str]]:
    """Rows of the same key from two places: (here, shipped, what they agree on).

    Returns:
        "bit for bit" where all is equal that a rerun must repeat; "other machine" where it is not and the two had other
        kinds of machine, packages, devices or copies of the data; else "differs".
    """
    known = {row["key"]: row for row in shipped}
    return [(row, known[row["key"]], _agreement(row, known[row["key"]])) for row in here if row["key"] in known]


def _agreement(here: Row, shipped: Row) -> str:
    if result_of(here) == result_of(shipped):
        return EQUAL
    same = all(here.get(name) == shipped.get(name) for name in ("host", "device", "threads", "data"))
    return DIFFERS if same and _same_packages(here, shipped) else OTHER_MACHINE


def _same_packages(here: Row, shipped: Row) -> bool:
    """Whether the packages that both rows name have the same versions; older rows name fewer packages."""
    ours, theirs = here.get("versions") or {}, shipped.get("versions") or {}
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def outside_noise(cells: Iterable[JoinedCell]) -> tuple[int, list[JoinedCell]]:
    """How many cells have two seeds or more both here and shipped, and those of them whose means differ.

    Means differ if the interval of their difference excludes 0. The level is Bonferroni's: if both machines compute
    the same, a false difference shows in at most 5 % of all comparisons of whole papers.
    """
    both = [cell for cell in cells if cell.here.summary.n > 1 and cell.shipped.summary.n > 1]
    level = 1 - (1 - LEVEL) / max(1, len(both))

    def differs(cell: JoinedCell) -> bool:
        shipped = Printed(cell.shipped.summary.mean, cell.shipped.summary.sd, cell.shipped.summary.n)
        return difference_interval(difference(cell.here.summary, shipped), level).excludes_zero()

    return len(both), [cell for cell in both if differs(cell)]
