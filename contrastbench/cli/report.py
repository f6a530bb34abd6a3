"""Commands that show what rows say: `claims`, `table`, `plot` and `report`.

What they need of scipy and matplotlib is imported inside them: ``plan`` and ``run`` must not wait for it.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import Folders, command, complain_of, complaints, console, echo, grid_of, note
from contrastbench.cli.options import AnyScale, Watch, WhichAtAnyScale, complete_target, one_of
from contrastbench.cli.plan import WIDE_ENOUGH
from contrastbench.runner.vocabulary import SCALES
from contrastbench.selection import Selection, select

if TYPE_CHECKING:
    from contrastbench.verdicts.cells import JoinedTable

OUTCOMES = {  # of a claim: its sign and colour; named here because the statistics take a second to import
    **{"holds": ("✓", "green"), "fails": ("✗", "red")},
    **{"undecided": ("?", "yellow"), "not run": ("–", "dim")},
}
TELLING = 5  # claims shown of all papers

FORMATS = ("terminal", "markdown", "latex", "csv")


@command("claims")
def show_claims(
    folders: Folders,
    paper: Annotated[
        str | None,
        typer.Argument(help="a paper; the most telling of all if not given", autocompletion=one_of(papers.names)),
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="only from rows made on this machine, without shipped ones")
    ] = False,
) -> None:
    """Shows what the papers claim and whether it holds: with PAPER every claim of it, with its effect and interval."""
    from contrastbench.evidence import gather
    from contrastbench.verdicts.judging import count_outcomes, most_telling

    names = [paper] if paper else papers.names()
    gathered = [gather(papers.paper(name), folders.runs, folders.results) for name in names]
    evidence = [dataclasses.replace(each, shipped=[]) if here else each for each in gathered]
    judged = {each.paper.name: each.claims for each in evidence if each.claims}
    if not judged:
        raise ValueError(f"{paper} declares no claims" if paper else "no paper declares claims")
    if paper:
        grid = grid_of("", "claim", "printed in", "found")
        for column, ratio in zip(grid.columns, (None, 3, 1, 3), strict=True):
            column.ratio = ratio
        for each in judged[paper]:
            found = "; ".join(filter(None, (each.facts, each.remark)))
            sign = Text(*OUTCOMES[each.outcome])
            grid.add_row(sign, each.claim.sentence, each.claim.where, found or str(each.outcome))
        console.print(grid)
    else:
        for name, claims in judged.items():
            console.print(Text.assemble((f"{name}: ", "bold"), count_outcomes(claims)), soft_wrap=True)
        for _, each in most_telling(judged, TELLING):
            console.print(claim_line(each.outcome, each.claim.sentence, each.facts))
    console.print(
        "Effects are means of differences in pairs by seed, with their 95 % interval. Holm's correction over all of a "
        "paper's claims decides, so one whose interval leaves out 0 may be undecided.",
        style="dim",
    )


def claim_line(outcome: str, sentence: str, facts: str) -> Text:
    return Text.assemble(OUTCOMES[outcome], f" {sentence} ", (facts, "dim"))


@command("table")
def show_tables(
    folders: Folders,
    which: WhichAtAnyScale,
    format: Annotated[str, typer.Option(help="terminal, markdown, latex or csv")] = "terminal",
) -> None:
    """Prints measured cells at the largest scale with rows: published | shipped | here | verdict; yours first."""
    from contrastbench.report.tables import cells_frame, csv_text, latex, markdown, sheet

    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")
    tables = [pair for selection in which.read().selections for pair in _tables(selection, folders)]
    if format == "csv":
        echo(csv_text(cells_frame(table for table, _ in tables)))
        return
    for table, is_whole in tables:
        if format == "terminal":
            print_table(table, analysis=is_whole)
        else:
            echo((markdown if format == "markdown" else latex)(sheet(table, analysis=is_whole)) + "\n")
    if not tables:
        console.print(
            "nothing is measured of this yet; `contrastbench run` does it, --scale shows what there is to run"
        )


def print_table(table: JoinedTable, *, analysis: bool) -> None:
    """Prints a table; in a narrow terminal a cell's numbers stand in lines below each other."""
    from contrastbench.report.tables import sheet, terminal

    layout = "auto" if console.width >= WIDE_ENOUGH else "grid"
    console.print(terminal(sheet(table, layout, analysis=analysis), console.width))


def _tables(selection: Selection, folders: Folders) -> list[tuple[JoinedTable, bool]]:
    """The user's own tables, then the selected; each with whether it has all its cells. Says other scales on stderr.

    A table with a part of its cells is not tested: Holm's correction is over all claims of a table.
    """
    from contrastbench.evidence import gather, own_tables

    evidence = gather(selection.paper, folders.runs, folders.results)
    complain_of(evidence.problems)
    for line in evidence.notes:
        note(f"{selection.paper.name}: {line}")
    declared = evidence.select(selection)
    every_own = [] if selection.seeds or selection.settings else own_tables(evidence)
    own = [
        table
        for table in every_own
        if table.name in selection.tables and table.scale in selection.scales
        if any(selection.names(cell.name, cell.dataset, cell.method) for cell in table.cells)
    ]
    if selection.cell and not declared and not own and not selection.cells(every_table=True):
        raise selection.unknown_cell(cell.name for table in every_own for cell in table.cells)
    measured = {table.scale for table in evidence.measured if table.name in selection.tables}
    other_scales = sorted(measured - {table.scale for table in (*declared, *own)}, key=SCALES.index)
    if other_scales and not selection.scale:
        complaints.print(f"{selection.paper.name} is also measured at: {', '.join(other_scales)} (see --scale)")
    cells = {(table.name, table.scale): len(table.cells) for table in evidence.tables}
    whole = [len(table.cells) == cells[table.name, table.scale] for table in declared]
    return [*((table, True) for table in own), *zip(declared, whole, strict=True)]


@command("plot")
def plot_rows(
    folders: Folders,
    target: Annotated[str, typer.Argument(help="PAPER\\[/TABLE\\[/CELL]]", autocompletion=complete_target)],
    x: Annotated[
        str | None, typer.Option(help="a number in the config, as beta; all standard figures if not given")
    ] = None,
    y: Annotated[str | None, typer.Option(help="a metric; the table's own if not given")] = None,
    group: Annotated[
        str, typer.Option(help="with --x, what has a line: method, dataset, variant or a field")
    ] = "method",
    values: Annotated[bool, typer.Option("--values", help="with --x: the metric itself in place of gains")] = False,
    scale: AnyScale = None,
    out: Annotated[Path | None, typer.Option(help="a folder, or with --x a .svg, .pdf or .png file")] = None,
) -> None:
    """Draws every standard figure from rows.

    With --x it draws one: gains over the baseline in pairs by seed, or the metric where no baseline was measured.
    """
    from contrastbench import drawing
    from contrastbench.evidence import gather
    from contrastbench.report import style

    selection = select(target)
    evidence = gather(selection.paper, folders.runs, folders.results)
    folder = folders.report / "figures" / selection.paper.name
    if x is None:
        if out and out.suffix in (".svg", ".pdf", ".png"):
            raise ValueError(f"--out {out} is one file, and without --x there are several; give a folder, or --x")
        written = drawing.save_standard_figures(evidence, selection, out or folder)
        if not written:
            raise ValueError(f"nothing of {target} is measured yet, so there is nothing to draw")
        console.print(f"{len(written)} files (SVG and PDF) of {len(written) // 2} figures in {out or folder}")
        return
    figure, metric = drawing.curve_over(evidence, selection, x, y, group, scale, values=values)
    path = style.save(figure, out or folder / f"{metric}-over-{x}.svg")
    console.print(f"1 file: {path}", soft_wrap=True)


@command("report")
def write_report(
    folders: Folders,
    watch: Watch = False,
    out: Annotated[Path | None, typer.Option(help="the summary's file; results/report/index.html if not given")] = None,
) -> None:
    """Writes HTML pages, a summary and one a paper: every table, figure and run, yours too. It needs no server."""
    from contrastbench.drawing import write_page
    from contrastbench.evidence import gather

    path = out or folders.report / "index.html"
    while True:
        evidence = [gather(papers.paper(name), folders.runs, folders.results) for name in papers.names()]
        again = watch and any(each.states["running"] + each.states["queued"] for each in evidence)
        write_page(evidence, path, reload_seconds=5 if again else None)
        if not again:
            break
        time.sleep(5)
    console.print(f"report: {path}", soft_wrap=True)
