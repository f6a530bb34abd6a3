"""`contrastbench try`: checks a loss of the user's own, trains with it in the arena, and shows it among its rivals."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import Folders, command, complain, console, grid_of
from contrastbench.cli.launch import check_options, launch, with_data
from contrastbench.cli.options import How, Scale, Seeds, Settings, seed_numbers, settings_by_name
from contrastbench.cli.run import say_what_became
from contrastbench.names import unknown
from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.plan import Planned, plan
from contrastbench.runner.rows import Row, rows_shipped
from contrastbench.runner.states import folder_of
from contrastbench.runner.vocabulary import Cell

if TYPE_CHECKING:
    from contrastbench.losses.own import OwnLoss

PAPER, TABLE, BASELINE = "loss_arena", "arena", "NT-Xent"
SIGNS = {"ok": ("✓", "green"), "yes": ("·", ""), "no": ("·", ""), "fails": ("✗", "red")}
WIDTH_OF_NAMES, WIDTH_OF_COLUMN = 34, 24  # characters
NOTE = (
    "Each cell has the mean (seeds), and below it the paired difference to NT-Xent with its 95 % interval. Bold marks "
    "the best of a column if it differs from NT-Xent even after Bonferroni's correction over the column. ms is one "
    "forward and backward pass of the loss alone, at 256 x 128, on this machine. {scale} scale: {metrics}."
)


@command("try")
def try_loss(
    folders: Folders,
    loss: Annotated[
        str, typer.Argument(help="FILE.py:FUNCTION; the function takes (z_a, z_b, *, ...), returns a scalar")
    ],
    how: How,
    settings: Settings = None,
    on: Annotated[str, typer.Option(help="kinds of data: images,graphs,sentences,sequences; all if not given")] = "",
    seeds: Seeds = "3",
    scale: Scale = "quick",
    out: Annotated[Path | None, typer.Option(help="the figure's file; FUNCTION.svg here if not given")] = None,
) -> None:
    """Checks a loss of your own, trains with it on every kind of data, and shows it beside the catalogue's losses.

    The file, and what it imports from beside it, are part of each run's identity: after a change it is another loss.
    """
    from contrastbench.evidence import gather
    from contrastbench.losses import own

    check_options(how)
    given = tuple(f"{name}={text}" for name, text in settings_by_name(settings).items())
    mine = own.read(loss)
    cells, rivals = _cells(mine, given, on, scale, seed_numbers(seeds) or [])
    function, values = mine.function(), own.settings_of(given)
    _check(mine.name, function, values)
    planned = with_data(_planned(cells, rivals, folders))
    for each in planned:
        if each.is_to_run and each.run.config.sha256:
            mine.copy_to(folder_of(each.run, folders.runs) / own.FOLDER)
    to_run = [each for each in planned if each.state.name in states.UNFINISHED]
    console.print(f"{len(planned)} runs, {len(to_run)} to do")
    launch(to_run, how, folders.runs)
    known = {row["key"]: row for row in gather(papers.paper(PAPER), folders.runs, folders.results).rows}
    rows = [known[run.key] for cell in (*rivals, *cells) for run in cell.runs if run.key in known]
    _print_table([*rivals, *cells], rows, functools.partial(function, **values), scale)
    _draw(rows, out or Path(f"{mine.name.partition(':')[2]}.svg"))
    keys = {each.run.key for each in planned}
    say_what_became([each for each in _planned(cells, rivals, folders) if each.run.key in keys])


def _cells(
    mine: OwnLoss, given: tuple[str, ...], on: str, scale: str, seeds: Sequence[int]
) -> tuple[list[Cell], list[Cell]]:
    """The cells of the user's loss and those of its rivals, on the kinds of data that were asked for."""
    paper = papers.paper(PAPER)
    kinds = [kind for kind in on.split(",") if kind] or list(paper.stages)
    for kind in kinds:
        if kind not in paper.stages:
            raise unknown("kind of data", kind, paper.stages)
    if not paper.cells(TABLE, scale):
        scales = [each for each in paper.tables[TABLE].scales if paper.cells(TABLE, each)]
        raise unknown("scale", scale, scales, "the arena has")
    yours = paper.load("tables.yours")(mine.name, given, mine.sha256, scale, seeds)
    both = (yours, paper.cells(TABLE, scale, seeds))
    own, rivals = ([cell for cell in cells if cell.runs[0].stage in kinds] for cells in both)
    return own, rivals


def _check(name: str, loss: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Prints the checks as they are done.

    Raises:
        typer.Exit: no encoder can be trained by this loss.
    """
    from contrastbench.losses.checking import findings, is_usable

    found = []
    for each in findings(loss, **settings):
        found.append(each)
        sign, style = SIGNS.get(each.outcome, ("–", "yellow"))
        said = ": ".join(filter(None, [each.outcome if each.outcome != "ok" else "", each.finding]))
        if each.outcome != "not tried" or each.finding:
            console.print(Text.assemble((sign, style), f" {each.check:<24}{said}"), soft_wrap=True)
    failed = sum(each.outcome == "fails" for each in found)
    if not is_usable(found):
        complain(f"{name} cannot be trained with, so nothing was started")
        raise typer.Exit(1)
    console.print(f"{name}: {failed or 'no'} check{'s' * (failed != 1)} failed")


def _planned(cells: Iterable[Cell], rivals: Iterable[Cell], folders: Folders) -> list[Planned]:
    """The runs of the user's loss, and those of NT-Xent that have no row, neither here nor shipped."""
    shipped = frozenset(row["key"] for row in rows_shipped(folders.results, PAPER) if row["status"] == "done")
    wanted = [(TABLE, cell) for cell in (*[each for each in rivals if each.method == BASELINE], *cells)]
    planned = plan(wanted, folders.runs, shipped, slurm_queue.still_queued())
    return [each for each in planned if not each.shipped or each.state.name == "done"]


# ------------------------------------------------------------------------------------------------- what is shown of it


def _print_table(cells: Sequence[Cell], rows: Sequence[Row], function: Callable[..., Any], scale: str) -> None:
    """A line for each loss, the user's last, and a column for each data set: the mean, the difference to NT-Xent."""
    paper, yours = papers.paper(PAPER), cells[-1].method
    found = paper.load("outcome.against_baseline")(rows)
    times = paper.load("losses.milliseconds")(**{yours: function})
    places = {(each.method, each.dataset): each for each in found}
    statuses = {(cell.method, cell.dataset): "not run" for cell in cells}
    statuses |= {(row["method"], row["dataset"]): row["status"] for row in rows}
    datasets = list(dict.fromkeys(each.dataset for each in found))
    at_once = max(1, (console.width - WIDTH_OF_NAMES) // WIDTH_OF_COLUMN)
    for start in range(0, len(datasets), at_once):
        some = datasets[start : start + at_once]
        grid = grid_of("", *some, "ms", right=("ms",))
        for method in dict.fromkeys(cell.method for cell in sorted(cells, key=lambda cell: cell.method == yours)):
            texts = [_cell_text(places.get((method, name)), statuses.get((method, name), "")) for name in some]
            time = f"{times[method]:.1f}" if method in times else ""
            grid.add_row(Text(method, "bold cyan" if method == yours else ""), *texts, time)
        console.print(grid)
    metric_of = paper.load("tables.metric_of")
    metrics = dict.fromkeys(f"{row['dataset']} {metric_of(row['stage'], scale)}" for row in rows)
    console.print(NOTE.format(scale=scale, metrics=", ".join(metrics)), style="dim")


def _cell_text(each: Any, status: str) -> Text:
    if each is None:
        return Text(status, "dim" if status == "not run" else "red")
    text = Text(f"{each.mean:.2f} ({each.seeds})", "bold" if each.is_best and each.is_real else "")
    if each.interval and not math.isnan(each.difference) and each.interval.low != each.interval.high:
        text.append(f"\n{each.difference:+.2f} [{each.interval.low:+.2f}, {each.interval.high:+.2f}]", "not bold dim")
    return text


def _draw(rows: Sequence[Row], path: Path) -> None:
    from contrastbench.report import style

    draw: Mapping[str, Callable[..., Any]] = papers.paper(PAPER).load("figures.FIGURES")
    with style.styled():
        figure = draw["arena"](rows)
    if figure:
        console.print(f"figure: {style.save(figure, path)}", soft_wrap=True)
