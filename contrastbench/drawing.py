"""Draws a paper's figures and writes the report's HTML pages."""

import dataclasses
import importlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from contrastbench.evidence import Evidence, own_tables
from contrastbench.papers import Paper
from contrastbench.report import curves, page, plots, style
from contrastbench.runner import files
from contrastbench.runner.devices import cores
from contrastbench.runner.log import read_curve
from contrastbench.runner.provenance import git, host, versions
from contrastbench.runner.rows import Row, rows_digest
from contrastbench.runner.vocabulary import SCALES, code_text
from contrastbench.selection import Selection
from contrastbench.verdicts.cells import JoinedTable, group_by

Made = TypeVar("Made")
MOST_BYTES = 60_000  # of a figure on the page; a larger one is a file that it links to


def standard_figures(evidence: Evidence) -> dict[str, Figure]:
    """Draws every figure of the measured tables, and the paper's own: name of the file -> figure."""
    drawn = {name: draw() for name, draw, _ in _to_draw(evidence)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _to_draw(evidence: Evidence) -> Iterator[tuple[str, Callable[[], Figure | None], bool]]:
    """Each figure's name, the function that draws it, and whether rows made here may be in it."""
    claims = [each.claim for each in evidence.claims]
    for table in evidence.measured:
        stem, has_here = f"{table.name}-{table.scale}", any(cell.here for cell in table.cells)
        yield stem, partial(plots.comparison, table), has_here
        yield f"{stem}-protocols", partial(plots.protocol_gap, table), has_here
        for setting in dict.fromkeys(name for cell in table.cells for name in cell.settings):
            yield f"{stem}-over-{setting}", partial(curves.ablation, table, setting, claims), has_here
    done = [row for row in evidence.rows if row["status"] == "done"]
    for name, draw in _own_figures(evidence.paper).items():
        yield name, partial(_draw_styled, draw, done), bool(evidence.here)


def _draw_styled(draw: Callable[[list[Row]], Figure | None], rows: list[Row]) -> Figure | None:
    with style.styled():
        return draw(rows)


def _figures_of_page(evidence: Evidence) -> dict[str, bytes]:
    """The paper's figures as SVG, name -> content.

    A figure that no row made here is in is read from the committed file, which takes no time. It is drawn all the same
    if that file names other rows or another matplotlib. If the drawing code changed, ``contrastbench verify`` tells.
    """
    folder, source = evidence.results / evidence.paper.name / "figures", rows_digest(evidence.shipped)
    made: dict[str, bytes] = {}
    for name, draw, has_here in _to_draw(evidence):
        file = folder / f"{name}.svg"
        committed = file.read_bytes() if file.exists() and not has_here else b""
        if style.creator().encode() in committed and source.encode() in committed:
            made[name] = committed
        elif figure := draw():
            made[name] = style.svg_bytes(figure, source)
    of_runs = figures_of_runs(evidence, every_map=False).items()
    return made | {name: style.svg_bytes(figure) for name, figure in of_runs}


def summary_figures(papers: Mapping[str, Evidence]) -> dict[str, Figure]:
    """The figures that sum up the suite, as ``benchmarks/summary.py`` names their panels; those without rows go."""
    tables = {f"{t.paper}/{t.name}/{t.scale}": t for evidence in papers.values() for t in evidence.measured}
    drawn = {}
    for x, parts in importlib.import_module("benchmarks.summary").FIGURES.items():
        if panels := [panel for part in parts if (panel := _summary_panel(tables, x, **part))]:
            drawn[x] = curves.curve_panels(panels, x)
    return drawn


def _summary_panel(
    tables: Mapping[str, JoinedTable],
    x: str,
    *,
    title: str,
    table: str,
    scale: str,
    metric: str,
    dataset: str = "",
    marks: Sequence[float] = (),
) -> curves.Panel | None:
    found = tables.get(f"{table}/{scale}")
    own = [cell for cell in (found.cells if found else ()) if cell.metric == metric and dataset in ("", cell.dataset)]
    every = [curves.panel_of(cells, x) for cells in group_by(own, lambda cell: cell.dataset).values()]
    panels = [dataclasses.replace(panel, marks=marks) for panel in every if not panel.is_empty]
    if len(panels) > 1:
        return curves.pooled_panel(f"{title}, {len(panels)} data sets", panels)
    return dataclasses.replace(panels[0], title=title) if panels else None


def _own_figures(paper: Paper) -> dict[str, Callable[[list[Row]], Figure | None]]:
    """The figures that the paper draws itself: functions of rows that return a figure or None."""
    return paper.load(paper.figures) if paper.figures else {}


def figures_of_runs(evidence: Evidence, *, every_map: bool = True) -> dict[str, Figure]:
    """Draws similarity histograms and maps of rows that keep them, and training curves of runs whose folder is here.

    ``every_map`` is that of ``run_figures``.
    """
    folder = evidence.runs
    return plots.run_figures(
        evidence.rows, lambda row: read_curve(folder / row["paper"] / row["key"]), every_map=every_map
    )


def save_standard_figures(evidence: Evidence, selection: Selection, folder: Path) -> list[Path]:
    """Writes the standard figures of the selected tables as SVG and PDF."""
    whole_paper = len(selection.tables) == len(evidence.paper.tables)
    return [
        path
        for name, figure in {**standard_figures(evidence), **figures_of_runs(evidence)}.items()
        if whole_paper or name.startswith(f"{selection.tables[0]}-")
        for path in (style.save(figure, folder / f"{name}{ending}") for ending in (".svg", ".pdf"))
    ]


def curve_over(
    evidence: Evidence,
    selection: Selection,
    x: str,
    y: str | None,
    group: str,
    scale: str | None,
    *,
    values: bool = False,
) -> tuple[Figure, str]:
    """Draws any metric over any number in the config, a line a group; also of runs made with ``--set``.

    It draws gains where a baseline was measured, unless ``values`` are asked for.

    Returns:
        The figure and the metric's name.

    Raises:
        ValueError: no row has ``x``, ``y`` or ``group``, or there are rows of several scales and none was chosen.
    """
    tables = [*evidence.measured, *own_tables(evidence)]
    cells = [cell for table in tables if table.name in selection.tables for cell in table.cells]
    cells = [cell for cell in cells if scale in (None, cell.scale) and cell.best_known.done]
    cells = [cell for cell in cells if selection.names(cell.name, cell.dataset, cell.method)]
    if len(scales := sorted({cell.scale for cell in cells}, key=SCALES.index)) > 1:
        raise ValueError(
            f"rows of several scales never share a curve, got {', '.join(scales)}; choose one with --scale"
        )
    y = y or next((cell.metric for cell in cells), "")
    claims = [each.claim for each in evidence.claims]
    changed = curves.cells_over(cells, x, y, group)
    by_panel = group_by(changed, lambda cell: cell.dataset if group == "method" else "")
    panels = [curves.panel_of(own, x, claims, group=group, values=values) for own in by_panel.values()]
    title = f"{evidence.paper.name}/{', '.join(selection.tables)}, {scales[0]} scale"
    return curves.curve_panels([panel for panel in panels if panel.lines], x, title=title), y


def side_by_side(make: Callable[[Evidence], Made], papers: Sequence[Evidence]) -> list[Made]:
    """Calls ``make``, a function of a module, for each paper and returns what it made, in their order.

    Papers with rows are shared out over processes, one for each core.
    """
    busy = sum(bool(each.rows) for each in papers)
    if busy < 2:
        return [make(each) for each in papers]
    spawn = multiprocessing.get_context("spawn")  # a forked copy of a process with threads may hang
    ignore_ctrl_c = (signal.SIGINT, signal.SIG_IGN)  # it is the command's to answer
    with ProcessPoolExecutor(min(busy, cores()), spawn, signal.signal, ignore_ctrl_c) as pool:
        try:
            return list(pool.map(make, papers))
        except BaseException:  # Ctrl-C and SIGTERM too: nobody waits for the rest
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def write_page(papers: Sequence[Evidence], path: Path, reload_seconds: int | None = None) -> None:
    """Writes the report's summary, and beside it a page a paper with its figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = side_by_side(partial(_write_paper, path=path, reload_seconds=reload_seconds), papers)
    code, figures = code_text(git(), versions()), summary_figures({each.paper.name: each for each in papers})
    summary = page.index_page(
        pages,
        provenance={"code": code, "machine": f"{host()['machine']}, {host()['cpu']}", **versions()},
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        figures={name: style.svg_bytes(figure) for name, figure in figures.items()},
        problems=[line for e in papers for line in (*e.problems, *(f"{e.paper.name}: {n}" for n in e.notes))],
        reload_seconds=reload_seconds,
    )
    files.write_text(path, summary)


def _write_paper(evidence: Evidence, path: Path, reload_seconds: int | None) -> page.PaperPage:
    """Writes a paper's page beside ``path``; a figure of a table is a file that the page links to.

    The page shows the measured tables, and those at paper scale even if nothing of them was run.
    """
    paper, figures = evidence.paper, _figures_of_page(evidence)
    own = [name for name in _own_figures(paper) if len(figures.get(name, b"")) in range(1, MOST_BYTES)]
    links = {name: f"figures/{paper.name}/{name}.svg" for name in figures if name not in own}
    (path.parent / "figures" / paper.name).mkdir(parents=True, exist_ok=True)
    for name, address in links.items():
        files.write_bytes(path.parent / address, figures[name])
    shown = [table for table in evidence.tables if table.scale == "paper" or table in evidence.measured]
    shown = [*own_tables(evidence), *shown]  # what a user made is what a user looks for
    shown.sort(key=lambda table: (not table.has_rows, table.scale == "smoke"))  # a smoke run's numbers mean nothing
    made = page.paper_page(
        *(paper.name, paper.title, shown, evidence.here),
        states=evidence.states,
        figures={name: figures[name] for name in own},
        claims=evidence.claims,
        links=links,
        published=evidence.published,
        home=path.name,
        reload_seconds=reload_seconds,
    )
    files.write_text(path.parent / made.address, made.html)
    return dataclasses.replace(made, html="")  # it is written; another process need not carry it here
