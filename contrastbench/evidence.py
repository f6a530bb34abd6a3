"""All that is known of a paper: its rows here and shipped, printed numbers, tables, the user's own runs, agreement."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from contrastbench.papers import Paper
from contrastbench.runner import code
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.provenance import PROJECT
from contrastbench.runner.rows import Row, result_of, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import run_of, state_of
from contrastbench.runner.studies import Study
from contrastbench.runner.vocabulary import SCALES, Cell, Run
from contrastbench.selection import Selection
from contrastbench.verdicts.cells import JoinedCell, JoinedTable, join
from contrastbench.verdicts.judging import Judged, judge
from contrastbench.verdicts.published import Published, read_published
from contrastbench.verdicts.statistics import LEVEL, Printed, difference, difference_interval

OWN_TITLE = "yours: settings and data sets that the paper's table does not have"


@dataclass(frozen=True)
class Evidence:
    """One paper with everything measured of it. ``here`` is empty where only shipped rows are to be shown."""

    paper: Paper
    shipped: list[Row]
    here: list[Row] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)  # of the run folders here
    problems: list[str] = field(default_factory=list)  # one line for each folder that cannot be read
    notes: list[str] = field(default_factory=list)  # what to know of the rows here: some were made by other code
    runs: Path = Path()  # the folder of the run folders here
    results: Path = Path()  # the folder of the shipped rows

    @cached_property
    def tables(self) -> list[JoinedTable]:
        """Every table, once per scale that the paper declares for it."""
        cells = {name: [c for scale in SCALES for c in self.paper.cells(name, scale)] for name in self.paper.tables}
        return join(self.paper.name, self.paper.tables, cells, self.here, self.shipped, self.published)

    @cached_property
    def published(self) -> list[Published]:
        return read_published(self.paper.folder / "published.csv")

    @cached_property
    def measured(self) -> list[JoinedTable]:
        """The tables with at least one row."""
        return [table for table in self.tables if table.has_rows]

    @cached_property
    def claims(self) -> list[Judged]:
        """What the paper claims, judged."""
        declared = self.paper.load("claims.CLAIMS") if (self.paper.folder / "claims.py").exists() else []
        return judge(declared, self.tables)

    @property
    def rows(self) -> list[Row]:
        """One row per key: the one made here where there is one, else the shipped one."""
        return sorted({row["key"]: row for row in (*self.shipped, *self.here)}.values(), key=sort_key)

    def select(self, selection: Selection) -> list[JoinedTable]:
        """The selected tables with the selected cells only, at the selection's scale or the largest scale with rows.

        With seeds or settings these are the cells that ``run`` would fill with them.

        Raises:
            ValueError: a setting is unknown or impossible.
        """
        tables = self._under(selection) if selection.seeds or selection.settings else self.tables
        cut = [
            dataclasses.replace(table, cells=[c for c in table.cells if selection.names(c.name, c.dataset, c.method)])
            for table in tables
            if table.name in selection.tables and table.scale in selection.scales
        ]
        if selection.settings:  # of all that could be run so, what was; published numbers belong to other settings
            with_rows = [[cell for cell in table.cells if cell.here or cell.shipped] for table in cut]
            pairs = zip(cut, with_rows, strict=True)
            cut = [dataclasses.replace(table, cells=cells or table.cells, unmatched=()) for table, cells in pairs]
        selected = [table for table in cut if table.cells]
        largest = {table.name: table for table in selected if table.has_rows}  # a table's scales come in rising order
        return selected if selection.scale else list(largest.values())

    def _under(self, selection: Selection) -> list[JoinedTable]:
        """The selected tables as ``run`` with the selection's seeds and settings would fill them."""
        seeds = selection.seeds
        here, shipped = ([r for r in rows if not seeds or r["seed"] in seeds] for rows in (self.here, self.shipped))
        cells: dict[str, list[Cell]] = {table: [] for table in selection.tables}
        for table, cell in selection.cells(every_table=True):
            cells[table].append(cell)
        tables = {table: self.paper.tables[table] for table in selection.tables}
        return join(self.paper.name, tables, cells, here, shipped, self.published)


def gather(paper: Paper, runs: Path | None = None, results: Path = PROJECT / "results") -> Evidence:
    """Reads the paper's shipped rows and its run folders; without ``runs``, only the shipped rows."""
    evidence = Evidence(paper, rows_shipped(results, paper.name), runs=runs or Path(), results=results)
    if runs is None:
        return evidence
    still_queued = slurm_queue.still_queued()
    for folder in run_folders(runs, paper.name):
        state = state_of(folder, still_queued)
        evidence.states[state.name] += 1
        if state.row:
            evidence.here.append(state.row)
        if state.problem:
            evidence.problems.append(state.problem)
    evidence.notes.extend(code.describe(code.rows_of_other_code(evidence.here, runs)))
    return evidence


# ------------------------------------------------------------------------------------------- the user's own runs


def own_tables(evidence: Evidence) -> list[JoinedTable]:
    """A table of the runs made here with ``--set``, for each declared table and scale that they belong to.

    Each is compared with the table's baseline under the same settings, else with the baseline as it is declared.
    """
    standing = {row["key"] for table in evidence.tables for cell in table.cells for row in cell.here.done}
    others = [row for row in evidence.here if row["key"] not in standing and row["status"] == "done"]
    made = []
    for name, runs in _runs_by_table(others, evidence.runs).items():
        if name in evidence.paper.tables:
            study = evidence.paper.tables[name]
            cells = _own_cells(evidence, study, runs)
            compared = {(cell.dataset, cell.baseline, cell.metric, cell.runs[0].scale) for cell in cells}
            every = (cell for scale in SCALES for cell in study.cells(scale))
            declared = {(cell.dataset, cell.method, cell.metric, cell.runs[0].scale): cell for cell in every}
            cells += [cell for place, cell in declared.items() if place in compared]
            table = dataclasses.replace(study, title=OWN_TITLE)
            made += join(evidence.paper.name, {name: table}, {name: cells}, evidence.here, evidence.shipped)
    return made


def _runs_by_table(rows: Iterable[Row], folder: Path) -> dict[str, list[tuple[str, Run, Row]]]:
    """Table -> cell, run and row. Rows made by another version of the paper are left out."""
    tables: dict[str, list[tuple[str, Run, Row]]] = defaultdict(list)
    for row in rows:
        try:
            run = run_of(folder / row["paper"] / row["key"])
        except (ValueError, OSError):
            continue
        for table, cell in row["cells"]:
            tables[table].append((cell, run, row))
    return tables


def _own_cells(evidence: Evidence, study: Study, runs: Sequence[tuple[str, Run, Row]]) -> list[Cell]:
    """Makes cells of the runs: one for each setting, and each metric of the declared table that the rows have."""
    metrics = {cell.metric: cell.better for each in evidence.tables if each.name == study.name for cell in each.cells}
    groups: dict[tuple[str, str], dict[int, Run]] = defaultdict(dict)  # by seed; cells that are one run are one
    labels: dict[str, str] = {}
    for name, run, row in runs:
        kind = dataclasses.replace(run, seed=0).key  # runs that differ in the seed alone share it
        labels.setdefault(kind, name.removeprefix(f"{run.dataset}/"))
        for metric in (each for each in metrics if each in row["metrics"]):
            groups[metric, kind][run.seed] = run
    cells = []
    there = {(run.dataset, labels[kind]) for (_, kind), found in groups.items() for run in found.values()}
    for (metric, kind), found in groups.items():
        dataset, method = next(iter(found.values())).dataset, labels[kind]
        same_settings = study.baseline + method.removeprefix(method.split(" [")[0])
        is_there = (dataset, same_settings) in there and same_settings != method
        baseline = same_settings if is_there else study.baseline
        cells.append(Cell(dataset, method, metric, tuple(found.values()), {}, metrics[metric], baseline=baseline))
    return cells


# --------------------------------------------------------------------------------------------- here against shipped

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


def agreement(evidence: Evidence) -> Agreement:
    """Compares the rows here with the shipped ones of the same keys.

    Rows of the same kind of machine must be equal; of other machines, the means of cells must agree.
    """
    compared = compare_rows(evidence.here, evidence.shipped)
    differing = [
        f"row {key[:12]} of {evidence.paper.name} differs from the shipped one on the same kind of machine"
        for key, word in compared.items()
        if word == DIFFERS
    ]
    elsewhere = {key for key, word in compared.items() if word == OTHER_MACHINE}
    cells = [c for t in evidence.tables for c in t.cells if not elsewhere.isdisjoint(row["key"] for row in c.here.done)]
    once = {(cell.metric, *(row["key"] for row in cell.here.done)): cell for cell in cells}  # of several tables
    judged, outside = outside_noise(once.values())
    differing += [
        f"{evidence.paper.name}/{cell.table}/{cell.name}: {cell.here.summary.mean:.4g} here and "
        f"{cell.shipped.summary.mean:.4g} shipped ({cell.metric}) differ by more than the noise of the seeds"
        for cell in outside
    ]
    return Agreement(Counter(compared.values()), judged, len(outside), differing)


def compare_rows(here: Sequence[Row], shipped: Sequence[Row]) -> dict[str, str]:
    """What the rows of the same key from two places agree on, by key.

    It is "bit for bit" where all is equal that a rerun must repeat; "other machine" where it is not and the two had
    other kinds of machine, packages, devices or copies of the data; else "differs".
    """
    known = {row["key"]: row for row in shipped}
    return {row["key"]: _compare(row, known[row["key"]]) for row in here if row["key"] in known}


def _compare(here: Row, shipped: Row) -> str:
    if result_of(here) == result_of(shipped):
        return EQUAL
    ours, theirs = here.get("versions") or {}, shipped.get("versions") or {}  # older rows name fewer packages
    same_packages = all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())
    same = all(here.get(name) == shipped.get(name) for name in ("host", "device", "threads", "data"))
    return DIFFERS if same and same_packages else OTHER_MACHINE


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
