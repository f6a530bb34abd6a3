"""Commands that start runs and say what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli.app import app, complain, console, one_line_errors, places, selections
from contrastbench.cli.choosing import Scale, Seeds, Settings, Targets
from contrastbench.cli.display import COLOURS, Display, cost_of, counted, plan_grid
from contrastbench.cli.planning import costs, planned_runs, slots_for
from contrastbench.data import catalogue
from contrastbench.runner import cost, states
from contrastbench.runner.execute import folder_of
from contrastbench.runner.launchers import Job, Outcome, inline, local
from contrastbench.runner.plan import Planned, write_tickets
from contrastbench.runner.profiles import read_profile
from contrastbench.runner.vocabulary import Run, resolved

Start = Callable[[Sequence[Job], Display], Outcome]  # a launcher with its options settled


@app.command("list")
@one_line_errors
def list_papers(
    targets: Annotated[list[str] | None, typer.Argument(help="PAPER\\[/TABLE]: with each table's question")] = None,
) -> None:
    """The papers, their tables, and how many cells and runs each has at each scale."""
    grid = Grid("paper/table", *papers.SCALES, box=None, padding=(0, 2, 0, 0))
    for selection in selections(targets):
        paper = selection.paper
        for table in selection.tables:
            grid.add_row(f"{paper.name}/{table}", *(_size(paper, table, scale) for scale in papers.SCALES))
            if targets:
                grid.add_row(Text(paper.tables[table].title, "dim"))
    console.print(grid)
    more = "" if targets else "; `contrastbench list PAPER` adds each table's question"
    console.print(f"cells (runs) at each scale{more}", style="dim")


def _size(paper: papers.Paper, table: str, scale: str) -> str:
    cells = paper.cells(table, scale)
    return f"{len(cells)} ({len({run.key for cell in cells for run in cell.runs})})" if cells else "-"


@app.command("plan")
@one_line_errors
def show_plan(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; what the cost is estimated for")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="threads a run")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="runs at a time; as many as fit where not given")] = None,
    runs_per_gpu: Annotated[int, typer.Option(min=1)] = 1,
    profile: Annotated[str | None, typer.Option(help="count for a cluster: a file of slurm/ without .toml")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="begin runs that nothing like was measured for")] = False,
) -> None:
    """What `run` would do: per cell the runs done, shipped, failed and to run, with the estimated cost.

    The cost comes from rows measured on the same kind of device, else, with --probe, from a run's first epochs.
    """
    planned = planned_runs(targets, scale, seeds, settings)
    there = slots_for(device, slots, threads, runs_per_gpu, profile)
    seconds = costs(planned, "cuda" if there.unit == "GPU" else "cpu", probe=probe)
    console.print(plan_grid(planned, seconds, there, console.width))
    to_run = [each for each in planned if each.is_to_run]
    hours, wall = cost_of(to_run, seconds, there)
    about = f": about {hours} {there.unit} hours, {wall} with {there.count} at a time" if to_run else ""
    console.print(f"{len(to_run)} of {len(planned)} runs to do{about}")
    if "?" in hours:
        console.print("?: nothing like it was measured on this kind of device; --probe begins such runs to see")


@app.command("run")
@one_line_errors
def run_tables(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    launcher: Annotated[str, typer.Option(help="inline (debugging), local (a queue) or slurm")] = "local",
    budget: Annotated[str | None, typer.Option(help="do cells in order until this is spent: 30m, 8h")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:0")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="threads a run; results may depend on it in the last bits")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="runs at a time; as many as fit where not given")] = None,
    runs_per_gpu: Annotated[int, typer.Option(min=1)] = 1,
    profile: Annotated[str | None, typer.Option(help="slurm only: a file of slurm/ without its .toml")] = None,
) -> None:
    """Starts what is missing here. The same command twice does nothing the second time; Ctrl-C loses nothing."""
    planned = planned_runs(targets, scale, seeds, settings)
    to_run = [each for each in planned if each.is_to_run]
    if budget:
        to_run = cost.within(to_run, costs(planned, device, probe=True), cost.seconds_of(budget))
    _summary_before(planned, to_run)
    start = _starter(launcher, device=device, threads=threads, slots=slots, runs_per_gpu=runs_per_gpu, profile=profile)
    _launch(to_run, start)
    _say_what_became(planned_runs(targets, scale, seeds, settings), {each.run.key for each in to_run})


def _summary_before(planned: Sequence[Planned], to_run: Sequence[Planned]) -> None:
    counts = Counter(each.state.name for each in planned)
    console.print(f"{len(planned)} runs planned: {counted(counts)}; {len(to_run)} to start")
    for each in planned:
        if each.state.problem:
            complain(each.state.problem)


def _launch(to_run: Sequence[Planned], start: Start) -> Outcome:
    if not to_run:
        return Outcome()
    jobs = write_tickets(to_run, places.runs)
    with Display(console, len(jobs)) as display:
        return start(jobs, display)


def _starter(
    name: str, *, device: str, threads: int, slots: int | None, runs_per_gpu: int, profile: str | None
) -> Start:
    """The launcher of that name as a function of (jobs, display)."""
    if name == "inline":
        return lambda jobs, display: inline.launch(jobs, watch=display.watch, device=device, threads=threads)
    if name == "local":
        there = local.slots_here(device, slots, threads, runs_per_gpu)
        return lambda jobs, display: local.launch(jobs, there, watch=display.watch)
    if name == "slurm":
        from contrastbench.runner.launchers import slurm  # imports submitit, which nothing else needs

        site = read_profile(profile or "default")

        def on_cluster(jobs: Sequence[Job], display: Display) -> Outcome:
            check_data(job.run for job in jobs)
            return slurm.launch(jobs, site, places.runs, watch=display.watch)

        return on_cluster
    raise ValueError(f"unknown launcher {name!r}; there are: inline, local, slurm")


def check_data(runs: Iterable[Run]) -> None:
    """Loads the data sets that the runs' configs name from what is here, as compute nodes have no network.

    Raises:
        ValueError: one is missing or damaged; the message says how to get it.
    """
    values = {value for run in runs for value in resolved(run.config).values() if isinstance(value, str)}
    known = {*catalogue.DATA_SETS, *(own.name for own in catalogue.found())}
    for name in sorted(values & known):
        catalogue.load(name, download=False)


def _say_what_became(planned: Sequence[Planned], started: set[str]) -> None:
    """Counts the states and lists what failed; the command then exits with 1, as it does if a started run is open."""
    counts = Counter(each.state.name for each in planned)
    console.print(f"now: {counted(counts)}")
    failed = [each for each in planned if each.state.name in states.FAILURES]
    for each in failed:
        error = each.state.row["error"] if each.state.row else {}
        what = f" {each.run.paper} {each.run.dataset} {each.run.method} seed {each.run.seed} ({each.run.key[:12]}): "
        said = Text.assemble((each.state.name, "red"), what, f"{error.get('type')}: {error.get('message')}")
        console.print(said, soft_wrap=True)
    if failed:
        console.print("`contrastbench retry` does them again")
    if failed or any(each.is_to_run for each in planned if each.run.key in started):
        raise typer.Exit(1)


@app.command("status")
@one_line_errors
def show_status(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    watch: Annotated[bool, typer.Option("--watch", help="again every few seconds until nothing runs")] = False,
) -> None:
    """The state of every run, per table; with what is at work now and since when it was last heard of."""
    if not watch:
        console.print(_status_grid(planned_runs(targets, scale, seeds, settings)))
        return
    with Live(console=console) as live:
        while True:
            planned = planned_runs(targets, scale, seeds, settings)
            live.update(_status_grid(planned))
            if not any(each.state.name in ("running", "queued") for each in planned):
                return
            time.sleep(2)


def _status_grid(planned: Sequence[Planned]) -> Grid:
    shown = (*states.FINISHED, *states.UNFINISHED)
    tables: dict[str, Counter[str]] = {}
    for each in planned:
        for table in dict.fromkeys(table for table, _ in each.cells) or ("needed by others",):
            tables.setdefault(f"{each.run.paper}/{table}", Counter())[each.state.name] += 1
    used = [name for name in shown if any(counts[name] for counts in tables.values())]
    grid = Grid("table", box=None)
    for name in used:
        grid.add_column(Text(name, COLOURS.get(name, "red")))
    for table, counts in tables.items():
        grid.add_row(table, *(str(counts[name] or "") for name in used))
    return grid


@app.command("retry")
@one_line_errors
def retry_runs(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    failed: Annotated[bool, typer.Option("--failed", help="those that failed, diverged or ran out of memory")] = False,
    killed: Annotated[bool, typer.Option("--killed", help="those that were killed")] = False,
    timeout: Annotated[bool, typer.Option("--timeout", help="those that ran out of time")] = False,
    launcher: str = "local",
    device: str = "cpu",
    threads: int = 1,
    slots: int | None = None,
    runs_per_gpu: int = 1,
    profile: str | None = None,
) -> None:
    """Does failed runs again (all of the three kinds where none is named). Their old rows are kept aside."""
    wanted: set[str] = set()
    everything = not (failed or killed or timeout)
    wanted |= {"failed", "diverged", "out_of_memory"} if failed or everything else set()
    wanted |= {"killed"} if killed or everything else set()
    wanted |= {"timed_out"} if timeout or everything else set()
    chosen = [each for each in planned_runs(targets, scale, seeds, settings) if each.state.name in wanted]
    for each in chosen:
        if each.state.name in states.FAILURES:
            states.retry(folder_of(each.run, places.runs))
    console.print(f"{len(chosen)} runs to do again")
    start = _starter(launcher, device=device, threads=threads, slots=slots, runs_per_gpu=runs_per_gpu, profile=profile)
    _launch(chosen, start)
    keys = {each.run.key for each in chosen}
    again = planned_runs(targets, scale, seeds, settings)
    _say_what_became([each for each in again if each.run.key in keys], keys)
