"""Commands that read rows and make tables, figures and the report of them.

What they need of scipy and matplotlib is imported inside them: ``plan`` and ``run`` must not wait for it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places, selections
from contrastbench.cli.choosing import AnyScale, Targets


@app.command("table")
@one_line_errors
def show_tables(
    targets: Targets = None,
    scale: AnyScale = None,
    format: Annotated[str, typer.Option(help="terminal, markdown, latex or csv")] = "terminal",
    layout: Annotated[str, typer.Option(help="long (a line a cell), grid (the paper's own) or auto")] = "auto",
) -> None:
    """Published | shipped | here | verdict, for every measured cell."""
    from contrastbench.cli.gathering import gather
    from contrastbench.report.tables import FORMATS, csv_text, latex, markdown, sheet, terminal

    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")
    if scale is not None and scale not in papers.SCALES:
        raise ValueError(f"unknown scale {scale!r}; there are: {', '.join(papers.SCALES)}")
    tables = []
    for selection in selections(targets):
        gathered = gather(selection.paper)
        for problem in gathered.problems:
            complain(problem)
        tables += gathered.chosen(selection, scale)
    if format == "csv":
        typer.echo(csv_text(tables), nl=False)
        return
    for table in tables:
        shown = sheet(table, layout)
        if format == "terminal":
            console.print(terminal(shown))
        else:
            typer.echo(markdown(shown) if format == "markdown" else latex(shown))


@app.command("plot")
@one_line_errors
def plot_rows(
    target: Annotated[str, typer.Argument(help="PAPER\\[/TABLE]")],
    x: Annotated[str | None, typer.Option(help="a number in the config (beta); all standard figures if none")] = None,
    y: Annotated[str | None, typer.Option(help="a metric; the table's own if none")] = None,
    group: Annotated[str, typer.Option(help="a line for each: method, dataset, variant, or a config field")] = "method",
    scale: AnyScale = None,
    out: Annotated[Path | None, typer.Option(help="a folder, or with --x a file ending in .svg or .pdf")] = None,
) -> None:
    """Figures from rows: with --x any ablation curve, else every standard figure of the paper."""
    from contrastbench.cli import drawing
    from contrastbench.cli.gathering import gather

    selection = papers.select(target)
    gathered = gather(selection.paper)
    folder = places.results / "report" / "figures" / selection.paper.name
    if x is None:
        written = drawing.save_standard_figures(gathered, selection, out or folder)
    else:
        y = y or next(cell.metric for scale in papers.SCALES for _, cell in selection.cells(scale))
        figure = drawing.curve_over(gathered, selection, x, y, group, scale)
        written = [drawing.save_figure(figure, out or folder / f"{y}-over-{x}.svg")]
    for path in written:
        console.print(str(path), soft_wrap=True)


@app.command("report")
@one_line_errors
def write_report(
    watch: Annotated[bool, typer.Option("--watch", help="again every few seconds until nothing runs")] = False,
) -> None:
    """Writes results/report/index.html: every table, verdict, figure and run, in one file that needs no server."""
    from contrastbench.cli.drawing import write_page
    from contrastbench.cli.gathering import gather

    while True:
        gathered = [gather(papers.paper(name)) for name in papers.names()]
        again = watch and any(each.states["running"] + each.states["queued"] for each in gathered)
        path = write_page(gathered, reload_seconds=5 if again else None)
        if not again:
            break
        time.sleep(5)
    console.print(f"report: {path}", soft_wrap=True)


@app.command("collect")
@one_line_errors
def collect_rows(
    targets: Targets = None,
    into: Annotated[Path | None, typer.Option(help="the results folder that finished rows are promoted into")] = None,
) -> None:
    """Counts this machine's rows; `--into results` ships them and makes the committed tables and figures anew."""
    from contrastbench.cli import shipping

    for selection in selections(targets):
        rows, problems = shipping.promotable_rows(selection.paper)
        for problem in problems:
            complain(problem)
        console.print(f"{selection.paper.name}: {len(rows)} rows here are done and stand in a table")
        if into is not None and rows:
            console.print(str(shipping.ship(selection.paper, rows, into)), soft_wrap=True)
    if into is not None:
        places.results = into.absolute()
        shipping.write_generated()


@app.command("verify")
@one_line_errors
def verify_results() -> None:
    """Whether rows are whole, committed tables and figures follow from them, and here agrees with shipped."""
    from contrastbench.cli import shipping

    problems = shipping.stale_results()
    console.print(f"shipped rows, tables and figures: {len(problems) or 'no'} problems")
    for name in papers.names():
        agreements, differing = shipping.agreement(papers.paper(name))
        if agreements:
            console.print(f"{name}, here against shipped: {agreements}")
        problems += differing
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(1)
