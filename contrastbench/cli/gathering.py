"""Gathers what the results commands need of a paper: its rows here and shipped, its tables, its figures."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from contrastbench.cli.app import places
from contrastbench.papers import Paper
from contrastbench.report.join import JoinedTable, join
from contrastbench.report.plots import ablation, comparison, protocol_gap
from contrastbench.report.provenance import rows_digest
from contrastbench.report.published import read_published
from contrastbench.report.style import svg_bytes
from contrastbench.report.tables import csv_text, latex, markdown, sheet
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.rows import Row, rows_shipped, run_folders, sort_key
from contrastbench.runner.states import state_of
from contrastbench.runner.vocabulary import SCALES


@dataclass(frozen=True)
class Gathered:
    """One paper with everything measured of it. ``here`` is empty where only shipped rows are to be shown."""

    paper: Paper
    shipped: list[Row]
    here: list[Row] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @cached_property
    def tables(self) -> list[JoinedTable]:
        """Every table, once per scale that the paper declares for it."""
        cells = {
            table: [cell for scale in SCALES for cell in self.paper.cells(table, scale)] for table in self.paper.tables
        }
        published = read_published(self.paper.folder / "published.csv")
        return join(self.paper.name, self.paper.tables, cells, self.here, self.shipped, published)

    @property
    def measured(self) -> list[JoinedTable]:
        """The tables with at least one row."""
        return [table for table in self.tables if any(cell.here or cell.shipped for cell in table.cells)]

    @property
    def rows(self) -> list[Row]:
        """One row per key: the one made here where there is one, else the shipped one."""
        return sorted({row["key"]: row for row in (*self.shipped, *self.here)}.values(), key=sort_key)

    def figures(self) -> dict[str, Figure]:
        """Every standard figure of the measured tables, and the paper's own."""
        drawn: dict[str, Figure | None] = {}
        for table in self.measured:
            stem = f"{table.name}-{table.scale}"
            drawn[stem] = comparison(table)
            drawn[f"{stem}-protocols"] = protocol_gap(table)
            for setting in dict.fromkeys(name for cell in table.cells for name in cell.settings):
                drawn[f"{stem}-over-{setting}"] = ablation(table, setting)
        done = [row for row in self.rows if row["status"] == "done"]
        for name, draw in _own_figures(self.paper).items():
            drawn[name] = draw(done)
        return {name: figure for name, figure in drawn.items() if figure is not None}


def gather(paper: Paper, *, with_here: bool = True) -> Gathered:
    """Reads the paper's rows and, unless only the shipped ones are wanted, the states of its run folders."""
    gathered = Gathered(paper, rows_shipped(places.results, paper.name))
    if not with_here:
        return gathered
    still_queued = slurm_queue.still_queued()
    for folder in run_folders(places.runs, paper.name):
        state = state_of(folder, still_queued)
        gathered.states[state.name] += 1
        if state.row:
            gathered.here.append(state.row)
        if state.problem:
            gathered.problems.append(state.problem)
    return gathered


def _own_figures(paper: Paper) -> dict:
    """``FIGURES`` of the paper's ``figures.py``, where it has one: functions of rows that return a figure or None."""
    path = paper.folder / "figures.py"
    if not path.exists():
        return {}
    return importlib.import_module(f"benchmarks.{paper.name}.figures").FIGURES


def generated_files(gathered: Gathered, results: Path) -> dict[Path, bytes]:
    """What is committed for a paper beside its rows, made anew from the shipped rows: path -> content."""
    folder = results / gathered.paper.name
    made: dict[Path, bytes] = {}
    for table in gathered.measured:
        stem = folder / "tables" / f"{table.name}-{table.scale}"
        shown = sheet(table, places=("shipped",))
        made[stem.with_suffix(".md")] = markdown(shown).encode()
        made[stem.with_suffix(".tex")] = latex(shown).encode()
    if gathered.measured:
        made[folder / "tables" / "cells.csv"] = csv_text(gathered.measured).encode()
    digest = rows_digest(gathered.shipped)
    for name, figure in gathered.figures().items():
        made[folder / "figures" / f"{name}.svg"] = svg_bytes(figure, digest)
    return made


def markdown_with_tables(papers: Sequence[Paper], project: Path) -> Iterable[tuple[Path, str]]:
    """The Markdown files that hold generated tables, each with the paper it belongs to ("" for the project's)."""
    yield project / "README.md", ""
    for paper in papers:
        yield paper.folder / "README.md", paper.name
