"""Commands that start runs and say what became of them: `run` and `retry`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from contrastbench.cli.app import app, complain, console, one_line_errors, places
from contrastbench.cli.before import data_is_here, left_out, write_each_ticket
from contrastbench.cli.display import Display, counted, duration
from contrastbench.cli.launching import Launcher, Options, launcher_of
from contrastbench.cli.listing import say_by_name
from contrastbench.cli.measured import metrics_missing, print_measured
from contrastbench.cli.options import (
    Detach,
    Device,
    LauncherName,
    ProfileName,
    ResumeAnyway,
    RunsPerGpu,
    Scale,
    Seeds,
    Settings,
    Slots,
    Targets,
    Threads,
)
from contrastbench.cli.planning import costs, planned_runs
from contrastbench.runner import states
from contrastbench.runner.checkpoint import RESUME_ANYWAY
from contrastbench.runner.code import changed_since
from contrastbench.runner.launchers import Outcome, job_of
from contrastbench.runner.plan import Planned, seconds_of, within
from contrastbench.runner.states import folder_of
from contrastbench.runner.vocabulary import chain


@app.command("run")
@one_line_errors
def run_tables(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    launcher: LauncherName = "local",
    budget: Annotated[str | None, typer.Option(help="do cells in order until this time is spent: 30m, 8h")] = None,
    device: Device = None,
    threads: Threads = None,
    slots: Slots = None,
    runs_per_gpu: RunsPerGpu = None,
    profile: ProfileName = None,
    detach: Detach = False,
    resume_anyway: ResumeAnyway = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="slurm: print the sbatch scripts, start nothing")] = False,
) -> None:
    """Starts the runs that are missing here and follows them to their end. Run twice, it starts nothing twice.

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
        chosen.print_scripts([job_of(each.run, places.runs) for each in wanted if each.is_to_run])
        return
    _summary_before(planned, [each for each in wanted if each.is_to_run])
    say_by_name(targets, scale)
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
    """The first runs whose cost fits the budget. Says how many fit, and how many have no known cost."""
    estimated = costs(planned, device)
    chosen = within(wanted, estimated, seconds_of(budget))
    spent = duration(sum(estimated[each.run.key] or 0.0 for each in chosen) / 3600)
    console.print(f"budget {budget}: {len(chosen)} of {len(wanted)} runs fit, about {spent} on one slot")
    if unknown := sum(estimated[each.run.key] is None for each in wanted):
        console.print(f"nothing like {unknown} of them was measured; a first run tells the cost of its like")
    return chosen


def _summary_before(planned: Sequence[Planned], to_run: Sequence[Planned]) -> None:
    counts = Counter(each.state.name for each in planned)
    console.print(f"{len(planned)} runs planned: {counted(counts)}; {len(to_run)} to start")
    for each in planned:
        if each.state.problem:
            complain(each.state.problem)


def _launch(wanted: Sequence[Planned], launcher: Launcher) -> Outcome:
    """Starts the runs that nobody has begun. On a cluster, also follows those that are queued or at work."""
    if launcher.name != "slurm":
        wanted = [each for each in wanted if each.is_to_run]
    if not wanted:
        return Outcome()
    _say_what_starts_again([each for each in wanted if each.is_to_run])
    launcher.check(each.run for each in wanted if each.is_to_run)
    jobs = write_each_ticket(wanted)
    with Display(console, len(jobs)) as display:
        outcome = launcher.start(jobs, display)
    for note in outcome.notes:
        complain(note)
    return outcome


def _say_what_starts_again(to_run: Sequence[Planned]) -> None:
    """Warns of runs that were begun by other code: it would not be one code's result to go on from what they saved."""
    changed: dict[str, list[str]] = {}
    for each in to_run if os.environ.get(RESUME_ANYWAY) != "1" else ():
        folder = folder_of(each.run, places.runs)
        if os.path.exists(folder / "checkpoint.pt"):  # which says no where nobody may look
            changed[each.run.key] = changed_since(folder, each.run.paper, each.run.stage) or []
    names = sorted({name for names in changed.values() for name in names})
    if names:
        some = ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)
        count = sum(1 for names in changed.values() if names)
        complain(f"{count} runs start again: {some} changed since they began; --resume-anyway goes on all the same")


def _say_what_is_queued(outcome: Outcome, wanted: Sequence[Planned]) -> None:
    """After --detach: says how many runs are in Slurm's queue. The exit code is 1 if some are not."""
    console.print(f"{len(wanted) - len(outcome.problems)} runs are in Slurm's queue; the same command follows them")
    if outcome.problems:
        problem = next(iter(outcome.problems.values()))
        complain(f"{len(outcome.problems)} runs are not: {problem}; the same command submits them later")
        raise typer.Exit(1)
    raise typer.Exit(0)


def _say_what_became(planned: Sequence[Planned]) -> None:
    """Counts the states and lists what failed. The exit code is 1 unless everything is done."""
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
    resume_anyway: ResumeAnyway = False,
) -> None:
    """Does failed runs again: with --failed, --killed or --timeout only those, else all. Old rows are kept aside."""
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
    """The runs to do that have these keys, those that they need, and those that waited for them."""
    to_run = [each for each in planned if each.is_to_run]
    needed = {key for each in to_run if each.run.key in keys for key in chain([each.run])}
    return [each for each in to_run if each.run.key in needed or keys & chain([each.run]).keys()]


def _others(count: int) -> str:
    return f", and {count} that they need or that waited for them" if count else ""
