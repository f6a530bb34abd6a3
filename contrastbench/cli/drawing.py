"""Figures and the HTML page, from what was gathered of the papers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from contrastbench.cli.app import places
from contrastbench.cli.gathering import Gathered
from contrastbench.papers import Paper, Selection
from contrastbench.report import html, plots, run_plots, style
from contrastbench.runner import files
from contrastbench.runner.provenance import git, host, versions
from contrastbench.runner.rows import Row
from contrastbench.runner.vocabulary import SCALES


def standard_figures(gathered: Gathered) -> dict[str, Figure]:
    """Every figure that the measured tables give, and the paper's own, by the name of its file."""
    drawn: dict[str, Figure | None] = {}
    for table in gathered.measured:
        stem = f"{table.name}-{table.scale}"
        drawn[stem] = plots.comparison(table)
        drawn[f"{stem}-protocols"] = plots.protocol_gap(table)
        for setting in dict.fromkeys(name for cell in table.cells for name in cell.settings):
            drawn[f"{stem}-over-{setting}"] = plots.ablation(table, setting)
    done = [row for row in gathered.rows if row["status"] == "done"]
    with style.styled():
        for name, draw in _own_figures(gathered.paper).items():
            drawn[name] = draw(done)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _own_figures(paper: Paper) -> dict[str, Callable[[list[Row]], Figure | None]]:
    """``FIGURES`` of the paper's ``figures.py``, where it has one: functions of rows that return a figure or None."""
    if not (paper.folder / "figures.py").exists():
        return {}
    return importlib.import_module(f"benchmarks.{paper.name}.figures").FIGURES


def figures_of_runs(gathered: Gathered) -> dict[str, Figure]:
    """Similarity histograms and maps of every row that keeps them; training curves where the run's folder is here."""

    def curve_of(row: Row) -> list[dict[str, Any]]:
        return run_plots.read_curve(places.runs / row["paper"] / row["key"] / "metrics.jsonl")

    return run_plots.run_figures(gathered.rows, curve_of)


def save_standard_figures(gathered: Gathered, selection: Selection, folder: Path) -> list[Path]:
    """Writes the standard figures of the selected tables as SVG and PDF."""
    whole_paper = len(selection.tables) == len(gathered.paper.tables)
    return [
        path
        for name, figure in {**standard_figures(gathered), **figures_of_runs(gathered)}.items()
        if whole_paper or name.startswith(f"{selection.tables[0]}-")
        for path in style.save(figure, folder / name)
    ]


def curve_over(gathered: Gathered, selection: Selection, x: str, y: str, group: str, scale: str | None) -> Figure:
    """Any metric over any number in the config, a line a group; rows with changed settings (``--set``) included
    where the whole paper is selected."""
    keys = {run.key for each in SCALES for _, cell in selection.cells(each) for run in cell.runs}
    whole_paper = len(selection.tables) == len(gathered.paper.tables)
    rows = [row for row in gathered.rows if scale in (None, row["scale"]) and (whole_paper or row["key"] in keys)]
    return plots.curve(plots.curves_of_rows(rows, x, y, group), x, y)


def save_figure(figure: Figure, path: Path) -> Path:
    """Writes one figure in the format that the file's ending names.

    Raises:
        ValueError: the ending is not .svg or .pdf.
    """
    makers = {".svg": style.svg_bytes, ".pdf": style.pdf_bytes}
    if path.suffix not in makers:
        raise ValueError(f"a figure's file must end in {' or '.join(makers)}, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, makers[path.suffix](figure))
    return path


def write_page(gathered: Sequence[Gathered], reload_seconds: int | None) -> Path:
    """Writes the report and returns its path."""
    commit = f"{git()['commit']}{' (changed)' if git()['dirty'] else ''}"
    report = html.ReportInput(
        papers=[_paper_input(each) for each in gathered],
        provenance={"commit": commit, "machine": f"{host()['machine']}, {host()['cpu']}", **versions()},
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        problems=[problem for each in gathered for problem in each.problems],
        reload_seconds=reload_seconds,
    )
    return html.build(report, places.results / "report" / "index.html")


def _paper_input(gathered: Gathered) -> html.PaperInput:
    """The measured tables and, whatever was measured, those at paper scale: what is not run is worth knowing too."""
    paper = gathered.paper
    shown = [table for table in gathered.tables if table.scale == "paper" or table in gathered.measured]
    figures = [
        html.FigureInput(name, name.replace("-", " ").replace("_", " "), style.svg_bytes(figure))
        for name, figure in {**standard_figures(gathered), **figures_of_runs(gathered)}.items()
    ]
    return html.paper_input(
        *(paper.name, paper.title, shown, gathered.here),
        states=gathered.states,
        figures=figures,
        published=gathered.published,
    )
