"""Commands that start runs and say what became of them."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from contrastbench import papers
from contrastbench.cli import completing
from contrastbench.cli.app import app, complain, console, one_line_errors, places, selections
from contrastbench.cli.at_work import waiting_lines, work_grid
from contrastbench.cli.before import by_name_only, data_is_here, left_out, write_each_ticket
from contrastbench.cli.choosing import Scale, Seeds, Settings, Targets
from contrastbench.cli.display import COLOURS, Display, cost_of, counted, duration, has_many_cells, plan_grid, priced_by
from contrastbench.cli.launching import (
    Detach,
    Device,
    Launcher,
    LauncherName,
    Options,
    ProfileName,
    RunsPerGpu,
    Slots,
    Threads,
    launcher_of,
)
from contrastbench.cli.measured import metrics_missing, print_measured
from contrastbench.cli.planning import costs, planned_runs, prices, slots_for
from contrastbench.runner import cost, states
from contrastbench.runner.execute import folder_of
from contrastbench.runner.launchers import Outcome, job_of, slurm_queue
from contrastbench.runner.plan import Planned
from contrastbench.runner.profiles import AUTO_HOURS
from contrastbench.runner.vocabulary import chain

WATCH_SECONDS = 5.0  # between two looks of `status --watch`; each asks squeue once


@app.command("list")
@one_line_errors
def list_papers(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="PAPER\\[/TABLE]: with each table's question", autocompletion=completing.targets),
    ] = None,
) -> None:
    """The papers, their tables, and how many cells and runs each has at each scale."""
    grid = Grid("paper/table", *papers.SCALES, box=None, padding=(0, 2, 0, 0))
    notes = ["cells (runs) at each scale"]
    for selection in selections(targets):
        paper = selection.paper
        for table in selection.tables:
            grid.add_row(f"{paper.name}/{table}", *(_size(paper, table, scale) for scale in papers.SCALES))
            if targets:
                grid.add_row(Text(paper.tables[table].title, "dim"))
            if paper.tables[table].only_by_name and len(notes) == 1:
                notes.append("*: only where the table is named, as PAPER/TABLE")
    console.print(grid)
    more = [] if targets else ["`contrastbench list PAPER` adds each table's question"]
    console.print("; ".join([*notes, *more]), style="dim")


def _size(paper: papers.Paper, table: str, scale: str) -> str:
    cells = paper.cells(table, scale)
    by_name = "*" * (scale in paper.tables[table].only_by_name)
    return f"{len(cells)} ({len(chain(run for cell in cells for run in cell.runs))}){by_name}" if cells else "-"


@app.command("plan")
@one_line_errors
def show_plan(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; what the cost is estimated for")] = "cpu",
    gpu: Annotated[
        str | None, typer.Option(help="the GPU to count for, a part of its name; say also --device cuda")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="threads a run")] = 1,
    slots: Annotated[int | None, typer.Option(min=1, help="runs at a time; as many as fit where not given")] = None,
    runs_per_gpu: Annotated[int, typer.Option(min=1)] = 1,
    profile: Annotated[
        str | None,
        typer.Option(help="count for a cluster: a file of slurm/ without .toml", autocompletion=completing.profiles),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="time first epochs where nothing similar was measured")
    ] = False,
) -> None:
    """What `run` would do: per cell the runs done, shipped, failed and to run, with the estimated cost.

    The cost comes from rows measured on the same kind of CPU or, with --device cuda, on this machine's GPU, else on
    the GPU that most rows came from; a stage that computes on the CPU only is priced by rows from CPUs. With --probe
    it comes from a run's first epochs where no row tells it, in a chain behind short runs of what it needs.
    """
    planned = planned_runs(targets, scale, seeds, settings)
    there = slots_for(device, slots, threads, runs_per_gpu, profile)
    kind = "cuda" if there.unit == "GPU" else "cpu"
    seconds = costs(planned, kind, gpu=gpu, probe=probe)
    console.print(plan_grid(planned, seconds, there, console.width))
    to_run = [each for each in planned if each.is_to_run]
    hours, wall = cost_of(to_run, seconds, there)
    about = f": about {hours} {there.unit} hours, {wall} with {there.count} at a time" if to_run else ""
    console.print(f"{len(to_run)} of {len(planned)} runs to do{about}")
    if has_many_cells(planned):
        console.print("`contrastbench plan PAPER/TABLE` shows a table's cells", style="dim")
    if kind == "cuda":
        found = prices(planned, kind, gpu=gpu, here_only=probe)
        console.print(priced_by(found[each.run.key] for each in to_run), soft_wrap=True)
    if "?" in hours:
        console.print("?: nothing like it was measured on this kind of device; --probe begins such runs to see")
    _say_by_name(targets, scale)


def _say_by_name(targets: Sequence[str] | None, scale: str) -> None:
    """How many tables of whole papers a command leaves out, since they are run by name."""
    if counts := Counter(name.partition("/")[0] for name in by_name_only(targets, scale)):
        said = ", ".join(f"{count} tables of {paper}" for paper, count in counts.items())
        console.print(f"run by name only: {said} (`contrastbench list` has their names)", style="dim")


@app.command("run")
@one_line_errors
def run_tables(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    launcher: LauncherName = "local",
    budget: Annotated[str | None, typer.Option(help="do cells in order until this is spent: 30m, 8h")] = None,
    device: Device = None,
    threads: Threads = None,
    slots: Slots = None,
    runs_per_gpu: RunsPerGpu = None,
    profile: ProfileName = None,
    detach: Detach = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="slurm: print the sbatch scripts, start nothing")] = False,
) -> None:
    """Starts what is missing here and follows it to its end. The same command again starts nothing twice.

    Ctrl-C loses nothing. The exit code is 0 if everything named is done; 1 if something failed or is not done.
    """
    options = Options(device, threads, slots, runs_per_gpu, profile, detach, dry_run)
    chosen = launcher_of(launcher, options)
    planned = planned_runs(targets, scale, seeds, settings)
    wanted = [each for each in planned if each.state.name in states.UNFINISHED]
    if unaffected := left_out(targets, scale, seeds, settings):
        console.print(f"left out, since they do not use the settings: {', '.join(unaffected)}", soft_wrap=True)
    if launcher != "slurm":  # which checks what its own profile points at
        data_is_here((each.run for each in wanted), settings)
    if budget:
        wanted = _within_budget(planned, wanted, chosen.run_device, budget)
    if dry_run:
        to_run = [each for each in wanted if each.is_to_run]
        chosen.print_scripts([job_of(each.run, places.runs) for each in to_run], _hours_auto(chosen, to_run))
        return
    _summary_before(planned, [each for each in wanted if each.is_to_run])
    _say_by_name(targets, scale)
    outcome = _launch(wanted, chosen)
    if detach:
        _say_what_is_queued(outcome, wanted)
    if settings:
        print_measured(targets, scale, seeds, settings)
    if missing := metrics_missing(targets, scale, seeds, settings):
        for line in missing:
            complain(line)
        raise typer.Exit(1)
    keys = {each.run.key for each in (wanted if budget else planned)}
    _say_what_became([each for each in planned_runs(targets, scale, seeds, settings) if each.run.key in keys])


def _within_budget(planned: Sequence[Planned], wanted: Sequence[Planned], device: str, budget: str) -> list[Planned]:
    """The first runs whose cost fits the budget, the time of probing taken off it; says what it leaves out."""
    seconds, began = cost.seconds_of(budget), time.monotonic()
    estimated = costs(planned, device, probe=True, probe_seconds=seconds)
    probing = time.monotonic() - began
    chosen = cost.within(wanted, estimated, seconds - probing)
    spent = duration(sum(estimated[each.run.key] or 0.0 for each in chosen) / 3600)
    told = f", of which probing took {duration(probing / 3600)}" if probing > 1 else ""
    console.print(f"budget {budget}{told}: {len(chosen)} of {len(wanted)} runs fit, about {spent} on one slot")
    return chosen


def _summary_before(planned: Sequence[Planned], to_run: Sequence[Planned]) -> None:
    counts = Counter(each.state.name for each in planned)
    console.print(f"{len(planned)} runs planned: {counted(counts)}; {len(to_run)} to start")
    for each in planned:
        if each.state.problem:
            complain(each.state.problem)


def _launch(wanted: Sequence[Planned], launcher: Launcher) -> Outcome:
    """Starts the runs that nobody has begun; on a cluster, follows those that are queued or at work too."""
    if launcher.name != "slurm":
        wanted = [each for each in wanted if each.is_to_run]
    if not wanted:
        return Outcome()
    launcher.check(each.run for each in wanted if each.is_to_run)
    jobs = write_each_ticket(wanted)
    with Display(console, len(jobs)) as display:
        outcome = launcher.start(jobs, display, _hours_auto(launcher, wanted))
    for note in outcome.notes:
        complain(note)
    return outcome


def _hours_auto(launcher: Launcher, wanted: Sequence[Planned]) -> dict[str, float | None] | None:
    """The estimated seconds of each run where the profile's hours follow from them."""
    auto = launcher.name == "slurm" and launcher.site.hours == AUTO_HOURS
    return costs(wanted, launcher.run_device) if auto else None


def _say_what_is_queued(outcome: Outcome, wanted: Sequence[Planned]) -> None:
    """After --detach: how many runs are in Slurm's queue now; exit code 1 if some are not."""
    console.print(f"{len(wanted) - len(outcome.problems)} runs are in Slurm's queue; the same command follows them")
    if outcome.problems:
        problem = next(iter(outcome.problems.values()))
        complain(f"{len(outcome.problems)} runs are not: {problem}; the same command submits them later")
        raise typer.Exit(1)
    raise typer.Exit(0)


def _say_what_became(planned: Sequence[Planned]) -> None:
    """Counts the states and lists what failed; the command then exits with 1 unless everything is done."""
    counts = Counter(each.state.name for each in planned)
    console.print(f"now: {counted(counts)}")
    failed = [each for each in planned if each.state.name in states.FAILURES]
    for each in failed:
        error = each.state.row["error"] if each.state.row else {}
        what = f" {each.run.paper} {each.run.dataset} {each.run.method} seed {each.run.seed} ({each.run.key[:12]}): "
        said = Text.assemble((each.state.name, "red"), what, f"{error.get('type')}: {error.get('message')}")
        console.print(said, soft_wrap=True)
    if failed:
        keys = [each.run.key[:12] for each in failed]
        console.print(f"again: contrastbench retry {' '.join(keys[:3])}{' ...' * (len(keys) > 3)}", soft_wrap=True)
    if any(each.state.name != "done" for each in planned):
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
    with Live(console=console, transient=True) if watch else contextlib.nullcontext() as live:
        while True:
            queue = slurm_queue.read_queue()
            still_queued = slurm_queue.still_queued(queue)
            planned = planned_runs(targets, scale, seeds, settings, still_queued, every_table=True)
            shown = Group(*_status_parts(planned, queue))
            if not live or not any(each.state.name in ("running", "queued") for each in planned):
                break
            live.update(shown)
            time.sleep(WATCH_SECONDS)
    console.print(shown)


def _status_parts(planned: Sequence[Planned], queue: slurm_queue.Queue | None) -> list[Grid | str]:
    at_work = work_grid(planned)
    parts = [_status_grid(planned), "", at_work] if at_work else [_status_grid(planned)]
    return [*parts, *waiting_lines(planned, queue)]


def _status_grid(planned: Sequence[Planned]) -> Grid:
    shown = (*states.FINISHED, *states.UNFINISHED)
    tables: dict[str, Counter[str]] = {}
    for each in planned:
        for table in dict.fromkeys(table for table, _ in each.places):
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
    launcher: LauncherName = "local",
    device: Device = None,
    threads: Threads = None,
    slots: Slots = None,
    runs_per_gpu: RunsPerGpu = None,
    profile: ProfileName = None,
    detach: Detach = False,
) -> None:
    """Does failed runs again (all of the three kinds where none is named). Their old rows are kept aside."""
    launching = launcher_of(launcher, Options(device, threads, slots, runs_per_gpu, profile, detach))
    wanted: set[str] = set()
    everything = not (failed or killed or timeout)
    wanted |= {"failed", "diverged", "out_of_memory"} if failed or everything else set()
    wanted |= {"killed"} if killed or everything else set()
    wanted |= {"timed_out"} if timeout or everything else set()
    planned = planned_runs(targets, scale, seeds, settings, every_table=True)
    again = {each.run.key for each in planned if each.state.name in wanted}
    for each in planned:
        if each.run.key in again and each.state.name in states.FAILURES:
            states.retry(folder_of(each.run, places.runs))
    chosen = _with_chains(planned_runs(targets, scale, seeds, settings, every_table=True), again)
    console.print(f"{len(again)} runs to do again" + _others(len(chosen) - len(again)))
    outcome = _launch(chosen, launching)
    if detach:
        _say_what_is_queued(outcome, chosen)
    keys = {each.run.key for each in chosen}
    after = planned_runs(targets, scale, seeds, settings, every_table=True)
    _say_what_became([each for each in after if each.run.key in keys])


def _with_chains(planned: Sequence[Planned], keys: set[str]) -> list[Planned]:
    """Those of the runs to do that have these keys, that such a run needs, or that waited for one."""
    to_run = [each for each in planned if each.is_to_run]
    needed = {key for each in to_run if each.run.key in keys for key in chain([each.run])}
    return [each for each in to_run if each.run.key in needed or keys & chain([each.run]).keys()]


def _others(count: int) -> str:
    return f", and {count} that they need or that waited for them" if count else ""
