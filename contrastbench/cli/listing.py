"""Commands that start nothing: what there is to run, and what it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli import completing
from contrastbench.cli.app import app, console, one_line_errors
from contrastbench.cli.before import by_name_only
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.display import cost_of, has_many_cells, plan_grid, priced_by
from contrastbench.cli.options import Scale, Seeds, Settings, Targets
from contrastbench.cli.planning import planned_runs, prices, slots_for
from contrastbench.runner.plan import Expected
from contrastbench.runner.vocabulary import SCALES, Cell, chain
from contrastbench.selection import select


@app.command("list")
@one_line_errors
def list_papers(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="PAPER\\[/TABLE]: with each table's question", autocompletion=completing.targets),
    ] = None,
) -> None:
    """Lists the papers, or a paper's tables with their questions; with the number of cells and runs at each scale."""
    named = ["paper", "tables"] if targets is None else ["paper/table"]
    grid = Grid(*named, *SCALES, box=None, padding=(0, 2, 0, 0))
    lines: list[list[str | Text]] = list(_lines_of_papers() if targets is None else _lines_of_tables(targets))
    for line in lines:
        grid.add_row(*line)
    console.print(grid)
    said = ["cells (runs) at each scale"]
    if any("*" in str(text) for line in lines for text in line):
        said += [f"*: {'more' if targets is None else 'only'} where the table is named, as PAPER/TABLE"]
    if targets is None:
        said += ["`contrastbench list PAPER` has its tables and their questions"]
    console.print("; ".join(said), style="dim")


def _lines_of_papers() -> Iterator[list[str | Text]]:
    """A line for each paper: what a command that names the paper alone does at each scale."""
    for name in papers.names():
        selections = [select(name, scale) for scale in SCALES]
        sizes = (_size(cell for _, cell in each.cells()) + "*" * bool(each.tables_left_out()) for each in selections)
        yield [name, str(len(papers.paper(name).tables)), *sizes]


def _lines_of_tables(targets: Sequence[str]) -> Iterator[list[str | Text]]:
    """Two lines for each table: its sizes, and its question."""
    for selection in asked_for(targets).selections:
        paper = selection.paper
        for name, table in ((name, paper.tables[name]) for name in selection.tables):
            sizes = (_size(paper.cells(name, scale)) + "*" * (scale in table.only_by_name) for scale in SCALES)
            yield [f"{paper.name}/{name}", *sizes]
            yield [Text(table.title, "dim")]


def _size(cells: Iterable[Cell]) -> str:
    cells = list(cells)
    return f"{len(cells)} ({len(chain(run for cell in cells for run in cell.runs))})" if cells else "-"


@app.command("plan")
@one_line_errors
def show_plan(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: the device to estimate the cost for")] = "cpu",
    gpu: Annotated[
        str | None, typer.Option(help="with --device cuda: a part of the name of the GPU to estimate for")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="threads a run")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="runs at a time; as many as fit if not given")] = None,
    runs_per_gpu: Annotated[int, typer.Option(min=1, help="with --device cuda: runs at the same time on a GPU")] = 1,
    profile: Annotated[
        str | None,
        typer.Option(help="estimate for a cluster: a file of slurm/ without .toml", autocompletion=completing.profiles),
    ] = None,
) -> None:
    """Shows what `run` would do: each cell's runs that are done, shipped, failed and to run, and what they would cost.

    The cost comes from rows of the same kind of CPU. With --device cuda it comes from rows of this machine's GPU; if
    this machine has none, from rows of the GPU that most rows name. A stage that computes on the CPU only is priced by
    rows from CPUs.
    """
    planned = planned_runs(targets, scale, seeds, settings)
    there = slots_for(device, slots, threads, runs_per_gpu, profile)
    kind = "cuda" if there.unit == "GPU" else "cpu"
    found = prices(planned, kind, gpu=gpu)
    seconds = {key: price.seconds if price else None for key, price in found.items()}
    console.print(plan_grid(planned, seconds, there, console.width))
    to_run = [each for each in planned if each.is_to_run]
    hours, wall = cost_of(to_run, seconds, there)
    about = f": about {hours} {there.unit} hours, {wall} with {there.count} at a time" if to_run else ""
    console.print(f"{len(to_run)} of {len(planned)} runs to do{about}")
    if has_many_cells(planned):
        console.print("`contrastbench plan PAPER/TABLE` shows a table's cells", style="dim")
    if kind == "cuda":
        console.print(priced_by(found[each.run.key] for each in to_run), soft_wrap=True)
    if expected := sum(isinstance(found[each.run.key], Expected) for each in to_run):
        console.print(f"no row is like {expected} of them: their cost is estimated from the measured time of a step")
    if "?" in hours:
        console.print("?: nothing similar was measured on this kind of device; a first run tells the cost of its like")
    say_by_name(targets, scale)


def say_by_name(targets: Sequence[str] | None, scale: str) -> None:
    """Says how many tables of whole papers the command leaves out, because they are run by name only."""
    if counts := Counter(name.partition("/")[0] for name in by_name_only(targets, scale)):
        said = ", ".join(f"{count} tables of {paper}" for paper, count in counts.items())
        console.print(f"run by name only: {said} (`contrastbench list PAPER` has their names)", style="dim")
