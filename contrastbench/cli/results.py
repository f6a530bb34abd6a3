"""Commands that read rows and make tables, figures and the report of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places, selections
from contrastbench.cli.gathering import Gathered, gather, generated_files, markdown_with_tables
from contrastbench.cli.planning import Targets
from contrastbench.report import blocks, html, plots, provenance, style
from contrastbench.report.join import JoinedTable
from contrastbench.report.tables import FORMATS, csv_text, latex, markdown, sheet, terminal
from contrastbench.runner import files
from contrastbench.runner.provenance import PROJECT, git, host, versions
from contrastbench.runner.rows import Row, rows_here, rows_shipped, write_shipped

AnyScale = Annotated[str | None, typer.Option(help="smoke, quick, lite or paper; every measured one if not given")]


@app.command("table")
@one_line_errors
def show_tables(
    targets: Targets = None,
    scale: AnyScale = None,
    format: Annotated[str, typer.Option(help="terminal, markdown, latex or csv")] = "terminal",
    layout: Annotated[str, typer.Option(help="long (a line a cell), grid (the paper's own) or auto")] = "auto",
) -> None:
    """Published | shipped | here | verdict, for every measured cell."""
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")
    tables = _chosen_tables(targets, scale)
    if format == "csv":
        typer.echo(csv_text(tables), nl=False)
        return
    for table in tables:
        shown = sheet(table, layout)
        if format == "terminal":
            console.print(terminal(shown))
        else:
            typer.echo(markdown(shown) if format == "markdown" else latex(shown))


def _chosen_tables(targets: list[str] | None, scale: str | None) -> list[JoinedTable]:
    """The tables that the targets name; where no scale is given, those with a row."""
    if scale is not None and scale not in papers.SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(papers.SCALES)}")
    chosen: list[JoinedTable] = []
    for selection in selections(targets):
        gathered = gather(selection.paper)
        for problem in gathered.problems:
            complain(problem)
        there = gathered.tables if scale else gathered.measured
        chosen += [table for table in there if table.name in selection.tables and scale in (None, table.scale)]
    return chosen


@app.command("plot")
@one_line_errors
def plot_rows(
    target: Annotated[str, typer.Argument(help="PAPER[/TABLE]")],
    x: Annotated[str | None, typer.Option(help="a number in the config (beta); all standard figures if none")] = None,
    y: Annotated[str | None, typer.Option(help="a metric; the table's own if none")] = None,
    group: Annotated[str, typer.Option(help="a line for each: method, dataset, variant, or a config field")] = "method",
    scale: AnyScale = None,
    out: Annotated[Path | None, typer.Option(help="a folder, or with --x a file ending in .svg or .pdf")] = None,
) -> None:
    """Figures from rows: with --x any ablation curve, else every standard figure of the paper."""
    selection = papers.select(target)
    gathered = gather(selection.paper)
    folder = places.results / "report" / "figures" / selection.paper.name
    if x is None:
        for name, figure in gathered.figures().items():
            if len(selection.tables) > 1 or name.startswith(selection.tables[0]):
                written = style.save(figure, (out or folder) / name)
                console.print(*(str(path) for path in written), soft_wrap=True)
        return
    keys = {run.key for each in papers.SCALES for _, cell in selection.cells(each) for run in cell.runs}
    whole = "/" not in target  # a paper's rows with changed settings (--set) stand in no table
    rows = [row for row in gathered.rows if scale in (None, row["scale"]) and (whole or row["key"] in keys)]
    y = y or _usual_metric(selection)
    figure = plots.curve(plots.curves_of_rows(rows, x, y, group), x, y)
    _write_figure(figure, out or folder / f"{y}-over-{x}.svg")


def _usual_metric(selection: papers.Selection) -> str:
    return next(cell.metric for scale in papers.SCALES for _, cell in selection.cells(scale))


def _write_figure(figure, path: Path) -> None:
    makers = {".svg": style.svg_bytes, ".pdf": style.pdf_bytes}
    if path.suffix not in makers:
        raise ValueError(f"a figure's file must end in {' or '.join(makers)}, got {path.name!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, makers[path.suffix](figure))
    console.print(str(path), soft_wrap=True)


@app.command("report")
@one_line_errors
def write_report(
    watch: Annotated[bool, typer.Option("--watch", help="again whenever a run ends, until nothing runs")] = False,
) -> None:
    """Writes results/report/index.html: every table, verdict, figure and run, in one file that needs no server."""
    path = places.results / "report" / "index.html"
    while True:
        gathered = [gather(papers.paper(name)) for name in papers.names()]
        active = sum(each.states["running"] + each.states["queued"] for each in gathered)
        html.build(_report_input(gathered, reload_seconds=5 if watch and active else None), path)
        if not (watch and active):
            break
        time.sleep(5)
    console.print(f"report: {path}", soft_wrap=True)


def _report_input(gathered: Sequence[Gathered], reload_seconds: int | None) -> html.ReportInput:
    return html.ReportInput(
        papers=[_paper_input(each) for each in gathered],
        provenance=_provenance(),
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        problems=[problem for each in gathered for problem in each.problems],
        reload_seconds=reload_seconds,
    )


def _paper_input(gathered: Gathered) -> html.PaperInput:
    figures = [
        html.FigureInput(name, name.replace("-", " ").replace("_", " "), style.svg_bytes(figure))
        for name, figure in gathered.figures().items()
    ]
    shown = [table for table in gathered.tables if table.scale == "paper" or table in gathered.measured]
    paper = gathered.paper
    return html.paper_input(paper.name, paper.title, shown, gathered.here, states=gathered.states, figures=figures)


def _provenance() -> dict[str, str]:
    commit = f"{git()['commit']}{' (changed)' if git()['dirty'] else ''}"
    return {"commit": commit, "machine": f"{host()['machine']}, {host()['cpu']}", **versions()}


@app.command("collect")
@one_line_errors
def collect_rows(
    targets: Targets = None,
    into: Annotated[Path | None, typer.Option(help="the results folder that finished rows are promoted into")] = None,
) -> None:
    """Counts this machine's rows; `--into results` ships them and makes the committed tables and figures anew."""
    for selection in selections(targets):
        promoted = _promotable(selection.paper)
        if into is not None and promoted:
            kept = {row["key"]: row for row in rows_shipped(into, selection.paper.name)}
            path = write_shipped(into, selection.paper.name, {**kept, **promoted}.values())
            console.print(f"{path}: {len({**kept, **promoted})} rows", soft_wrap=True)
    if into is not None:
        places.results = into.absolute()
        _write_generated()


def _promotable(paper: papers.Paper) -> dict[str, Row]:
    """The paper's finished rows here that a table declares.

    Raises:
        ValueError: some come from a checkout with changes that no commit holds.
    """
    here, problems = rows_here(places.runs, paper.name)
    for problem in problems:
        complain(problem)
    declared = {run.key for _, cell in paper.all_cells() for run in cell.runs}
    promotable = {row["key"]: row for row in here if row["status"] == "done" and row["key"] in declared}
    console.print(f"{paper.name}: {len(here)} rows here, {len(promotable)} of them done and in a table")
    if changed := sum(row["git"]["dirty"] is not False for row in promotable.values()):
        raise ValueError(f"{changed} rows of {paper.name} come from a changed checkout; run them from a commit")
    return promotable


def _write_generated() -> None:
    """Tables, figures, the tables inside Markdown files, and the manifest, all from the shipped rows."""
    gathered = [gather(papers.paper(name), with_here=False) for name in papers.names()]
    for each in gathered:
        for path, content in generated_files(each, places.results).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)
    tables = [table for each in gathered for table in each.tables]
    for path, name in markdown_with_tables([each.paper for each in gathered], PROJECT):
        if path.exists():
            blocks.fill_file(path, tables, name)
    console.print(str(provenance.write_manifest(places.results)), soft_wrap=True)


@app.command("verify")
@one_line_errors
def verify_results() -> None:
    """Whether rows are whole, committed tables and figures follow from them, and here agrees with shipped."""
    problems = provenance.check_manifest(places.results)
    gathered = [gather(papers.paper(name), with_here=False) for name in papers.names()]
    for each in gathered:
        problems += provenance.check_rows(each.shipped, f"results/{each.paper.name}/rows.jsonl")
        problems += _stale(each)
    tables = [table for each in gathered for table in each.tables]
    for path, name in markdown_with_tables([each.paper for each in gathered], PROJECT):
        problems += blocks.check_file(path, tables, name) if path.exists() else [f"{path} is missing"]
    rows = sum(len(each.shipped) for each in gathered)
    console.print(f"{rows} shipped rows, their tables and figures: {len(problems) or 'no'} problems")
    for each in gathered:
        _say_agreement(each)
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)


def _stale(gathered: Gathered) -> list[str]:
    """Tables are compared byte by byte; a figure by the digest of the rows that it names, since its strokes depend on
    the version of matplotlib."""
    made = generated_files(gathered, places.results)
    texts = {path: content for path, content in made.items() if path.suffix != ".svg"}
    digest = provenance.rows_digest(gathered.shipped)
    problems = provenance.check_generated(texts)
    for path in (path for path in made if path.suffix == ".svg"):
        if not path.exists():
            problems.append(f"{path} is missing; make it again from the rows")
        elif digest not in path.read_text():
            problems.append(f"{path} was made from other rows; make it again")
    return problems


def _say_agreement(gathered: Gathered) -> None:
    """One line: how the rows made here compare with the shipped ones of the same keys."""
    here, _ = rows_here(places.runs, gathered.paper.name)
    compared = provenance.compare_rows(here, gathered.shipped)
    counts = {
        word: sum(said == word for _, _, said in compared) for word in ("bit for bit", "other machine", "differs")
    }
    if compared:
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        console.print(f"{gathered.paper.name}: {len(compared)} rows here have a shipped one: {said}")
    for mine, _, word in compared:
        if word == "differs":
            complain(f"row {mine['key'][:12]} differs from the shipped one on the same kind of machine")
