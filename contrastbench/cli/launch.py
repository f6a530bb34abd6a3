"""Launches runs for the commands: which launcher, whether the data is here, and a display of how far they are."""

import errno
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from contrastbench.cli.app import complain, console, in_one_line, note
from contrastbench.cli.dashboard import Dashboard
from contrastbench.cli.options import LAUNCHERS, How
from contrastbench.cli.planning import check_data, data_missing
from contrastbench.data import catalogue
from contrastbench.runner.checkpoint import RESUME_ANYWAY
from contrastbench.runner.code import changed_since, list_some
from contrastbench.runner.devices import check_device
from contrastbench.runner.launchers import Job, Outcome, Watch, inline, local
from contrastbench.runner.plan import Planned, write_tickets
from contrastbench.runner.profiles import read_profile
from contrastbench.runner.states import FINISHED, UNFINISHED, folder_of
from contrastbench.runner.vocabulary import Run

SECONDS_BETWEEN_LINES = 30.0  # if the output is a file: a line this often, not one a run
LAUNCHERS_WITH = {  # which launchers have a use for an option
    **dict.fromkeys(("device", "threads"), ("inline", "local")),
    **dict.fromkeys(("slots", "runs_per_gpu"), ("local",)),
    **dict.fromkeys(("profile", "detach", "dry_run"), ("slurm",)),
}


def check_options(how: How, *, dry_run: bool = False) -> None:
    """Checks that the options fit together, before anything is planned.

    Raises:
        ValueError: there is no such launcher, device or profile, or the launcher has no use for an option.
    """
    if how.launcher not in LAUNCHERS:
        raise ValueError(f"unknown launcher {how.launcher!r}; there are: {', '.join(LAUNCHERS)}")
    given = {**asdict(how), "dry_run": dry_run}
    for option, launchers in LAUNCHERS_WITH.items():
        if given[option] and how.launcher not in launchers:
            where = "its profile says that" if how.launcher == "slurm" else f"it is for --launcher {launchers[0]}"
            raise ValueError(f"--{option.replace('_', '-')} has no use with --launcher {how.launcher}; {where}")
    if how.resume_anyway:
        os.environ[RESUME_ANYWAY] = "1"  # which every worker sees, whoever starts it
    if how.launcher == "slurm":
        read_profile(how.profile)
    else:
        check_device(how.device or "auto")


def launch(wanted: Sequence[Planned], how: How, runs_folder: Path, dashboard: Dashboard | None = None) -> None:
    """Starts the runs that nobody has begun. On a cluster, also follows those that are queued or at work.

    Raises:
        ValueError: data sets are missing, and nobody fetches them.
        typer.Exit: the runs were submitted, and shall not be followed.
    """
    to_start = [each for each in wanted if each.is_to_run]
    if how.launcher == "slurm":
        os.environ.update(how.site.variables)
        check_data(each.run for each in to_start)  # compute nodes have no network
    else:
        wanted = to_start
        fetch_missing_data(each.run for each in to_start)
    _say_what_starts_again(to_start, runs_folder)
    jobs = _write_each_ticket(wanted, runs_folder)
    if not jobs:
        return
    with Display(console, len(jobs)) as display:

        def watch(job: Job, event: dict[str, Any]) -> None:
            display.watch(job, event)
            if dashboard:
                dashboard.watch(job, event)

        outcome = _start(jobs, how, watch, runs_folder)
    if how.detach:
        console.print(f"{len(wanted) - len(outcome.problems)} runs are in Slurm's queue; the same command follows them")
        for problem in list(outcome.problems.values())[:1]:
            complain(f"{len(outcome.problems)} runs are not: {problem}; the same command submits them later")
        raise typer.Exit(1 if outcome.problems else 0)


def _start(jobs: Sequence[Job], how: How, watch: Watch, runs_folder: Path) -> Outcome:
    device, threads = how.device or "auto", how.threads or 1
    if how.launcher == "inline":
        return inline.launch(jobs, watch=watch, device=device, threads=threads)
    if how.launcher == "local":
        return local.launch(*local.place_jobs(jobs, device, how.slots, threads, how.runs_per_gpu or 1), watch=watch)
    from contrastbench.runner.launchers import slurm

    return slurm.launch(jobs, how.site, runs_folder, watch=watch, detach=how.detach)


NOT_THIS_RUNS_FAULT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _write_each_ticket(to_run: Sequence[Planned], runs_folder: Path) -> list[Job]:
    """Writes the tickets and returns the jobs. A run whose folder cannot be written is named and left out.

    Raises:
        OSError: the runs folder itself cannot be written.
    """
    jobs: list[Job] = []
    for each in to_run:
        try:
            jobs += write_tickets([each], runs_folder)
        except OSError as error:
            if error.errno in NOT_THIS_RUNS_FAULT or not (runs_folder / each.run.paper).is_dir():
                raise
            complain(f"{in_one_line(error)}; the other runs go on")
    return jobs


def _say_what_starts_again(to_run: Sequence[Planned], runs: Path) -> None:
    """Warns of runs that were begun by other code: it would not be one code's result to go on from what they saved."""
    changed: list[list[str]] = []
    for each in to_run if os.environ.get(RESUME_ANYWAY) != "1" else ():
        folder = folder_of(each.run, runs)
        if os.path.exists(folder / "checkpoint.pt"):  # which says no where nobody may look
            changed.append(changed_since(folder, each.run.paper, each.run.stage))
    if count := sum(map(bool, changed)):
        some = list_some(name for names in changed for name in names)
        again = "1 run starts again" if count == 1 else f"{count} runs start again"
        note(f"{again}: {some} changed since; with --resume-anyway they go on from what they saved")


# ------------------------------------------------------------------------------------------------------------ the data


def with_data(planned: Sequence[Planned]) -> list[Planned]:
    """The runs without those that are to start and whose data are not here; a line says which data those are."""
    missing = data_missing(each.run for each in planned if each.is_to_run)
    if not missing:
        return list(planned)
    kept = [each for each in planned if not each.is_to_run or not data_missing([each.run])]
    names, count = " ".join(missing), len(planned) - len(kept)
    note(f"{count} runs are left out, since {names} is not here: contrastbench data fetch {names}")
    return kept


def fetch_missing_data(runs: Iterable[Run]) -> None:
    """Fetches the data sets that runs name and that are not here, if somebody at the terminal agrees.

    Raises:
        ValueError: some are not here and cannot be downloaded, or nobody agreed.
    """
    missing = data_missing(runs)
    if not missing:
        return
    here = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not here (looked in {catalogue.data_root()})"
    by_hand = [name for name in missing if not catalogue.DATA_SETS[name].downloaded]
    if by_hand:
        wanted = "; ".join(f"{name}: {catalogue.DATA_SETS[name].origin}" for name in by_hand)
        raise ValueError(f"{here}; what cannot be downloaded must be put there by hand: {wanted}")
    command = f"contrastbench data fetch {' '.join(missing)}"
    if not (console.is_terminal and sys.stdin.isatty() and typer.confirm(f"{here}. Fetch now?")):
        raise ValueError(f"{here}; `{command}` gets {'it' if len(missing) == 1 else 'them'}, then this goes on")
    for name in missing:
        catalogue.load(name, download=True)


# ---------------------------------------------------------------------------------------------------------- the display


class Display(Progress):
    """Follows a launch. Use as a context manager; ``watch`` is what launchers call."""

    def __init__(self, console: Console, total: int, seconds_between_lines: float = SECONDS_BETWEEN_LINES) -> None:
        columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        description = TextColumn("{task.description}", markup=False)
        super().__init__(description, *columns, console=console, transient=True, disable=not console.is_terminal)
        self.total = total
        self.seconds_between_lines = seconds_between_lines
        self.counts: Counter[str] = Counter()
        self._all = self.add_task("all runs", total=total)
        self._task_of: dict[Path, TaskID] = {}  # of each run at work
        self._told: set[tuple[Any, ...]] = set()
        self._waiting: dict[Path, str] = {}  # why a run waits in a scheduler's queue
        self._last_line = time.monotonic()

    def watch(self, job: Job, event: dict[str, Any]) -> None:
        if "status" in event:
            self._show_end(job, event)
        elif "waits" in event:
            self._waiting[job.folder] = event["waits"]
        else:
            self._show_progress(job, event)
        if not self.console.is_terminal and time.monotonic() - self._last_line > self.seconds_between_lines:
            self._last_line = time.monotonic()
            self.console.print(self._line(), highlight=False, soft_wrap=True)

    def _line(self) -> str:
        """``6/37 runs: 6 done; MUTAG InfoGraph seed 3 1a2b3c4d: epoch 120 of 200``."""
        ended = f"{self.counts.total()}/{self.total} runs: {in_words(self.counts) if self.counts else 'none ended yet'}"
        at_work = [
            task.description
            + (f": {task.fields['unit']} {task.completed:.0f} of {task.total:.0f}" if task.total else "")
            for task in self.tasks
            if task.id != self._all
        ]
        reasons = Counter(self._waiting.values()).most_common()
        waiting = [f"{count} wait ({reason})" for reason, count in reasons]
        return "; ".join([ended, *waiting, *at_work])

    def _show_progress(self, job: Job, event: dict[str, Any]) -> None:
        self._waiting.pop(job.folder, None)
        line, epochs = event["line"], getattr(job.run.config, "epochs", None)
        if job.folder not in self._task_of:
            self._task_of[job.folder] = self.add_task(_label(job), total=epochs, unit="epoch")
        task = self._task_of[job.folder]
        if "total" in line:
            self.update(task, total=line["total"], unit=line["unit"].removesuffix("s"))
        if "epoch" in line:
            total = self.tasks[self.task_ids.index(task)].total
            done = min(line["epoch"] + 1, total or math.inf)  # one that logs epoch 0 before training has a line more
            self.update(task, completed=done)
        for problem in filter(None, (line.get("note"), event.get("problem"))):
            if (job.folder, problem) not in self._told:  # a followed Slurm job repeats its latest line
                self._told.add((job.folder, problem))
                self.console.print(Text(f"{_label(job)}: {problem}", style="yellow"), soft_wrap=True)

    def _show_end(self, job: Job, event: dict[str, Any]) -> None:
        self._waiting.pop(job.folder, None)
        self.counts[event["status"]] += 1
        self.advance(self._all)
        if job.folder in self._task_of:
            self.remove_task(self._task_of.pop(job.folder))
        told = (event["status"], event.get("problem", ""))
        if told in self._told:
            return
        if event["status"] == "not submitted":  # Slurm says the same of every run of a submission: once is enough
            self._told.add(told)
        if event["status"] not in ("done", "taken"):
            failed = Text.assemble((event["status"], "red"), f" {_label(job)}  {event.get('problem', '')}")
            self.console.print(failed, soft_wrap=True)


def _label(job: Job) -> str:
    return f"{job.run.paper} {job.run.dataset} {job.run.method} seed {job.run.seed} {job.run.key[:8]}"


def in_words(states: Counter[str]) -> str:
    """``12 done, 1 failed``: the counts in a fixed order, empty ones left out."""
    known = [*FINISHED, *UNFINISHED]
    ordered = sorted(states, key=lambda name: known.index(name) if name in known else len(known))
    return ", ".join(f"{states[name]} {name}" for name in ordered if states[name]) or "no runs"
