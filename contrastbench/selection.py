"""Which runs are meant: targets such as ``PAPER/TABLE/CELL`` with a scale, seeds and settings, read for every command.

A ``Selection`` says it in both directions: ``cells()`` declares the runs, to plan and start them; ``holds()`` tells
whether a row or a ticket is one of them, to find what is there.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from contrastbench import papers
from contrastbench.names import FEW, unknown
from contrastbench.papers import Paper
from contrastbench.runner import rows
from contrastbench.runner.states import needed_folders, read_ticket
from contrastbench.runner.vocabulary import SCALES, Cell, kind_of, label_with
from contrastbench.settings import (
    change_settings,
    combinations,
    relabel,
    runs_with_field,
    settings_not_read,
    settings_of,
)

KEY = re.compile(r"[0-9a-f]{6,64}")  # the beginning of a run's key; shorter ones might be meant as names


@dataclass(frozen=True)
class Selection:
    """Some runs of one paper. A field that is left empty leaves nothing out."""

    paper: Paper
    tables: tuple[str, ...]
    cell: str = ""  # DATASET/METHOD, a data set or a method
    whole: bool = False  # the paper alone was named, and so all of its tables
    scale: str = ""
    seeds: tuple[int, ...] = ()  # those that the paper declares where there are none
    settings: Mapping[str, str] = field(default_factory=dict)  # as ``--set`` takes them: beta -> "0.5,1,2"
    dataset: str = ""  # a name, or a pattern such as "IMDB-*"
    method: str = ""  # the same; "HCL" also stands for "HCL [temperature=0.2]"

    @property
    def scales(self) -> Sequence[str]:
        return (self.scale,) if self.scale else SCALES

    def cells(self, *, every_table: bool = False) -> list[tuple[str, Cell]]:
        """(table, cell) pairs in declared order, changed as the settings say: a sweep makes several of one.

        Cells that do not use a setting are left out; ``methods_left_out`` names them. A data set that is set inherits
        each method from one cell, the first of the selected ones; ``data_sets_inherited`` names these and the others.
        Where that cell is not the method's first of the table, the method's name tells whose settings it has.

        Args:
            every_table: a whole paper also stands for its tables that commands work on only when they are named.

        Raises:
            ValueError: a setting that no config has or no cell uses, or a value of the wrong type or range.
        """
        cells = self._every_cell
        return [pair for pair in cells if every_table or not self.only_by_name(pair[0], pair[1].runs[0].scale)]

    @cached_property
    def _every_cell(self) -> list[tuple[str, Cell]]:
        if "dataset" not in self.settings:
            return with_settings(self._declared_cells, self.settings)
        everything = dataclasses.replace(self, cell="", settings={}, dataset="", method="")
        usual = _first_of_each_method(everything._declared_cells)
        inherited = []
        for place, cell in _first_of_each_method(self._declared_cells).items():
            if cell.dataset != usual[place].dataset:
                label = {"settings": cell.dataset}
                runs = tuple(dataclasses.replace(run, method=label_with(run.method, label)) for run in cell.runs)
                cell = dataclasses.replace(cell, method=label_with(cell.method, label), runs=runs)
            inherited.append((place[0], cell))
        return with_settings(inherited, self.settings)

    def data_sets_inherited(self) -> tuple[list[str], list[str]]:
        """With a data set set anew: the declared ones whose cells it inherits, and those whose cells are left out."""
        if "dataset" not in self.settings:
            return [], []
        used = dict.fromkeys(cell.dataset for cell in _first_of_each_method(self._declared_cells).values())
        every = dict.fromkeys(cell.dataset for _, cell in self._declared_cells)
        return list(used), [name for name in every if name not in used]

    @cached_property
    def _declared_cells(self) -> list[tuple[str, Cell]]:
        return [
            (table, cell)
            for scale in self.scales
            for table in self.tables
            for cell in self.paper.cells(table, scale, self.seeds or None)
            if self.names(cell.name, cell.dataset, cell.method)
        ]

    def only_by_name(self, table: str, scale: str) -> bool:
        """Whether the table is left out at the scale because the paper alone was named."""
        return self.whole and scale in self.paper.tables[table].only_by_name

    def tables_left_out(self) -> list[str]:
        """The tables that have cells at the scale and that ``cells`` leaves out."""
        return [
            table
            for table in self.tables
            if any(self.only_by_name(table, scale) and self.paper.cells(table, scale) for scale in self.scales)
        ]

    def methods_left_out(self) -> list[str]:
        """The methods whose cells ``cells`` leaves out because they do not use some of the settings."""
        unused = [cell.method for _, cell in self._declared_cells if self.settings and not _sweep(cell, self.settings)]
        return list(dict.fromkeys(unused))

    def names(self, name: str, dataset: str, method: str) -> bool:
        """Whether a cell is meant: by its whole name, its data set or its method, with or without ``--set`` values."""
        bare = method.split(" [")[0]
        return (
            self.cell in ("", name, dataset, method, name.split(" [")[0], bare)
            and _fits(dataset, self.dataset)
            and (_fits(method, self.method) or _fits(bare, self.method))
        )

    def holds(self, record: Mapping[str, Any]) -> bool:
        """Whether a row or a ticket is of a run that is meant.

        It is if a chosen cell declares the run, under any seed, or if the run was once asked for through such a cell.
        With settings, what was asked for must have their values, whatever else it changes.
        """
        if record["scale"] not in self.scales or (self.seeds and record["seed"] not in self.seeds):
            return False
        dataset, method = record["dataset"], record["method"]
        if not all(_has(record["config"], name, text) for name, text in self.settings.items()):
            return kind_of(record) in self._kinds
        if self.whole:
            return self.names(f"{dataset}/{method}", dataset, method)
        return kind_of(record) in self._kinds or any(
            table in self.tables and self.names(name, dataset, method) for table, name in record["cells"]
        )

    @cached_property
    def _kinds(self) -> set[str]:
        """The declared kinds of runs, changed as the settings say."""
        return {kind_of(run.identity) for _, cell in self._every_cell for run in cell.runs}

    def folders(self, runs: Path, problem: Callable[[str], object]) -> Iterator[Path]:
        """The folders of the selection's runs; one whose ticket cannot be read is told to ``problem`` and left out."""
        for folder in rows.run_folders(runs, self.paper.name):
            try:
                ticket = read_ticket(folder)
            except (ValueError, OSError) as error:
                problem(str(error))
                continue
            if self.holds(ticket):
                yield folder

    def unknown_cell(self, others: Iterable[str] = ()) -> ValueError:
        """The error for a cell that nothing declares; ``others`` are names that exist besides the declared ones."""
        everything = dataclasses.replace(self, cell="", settings={})
        cells = [cell for _, cell in everything.cells(every_table=True)]
        names = dict.fromkeys([*(cell.name for cell in cells), *others])
        if len(names) > FEW:  # what was meant may be a data set or a method alone
            names |= dict.fromkeys(part for cell in cells for part in (cell.dataset, cell.method))
        at_scale = f" at scale {self.scale}" if self.scale else ""
        return unknown("cell", self.cell, names, f"{self.paper.name}/{'/'.join(self.tables)}{at_scale} has")


def _first_of_each_method(cells: Iterable[tuple[str, Cell]]) -> dict[tuple[str, ...], Cell]:
    """The first cell of each method: by table, scale, method, metric, variant and protocol."""
    first: dict[tuple[str, ...], Cell] = {}
    for table, cell in cells:
        run = cell.runs[0]
        first.setdefault((table, run.scale, cell.method, cell.metric, run.variant, run.protocol), cell)
    return first


def _fits(name: str, pattern: str) -> bool:
    return not pattern or name == pattern or fnmatch.fnmatchcase(name, pattern)


def _has(config: Mapping[str, Any], name: str, text: str) -> bool:
    """Whether the field has one of the values that the text names; a field that is a list is one value."""
    value = config.get(name)
    if isinstance(value, list):
        return ",".join(map(str, value)) == text
    return name in config and any(_same(value, part) for part in text.split(","))


def _same(value: Any, text: str) -> bool:
    try:
        return float(value) == float(text) and not isinstance(value, bool)
    except (TypeError, ValueError):
        return str(value).lower() == text.lower()


def select(
    target: str,
    scale: str | None = None,
    seeds: Iterable[int] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Selection:
    """Reads ``PAPER``, ``PAPER/TABLE`` or ``PAPER/TABLE/CELL``; a cell is DATASET/METHOD, a data set or a method.

    Raises:
        ValueError: no such paper, table or scale; the message lists those there are.
    """
    if scale and scale not in SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
    name, _, rest = target.partition("/")
    paper = papers.paper(name)
    table, _, cell = rest.partition("/")
    if table and table not in paper.tables:
        raise unknown("table", table, paper.tables, f"{name} has")
    tables = (table,) if table else tuple(paper.tables)
    return Selection(paper, tables, cell, not table, scale or "", tuple(seeds or ()), settings or {})


@dataclass(frozen=True)
class Targets:
    """What the targets of one command name: runs by the beginnings of their keys, and selections of papers."""

    typed: tuple[str, ...]  # as they were given; none means every paper
    keys: tuple[str, ...]
    selections: tuple[Selection, ...]

    @property
    def settings(self) -> Mapping[str, str]:
        return self.selections[0].settings if self.selections else {}

    def folders(self, runs: Path, problem: Callable[[str], object]) -> list[Path]:
        """The folders here of the runs that are meant, each after those of the runs that it needs.

        Raises:
            ValueError: a key that no run has, or a cell that no paper declares and no run here was asked for by.
        """
        found = [run_folder(runs, key) for key in self.keys]
        for selection in self.selections:
            of_selection = list(selection.folders(runs, problem))
            if selection.cell and not of_selection and not selection.cells(every_table=True):
                raise selection.unknown_cell()
            found += of_selection
        return list(dict.fromkeys(folder for each in found for folder in _with_needed(each, problem)))


def read_targets(
    targets: Sequence[str] | None,
    scale: str | None = None,
    seeds: Iterable[int] | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    dataset: str = "",
    method: str = "",
) -> Targets:
    """Reads targets: papers, tables, cells, or beginnings of keys; every paper if there are none.

    Settings without targets mean the papers that have them.

    Raises:
        ValueError: an unknown paper, table or scale; or settings that no paper has.
    """
    known, seeds = papers.names(), tuple(seeds or ())
    keys = [target for target in targets or () if KEY.fullmatch(target) and target not in known]
    names = [target for target in targets or known if target not in keys]
    selections = [select(name, scale, seeds, settings) for name in names]
    selections = [dataclasses.replace(each, dataset=dataset, method=method) for each in selections]
    errors = [problem for each in selections if settings and (problem := _problem_of_settings(each))]
    if errors and (targets or len(errors) == len(selections)):
        raise errors[0]
    possible = tuple(each for each in selections if not (settings and _problem_of_settings(each)))
    return Targets(tuple(targets or ()), tuple(keys), possible)


def _problem_of_settings(selection: Selection) -> ValueError | None:
    try:
        selection.cells()
    except ValueError as error:
        return error
    return None


def run_folder(runs: Path, key: str) -> Path:
    """The one run folder whose key begins so.

    Raises:
        ValueError: none or several do; the message says which.
    """
    found = [folder for folder in rows.run_folders(runs) if key and folder.name.startswith(key)]
    if not found:
        raise ValueError(f"no run's key begins with {key!r} (looked in {runs})")
    if len(found) > 1:
        some = ", ".join(folder.name[:16] for folder in found[:5])
        raise ValueError(f"the keys of {len(found)} runs begin with {key!r}: {some}")
    return found[0]


def _with_needed(folder: Path, problem: Callable[[str], object]) -> Iterator[Path]:
    """The folder, after those of the runs here that it needs. If its ticket is damaged, the folder alone."""
    try:
        needed = needed_folders(read_ticket(folder), folder).values()
    except (ValueError, OSError) as error:
        problem(str(error))
        needed = {}.values()
    for need in needed:
        if need.is_dir():
            yield from _with_needed(need, problem)
    yield folder


def with_settings(cells: list[tuple[str, Cell]], settings: Mapping[str, str]) -> list[tuple[str, Cell]]:
    """The cells with config fields changed as ``--set key=value`` asks; those that do not use a field are left out."""
    if not settings or not cells:
        return cells
    known = dict.fromkeys(name for _, cell in cells for name in settings_of(cell.runs[0]))
    for key in settings:
        if not any(runs_with_field(cell.runs[0], key) for _, cell in cells):
            raise unknown("setting", key, known, f"a run of {cells[0][1].runs[0].paper} has")
    swept = [(table, each) for table, cell in cells for each in _sweep(cell, settings)]
    if not swept:
        raise ValueError(_why_unused(cells[0][1], settings))
    return swept


def _sweep(cell: Cell, settings: Mapping[str, str]) -> list[Cell]:
    """The cell under each combination of the settings' values; none where its runs do not use some of the fields."""
    first = cell.runs[0]
    if not all(runs_with_field(first, key) for key in settings):
        return []
    swept = []
    for changes in combinations(first, settings):
        if settings_not_read(change_settings(first, changes), settings):
            continue
        runs = tuple(change_settings(run, changes) for run in cell.runs)
        method = relabel(cell.method, first, first, changes)
        # What the paper declares of a method it does not declare of every setting of it.
        deterministic = cell.deterministic and method == cell.method
        labels = {"dataset": runs[0].dataset, "method": method}
        named_by = {**cell.settings, **changes}
        swept.append(dataclasses.replace(cell, runs=runs, settings=named_by, deterministic=deterministic, **labels))
    return swept


def _why_unused(cell: Cell, settings: Mapping[str, str]) -> str:
    first = cell.runs[0]
    changes = combinations(first, {key: text for key, text in settings.items() if runs_with_field(first, key)})[0]
    reasons = settings_not_read(change_settings(first, changes), settings)
    words = "; ".join(f"{key} is used only where {where}" for key, where in reasons.items())
    return f"{cell.name} does not use {', '.join(reasons)}: {words}" if reasons else "no cell has all of these settings"
