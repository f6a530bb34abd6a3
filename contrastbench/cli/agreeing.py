"""How the rows made here compare with the shipped ones: bit for bit, or within the noise of their seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from contrastbench.cli.gathering import Gathered, gather
from contrastbench.papers import Paper
from contrastbench.report.cells import JoinedCell
from contrastbench.report.statistics import LEVEL, Printed, difference, difference_interval
from contrastbench.runner.rows import Row


def agreement(paper: Paper) -> tuple[str, list[str]]:
    """Compares the rows here with the shipped ones of the same keys: a summary, and a line for each disagreement.

    Rows of the same kind of machine must be equal; of other machines, the means of cells must agree.
    """
    gathered = gather(paper)
    compared = compare_rows(gathered.here, gathered.shipped)
    counts = Counter(word for _, _, word in compared)
    differing = [
        f"row {row['key'][:12]} of {paper.name} differs from the shipped one on the same kind of machine"
        for row, _, word in compared
        if word == "differs"
    ]
    words = [f"{count} {word}" for word, count in counts.items()]
    if elsewhere := {row["key"] for row, _, word in compared if word == "other machine"}:
        judged, outside = outside_noise(_cells_with(gathered, elsewhere))
        words.append(f"of the {judged} cells with these and two seeds {judged - len(outside)} within the noise")
        differing += [
            f"{paper.name}/{cell.table}/{cell.name}: {cell.here.summary.mean:.4g} here and "
            f"{cell.shipped.summary.mean:.4g} shipped ({cell.metric}) differ by more than the noise of the seeds"
            for cell in outside
        ]
    return ", ".join(words), differing


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
        "bit for bit" where status, metrics and series are equal; "other machine" where they differ and the two ran on
        different kinds of machine, with other packages or another device; else "differs".
    """
    known = {row["key"]: row for row in shipped}
    return [(row, known[row["key"]], _agreement(row, known[row["key"]])) for row in here if row["key"] in known]


def _agreement(here: Row, shipped: Row) -> str:
    if all(here.get(name) == shipped.get(name) for name in ("status", "metrics", "series")):
        return "bit for bit"
    same = all(here.get(name) == shipped.get(name) for name in ("host", "device", "threads", "data"))
    return "differs" if same and _same_packages(here, shipped) else "other machine"


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
