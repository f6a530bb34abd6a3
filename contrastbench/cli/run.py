"""Commands that start runs and say what became of them: `run` and `retry`."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from contrastbench.cli.app import Folders, command, complain_of, console, grid_of, note
from contrastbench.cli.dashboard import Dashboard
from contrastbench.cli.launch import check_options, in_words, launch
from contrastbench.cli.options import How, Which
from contrastbench.cli.plan import priced_by, say_what_is_left_out
from contrastbench.cli.planning import Prices, check_own_data, metrics_missing, planned_runs, prices, rows_of
from contrastbench.runner import states
from contrastbench.runner.code import describe, rows_of_other_code
from contrastbench.runner.launchers import job_of
from contrastbench.runner.plan import Planned, seconds_of, within
from contrastbench.runner.states import folder_of
from contrastbench.runner.vocabulary import chain, duration
from contrastbench.selection import Targets as AskedFor


@command("run")
def run_tables(
    folders: Folders,
    which: Which,
    how: How,
    budget: Annotated[str | None, typer.Option(help="do cells in order until this time is spent: 30m, 8h")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="do again what code that has changed since did")] = False,
    log_to: Annotated[
        str | None, typer.Option(help="copy the curves to tensorboard or wandb, if that is installed")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="slurm: print the sbatch scripts, start nothing")] = False,
) -> None:
    """Starts the runs that are missing here and follows them to their end. Run twice, it starts nothing twice.

    Ctrl-C loses nothing. The exit code is 0 if everything named is done; 1 if something failed or is not done.
    """
    runs, asked = folders.runs, which.read()
    check_options(how, dry_run=dry_run)
    dashboard = Dashboard(log_to, runs) if log_to else None
    planned = planned_runs(asked, folders)
    of_other_code = rows_of_other_code((each.state.row for each in planned if each.state.row), runs)
    if changed and of_other_code:
        for each in (each for each in planned if each.run.key in of_other_code):
            states.put_back(folder_of(each.run, runs), "changed")
        planned = planned_runs(asked, folders)
    wanted = [each for each in planned if each.state.name in states.UNFINISHED]
    check_own_data(each.run for each in wanted if each.is_to_run)
    if budget:
        device = how.site.run_device if how.launcher == "slurm" else how.device or "auto"
        wanted = _within_budget(wanted, prices(planned, device, folders.results), budget)
    if dry_run:
        from contrastbench.runner.launchers import slurm

        for script in slurm.dry_run([job_of(each.run, runs) for each in wanted if each.is_to_run], how.site, runs):
            console.print(script, soft_wrap=True)
        return
    counts = Counter(each.state.name for each in planned)
    to_start = sum(each.is_to_run for each in wanted)
    console.print(f"{len(planned)} runs planned: {in_words(counts)}; {to_start} to start")
    complain_of(each.state.problem for each in planned if each.state.problem)
    for line in describe({} if changed else of_other_code):
        note(line)
    say_what_is_left_out(asked)
    launch(wanted, how, runs, dashboard)
    if which.settings:
        _print_measured(asked, runs)
    if missing := metrics_missing(asked, runs):
        complain_of(missing)
        raise typer.Exit(1)
    keys = {each.run.key for each in (wanted if budget else planned)}
    say_what_became([each for each in planned_runs(asked, folders) if each.run.key in keys])


def _within_budget(wanted: Sequence[Planned], known: Prices, budget: str) -> list[Planned]:
    """The first runs whose cost fits the budget. Says how many fit, and how many have no known cost."""
    seconds = {key: price.seconds if price else None for key, price in known.items()}
    chosen = within(wanted, seconds, seconds_of(budget))
    spent = duration(sum(seconds[each.run.key] or 0.0 for each in chosen) / 3600)
    console.print(f"budget {budget}: {len(chosen)} of {len(wanted)} runs fit, about {spent} on one slot")
    if told := priced_by(known[each.run.key] for each in chosen):
        console.print(told, soft_wrap=True)
    if unknown := sum(seconds[each.run.key] is None for each in wanted):
        console.print(f"nothing like {unknown} of them was measured; a first run tells the cost of its like")
    return chosen


@command("retry")
def retry_runs(
    folders: Folders,
    which: Which,
    how: How,
    failed: Annotated[bool, typer.Option("--failed", help="those that failed, diverged or ran out of memory")] = False,
    killed: Annotated[bool, typer.Option("--killed", help="those that were killed")] = False,
    timeout: Annotated[bool, typer.Option("--timeout", help="those that ran out of time")] = False,
) -> None:
    """Does failed runs again: with --failed, --killed or --timeout only those, else all. Old rows are kept aside."""
    runs, asked = folders.runs, which.read()
    check_options(how)
    planned = planned_runs(asked, folders, every_table=True)
    everything = not (failed or killed or timeout)
    kinds = {"killed": killed, "timed_out": timeout}
    again = {
        each.run.key
        for each in planned
        if each.state.name in (*states.FAILURES, "killed") and (everything or kinds.get(each.state.name, failed))
    }
    for each in planned:
        if each.run.key in again and each.state.name in states.FAILURES:
            states.put_back(folder_of(each.run, runs), "failed")
    to_run = [each for each in planned_runs(asked, folders, every_table=True) if each.is_to_run]
    needed = chain(each.run for each in to_run if each.run.key in again)
    wanted = [each for each in to_run if each.run.key in needed or again & chain([each.run]).keys()]
    others = len(wanted) - len(again)
    more = f", and {others} that they need or that waited for them" if others else ""
    console.print(f"{len(again)} runs to do again{more}")
    launch(wanted, how, runs)
    keys = {each.run.key for each in wanted}
    after = planned_runs(asked, folders, every_table=True)
    say_what_became([each for each in after if each.run.key in keys])


# ------------------------------------------------------------------------------------------------ what became of them


def say_what_became(planned: Sequence[Planned]) -> None:
    """Counts the states and lists what failed. The exit code is 1 unless everything is done."""
    console.print(f"now: {in_words(Counter(each.state.name for each in planned))}")
    failed = [each for each in planned if each.state.name in states.FAILURES]
    alike: dict[tuple[str, str], list[Planned]] = defaultdict(list)
    for each in failed:
        error = each.state.row["error"] if each.state.row else {}
        alike[each.state.name, f"{error.get('type')}: {error.get('message')}"].append(each)
    for (name, error), some in alike.items():
        first = f"{some[0].run.paper} {some[0].run.dataset} {some[0].run.method} seed {some[0].run.seed}"
        others = f" and {len(some) - 1} more" if len(some) > 1 else ""
        text = f" {first} ({some[0].run.key[:12]}){others}: {error}"
        console.print(Text.assemble((name, "red"), text), soft_wrap=True)
    if failed:
        keys = [each.run.key[:12] for each in failed]
        console.print(f"again: contrastbench retry {' '.join(keys[:3])}{' ...' * (len(keys) > 3)}", soft_wrap=True)
    if any(each.state.name != "done" for each in planned):
        raise typer.Exit(1)


def _print_measured(asked: AskedFor, runs_folder: Path) -> None:
    """Prints mean, sd and number of seeds of each cell's metric; nothing if no run is finished."""
    grid = grid_of("cell", "metric", "mean ± sd (seeds)")
    printed = set()  # cells that are the same run under these settings are one line
    for cell in (cell for selection in asked.selections for _, cell in selection.cells()):
        values = [row["metrics"][cell.metric] for row in rows_of(cell, runs_folder) if cell.metric in row["metrics"]]
        same = (cell.metric, *(run.key for run in cell.runs))
        if values and same not in printed:
            printed.add(same)
            spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
            grid.add_row(cell.name, cell.metric, f"{statistics.mean(values):#.4g}{spread} ({len(values)})")
    if grid.row_count:
        console.print(grid)
