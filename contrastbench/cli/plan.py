"""Commands that start nothing: `list` says what there is to run, `plan` what is left to do and what it would cost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import Folders, command, console, grid_of
from contrastbench.cli.options import ProfileName, Which, complete_target
from contrastbench.cli.planning import Prices, planned_runs, prices, slots_for
from contrastbench.runner.plan import Expected, Planned, Price, Slots
from contrastbench.runner.states import FAILURES
from contrastbench.runner.vocabulary import SCALES, Cell, chain, duration
from contrastbench.selection import Targets as AskedFor
from contrastbench.selection import read_targets, select

WIDE_ENOUGH = 100  # characters; a narrower terminal has fewer columns
MOST_CELLS = 60  # more than these a plan does not show one by one
COUNTS = ("done", "shipped", "failed", "running", "to run")


@command("list")
def list_papers(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="PAPER\\[/TABLE]: with each table's question", autocompletion=complete_target),
    ] = None,
) -> None:
    """Lists the papers, or a paper's tables with their questions; with the number of cells and runs at each scale."""
    grid = grid_of(*(["paper/table"] if targets else ["paper", "tables"]), *SCALES)
    lines = list(_lines_of_tables(read_targets(targets)) if targets else _lines_of_papers())
    for line in lines:
        grid.add_row(*line)
    console.print(grid)
    notes = ["cells (runs) at each scale"]
    if any("*" in str(text) for line in lines for text in line):
        notes += [f"*: {'only' if targets else 'more'} where the table is named, as PAPER/TABLE"]
    if not targets:
        notes += ["`contrastbench list PAPER` has its tables and their questions"]
    console.print("; ".join(notes), style="dim")


def _lines_of_papers() -> Iterator[list[str | Text]]:
    """A line for each paper: what a command that names the paper alone does at each scale."""
    for name in papers.names():
        selections = [select(name, scale) for scale in SCALES]
        sizes = (_size(cell for _, cell in each.cells()) + "*" * bool(each.tables_left_out()) for each in selections)
        yield [name, str(len(papers.paper(name).tables)), *sizes]


def _lines_of_tables(asked: AskedFor) -> Iterator[list[str | Text]]:
    """Two lines for each table: its sizes, and its question."""
    for selection in asked.selections:
        paper = selection.paper
        for name, table in ((name, paper.tables[name]) for name in selection.tables):
            sizes = (_size(paper.cells(name, scale)) + "*" * (scale in table.only_by_name) for scale in SCALES)
            yield [f"{paper.name}/{name}", *sizes]
            yield [Text(table.title, "dim")]


def _size(cells: Iterable[Cell]) -> str:
    cells = list(cells)
    return f"{len(cells)} ({len(chain(run for cell in cells for run in cell.runs))})" if cells else "-"


@command("plan")
def show_plan(
    folders: Folders,
    which: Which,
    device: Annotated[str, typer.Option(help="cpu or cuda: the device to estimate the cost for")] = "cpu",
    profile: ProfileName = None,
) -> None:
    """Shows what `run` would do: each cell's runs that are done, shipped, failed and to run, and what they would cost.

    The cost comes from rows of the runs most alike: those of this machine's CPU or, with --device cuda, of its GPU;
    where it has none, those of the CPU or GPU that most rows name. A stage that computes on the CPU only is priced by
    rows from CPUs.
    """
    asked = which.read()
    planned = planned_runs(asked, folders)
    there = slots_for(device, profile)
    known = prices(planned, "cuda" if there.unit == "GPU" else "cpu", folders.results)
    many_cells = len({place for each in planned for place in _places(each)}) > MOST_CELLS
    console.print(plan_grid(planned, known, there, console.width, by_table=many_cells))
    to_run = [each for each in planned if each.is_to_run]
    hours, wall = cost_of(to_run, known, there)
    about = f": about {hours} {there.unit} hours, {wall} with {there.count} at a time" if to_run else ""
    console.print(f"{len(to_run)} of {len(planned)} runs to do{about}")
    if many_cells:
        console.print("`contrastbench plan PAPER/TABLE` shows a table's cells", style="dim")
    if said := priced_by(known[each.run.key] for each in to_run):
        console.print(said, soft_wrap=True)
    if expected := sum(isinstance(known[each.run.key], Expected) for each in to_run):
        console.print(f"no row is like {expected} of them: their cost is estimated from the time of a step")
    if "?" in hours:
        console.print("?: nothing similar was measured; a first run tells the cost of its like")
    say_what_is_left_out(asked)


def say_what_is_left_out(asked: AskedFor) -> None:
    """Says which methods do not use the settings, whose settings a data set takes, and which tables need their name."""
    if methods := dict.fromkeys(method for each in asked.selections for method in each.methods_left_out()):
        console.print(f"left out, since they do not use the settings: {', '.join(methods)}", soft_wrap=True)
    for selection in asked.selections:
        taken, others = selection.data_sets_inherited()
        if others:
            named = f"{selection.paper.name}/{selection.tables[0]}/{others[0]}"
            console.print(
                f"other settings are those of {', '.join(taken)}; `{named}` has those of {others[0]}", style="dim"
            )
    counts = {each.paper.name: len(each.tables_left_out()) for each in asked.selections}
    if some := ", ".join(f"{count} table{'s' * (count > 1)} of {paper}" for paper, count in counts.items() if count):
        console.print(f"run by name only: {some} (`contrastbench list PAPER` has their names)", style="dim")


# ------------------------------------------------------------------------------------------------- how a plan is shown


def plan_grid(
    planned: Iterable[Planned], known: Prices, slots: Slots, width: int = 160, *, by_table: bool = False
) -> Grid:
    """A line per cell: how many of its runs are done, shipped, failed and to run, and what the last would cost.

    Columns that count nothing are left out, so that a plan fits 80 characters.

    Args:
        by_table: a line per table, where the cells would fill more than a screen.
    """
    lines: dict[tuple[str, str], dict[str, Planned]] = {}  # table and cell, or table alone -> runs by key
    for each in planned:
        for table, cell in _places(each):
            lines.setdefault((table, "" if by_table else cell), {})[each.run.key] = each
    counts = {line: _counts(runs.values()) for line, runs in lines.items()}
    shown = [name for name in COUNTS if any(of_line[name] for of_line in counts.values())]
    hours = [f"{slots.unit} hours"] if width >= WIDE_ENOUGH else []
    numbers = [*shown, *hours, "wall time"]
    grid = grid_of("table" if by_table else "cell", *numbers, right=numbers)
    tables = list(dict.fromkeys(table for table, _ in lines))
    last = ""
    for table, cell in sorted(lines, key=lambda line: tables.index(line[0])):
        if cell and table != last:
            grid.add_row(Text(last := table, "bold"))
        spent = cost_of([each for each in lines[table, cell].values() if each.is_to_run], known, slots)
        counted = (str(counts[table, cell][name] or "") for name in shown)
        grid.add_row(f"  {cell}" if cell else table, *counted, *spent[:1] * len(hours), spent[1])
    return grid


def _places(planned: Planned) -> list[tuple[str, str]]:
    """The tables and cells in which a run is counted; a run that only others need is counted under its stage."""
    return [(f"{planned.run.paper}/{table}, {planned.run.scale} scale", cell) for table, cell in planned.places]


def _counts(runs: Iterable[Planned]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in runs:
        counts["shipped"] += each.shipped
        counts["to run"] += each.is_to_run
        counts["done"] += each.state.name == "done"
        counts["failed"] += each.state.name in FAILURES
        counts["running"] += each.state.name in ("running", "queued")
    return counts


def cost_of(to_run: Iterable[Planned], known: Prices, slots: Slots) -> tuple[str, str]:
    """Device hours and wall time of the runs, with a ``?`` if some run's cost is unknown."""
    of_runs = [known.get(each.run.key) for each in to_run]
    seconds = [price.seconds for price in of_runs if price]
    if not seconds:
        return ("?", "?") if of_runs else ("", "")
    more = " + ?" if len(seconds) < len(of_runs) else ""
    return f"{slots.device_hours(seconds):.2f}{more}", f"{duration(slots.wall_hours(seconds))}{more}"


def priced_by(prices: Iterable[Price | None]) -> str:
    """``28 runs are priced by rows from NVIDIA H100 80GB HBM3``: which devices the prices come from."""
    devices = Counter(price.device for price in prices if price and not isinstance(price, Expected))
    return "; ".join(
        f"{count} {'run is' if count == 1 else 'runs are'} priced by rows from {name}"
        for name, count in devices.items()
    )
