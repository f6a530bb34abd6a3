"""The papers: directories of ``benchmarks/`` that hold a ``tables.py``. The directory is the registry."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastbench.runner.vocabulary import SCALES, Cell, Table


@dataclass(frozen=True)
class Paper:
    """One paper, as its ``tables.py`` declares it."""

    name: str
    folder: Path
    module: Any

    @property
    def title(self) -> str:
        return self.module.TITLE

    @property
    def tables(self) -> dict[str, Table]:
        return self.module.TABLES

    def cells(self, table: str, scale: str, seeds: Sequence[int] | None = None) -> list[Cell]:
        """The table's cells at a scale; none where the paper does not have that scale."""
        return self.module.cells(table, scale, seeds)


def names() -> list[str]:
    """The papers there are, sorted."""
    import benchmarks

    return sorted({path.parent.name for root in benchmarks.__path__ for path in Path(root).glob("*/tables.py")})


def paper(name: str) -> Paper:
    """The paper of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in names():
        raise ValueError(f"unknown paper {name!r}; there are: {', '.join(names())}")
    module = importlib.import_module(f"benchmarks.{name}.tables")
    return Paper(name, Path(module.__file__ or "").parent, module)


@dataclass(frozen=True)
class Selection:
    """What ``PAPER[/TABLE[/CELL]]`` names: a paper, its tables and, within them, cells."""

    paper: Paper
    tables: tuple[str, ...]
    cell: str | None = None

    def cells(self, scale: str, seeds: Sequence[int] | None = None) -> list[tuple[str, Cell]]:
        """(table, cell) pairs at the scale, in declared order.

        Raises:
            ValueError: the scale or the cell is unknown; the message lists what is possible.
        """
        if scale not in SCALES:
            raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(SCALES)}")
        declared = [(table, cell) for table in self.tables for cell in self.paper.cells(table, scale, seeds)]
        if self.cell is None:
            return declared
        chosen = [(table, cell) for table, cell in declared if self.cell in (cell.name, cell.dataset, cell.method)]
        if not chosen:
            possible = dict.fromkeys(cell.name for _, cell in declared)
            raise ValueError(
                f"unknown cell {self.cell!r} in {self.paper.name}/{self.tables[0]} at scale {scale}; "
                f"there are: {', '.join(possible) or 'none at this scale'}"
            )
        return chosen


def select(target: str) -> Selection:
    """Reads ``PAPER``, ``PAPER/TABLE`` or ``PAPER/TABLE/CELL``; a cell is DATASET/METHOD, a dataset or a method.

    Raises:
        ValueError: no such paper or table; the message lists those there are.
    """
    name, _, rest = target.partition("/")
    chosen = paper(name)
    table, _, cell = rest.partition("/")
    if table and table not in chosen.tables:
        raise ValueError(f"unknown table {table!r}; {name} has: {', '.join(chosen.tables)}")
    return Selection(chosen, (table,) if table else tuple(chosen.tables), cell or None)


def with_settings(cells: list[tuple[str, Cell]], settings: dict[str, str]) -> list[tuple[str, Cell]]:
    """The cells with config fields changed as ``--set key=value`` asks; values are read by the field's type.

    Raises:
        ValueError: a key that no config has, or a value that is not of its type.
    """
    return [(table, _changed(cell, settings)) for table, cell in cells] if settings else cells


def _changed(cell: Cell, settings: dict[str, str]) -> Cell:
    types = typing.get_type_hints(type(cell.runs[0].config))
    for key in settings:
        if key not in types:
            raise ValueError(f"unknown setting {key!r}; a run of {cell.runs[0].paper} has: {', '.join(types)}")
    changes = {key: _parsed(key, value, types[key]) for key, value in settings.items()}
    runs = tuple(run.with_config(**changes) for run in cell.runs)
    return dataclasses.replace(
        cell, runs=runs, dataset=runs[0].dataset, method=runs[0].method, settings={**cell.settings, **changes}
    )


def _parsed(key: str, text: str, kind: Any) -> Any:
    options = [option for option in typing.get_args(kind) or (kind,) if option is not type(None)]
    if text in ("none", "None") and type(None) in typing.get_args(kind):
        return None
    if typing.get_origin(kind) is tuple:
        return tuple(_parsed(key, part, options[0]) for part in text.split(",") if part)
    try:
        if options[0] is bool:
            return {"true": True, "false": False}[text.lower()]
        return options[0](text)
    except (ValueError, KeyError):
        name = "true or false" if options[0] is bool else f"of type {options[0].__name__}"
        raise ValueError(f"setting {key} must be {name}, got {text!r}") from None
