"""Commands about runs at work: `status` counts them, `logs` shows what they printed, `cancel` ends those of Slurm."""

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from contrastbench.cli.app import Folders, command, complain, console, grid_of
from contrastbench.cli.options import Watch, Which, WhichAtAnyScale
from contrastbench.cli.planning import planned_runs
from contrastbench.runner import claims, files, states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.log import Log
from contrastbench.runner.plan import Planned
from contrastbench.runner.states import folder_of, queue_mark, read_ticket

WATCH_SECONDS = 5.0  # between two looks of `status --watch`; each asks squeue once
FOLLOW_SECONDS = 0.5  # between two looks of `logs --follow` at a run's files
COLOURS = {"done": "green", "running": "cyan", "queued": "cyan", "killed": "yellow", "lost": "yellow", "new": "dim"}


@command("status")
def show_status(folders: Folders, which: Which, watch: Watch = False) -> None:
    """Counts the states of all runs, per table; lists the runs at work, and when each was last heard of."""
    asked = which.read()
    with Live(console=console, transient=True) if watch else contextlib.nullcontext() as live:
        while True:
            queue = slurm_queue.read_queue()
            planned = planned_runs(asked, folders, slurm_queue.still_queued(queue), every_table=True)
            at_work = _work_grid(planned)
            parts = ("", at_work) if at_work.row_count else ()
            shown = Group(status_grid(planned), *parts, *_waiting_lines(planned, queue, folders.runs))
            if not live or not any(each.state.name in ("running", "queued") for each in planned):
                break
            live.update(shown)
            time.sleep(WATCH_SECONDS)
    console.print(shown)


def status_grid(planned: Sequence[Planned]) -> Grid:
    """A line for each table: how many of its runs are in which state."""
    tables: dict[str, Counter[str]] = {}
    for each in planned:
        for table in dict.fromkeys(table for table, _ in each.places):
            tables.setdefault(f"{each.run.paper}/{table}", Counter())[each.state.name] += 1
    every_state = (*states.FINISHED, *states.UNFINISHED)
    used = [name for name in every_state if any(counts[name] for counts in tables.values())]
    grid = grid_of("table", *(Text(name, COLOURS.get(name, "red")) for name in used))
    for table, counts in tables.items():
        grid.add_row(table, *(str(counts[name] or "") for name in used))
    return grid


def _work_grid(planned: Iterable[Planned]) -> Grid:
    """A line for each run at work: its epoch, node, job and when it was last heard of."""
    grid = grid_of("run", "dataset", "method", "seed", "epoch", "node", "job", "last heard of")
    for each in planned:
        if each.state.name == "running" and each.state.claim:
            claim, total = each.state.claim, getattr(each.run.config, "epochs", None)
            labels = (each.run.key[:8], each.run.dataset, each.run.method, str(each.run.seed))
            last = Log(claim.folder).last_epoch()
            epoch = "" if last is None else f"{last + 1}" + (f" of {total}" if total else "")
            where = (str(claim.owner.get("host", "?")), claim.owner.get("job") or "local")
            grid.add_row(*labels, epoch, *where, f"{claims.heartbeat_age(claim):.0f} s ago")
    return grid


def _waiting_lines(planned: Sequence[Planned], queue: slurm_queue.Queue | None, runs: Path) -> list[str]:
    """Counts the queued runs by the reason for which Slurm lets them wait."""
    queued = [folder_of(each.run, runs) for each in planned if each.state.name == "queued"]
    if not queued or queue is None:
        return []
    tasks = [queue.get(slurm_queue.place_of(folder)) for folder in queued]
    reasons = Counter(task.reason for task in tasks if task and task.state == "PENDING")
    return [f"{count} wait in Slurm's queue: {reason}" for reason, count in reasons.most_common()]


@command("logs")
def show_logs(
    folders: Folders,
    which: WhichAtAnyScale,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="of one run: go on printing until it ends")] = False,
) -> None:
    """Shows what runs printed, and what their Slurm jobs said if they ended without a row."""
    if not which.targets:
        raise ValueError("whose logs? Give a run's key, as `status` and errors print it, or PAPER/TABLE/CELL")
    begun, names = which.read().folders(folders.runs, complain), ", ".join(which.targets)
    if not begun:
        raise ValueError(f"no run of {names} was begun here (looked in {folders.runs})")
    if follow and len(begun) > 1:
        raise ValueError(f"--follow is for one run, {names} has {len(begun)}; give a key")
    for folder in begun:
        _show_log(folder)
    if follow:
        _follow(begun[0])


def _show_log(folder: Path) -> None:
    queue = slurm_queue.read_queue()
    state = states.state_of(folder, slurm_queue.still_queued(queue))
    console.print(Text.assemble((str(folder), "bold"), f": {state.name}"), soft_wrap=True)
    if os.path.lexists(folder / "log.txt"):
        _print_file(folder / "log.txt")
    for path in slurm_queue.job_logs(folder):
        console.print(Text(str(path), "bold"), soft_wrap=True)
        _print_file(path)
    task = (queue or {}).get(slurm_queue.place_of(folder))
    if task and task.state == "PENDING":
        console.print(f"Slurm job {task.job} waits: {task.reason}", soft_wrap=True)
    if state.name == "killed":
        console.print(slurm_queue.why_it_ended(folder), soft_wrap=True)


def _print_file(path: Path) -> None:
    """Prints what a run or a job wrote, but nothing in it that would move the terminal's cursor."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        text = f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
    console.print(files.printable(text), soft_wrap=True)


def _follow(folder: Path) -> None:
    """Prints what the run adds to its curve and its log, until it ends."""
    log = folder / "log.txt"
    read = {folder / "metrics.jsonl": 0, log: log.stat().st_size if log.exists() else 0}
    while True:
        at_work = states.state_of(folder, slurm_queue.still_queued()).name in ("running", "queued")
        for path in filter(Path.exists, read):
            with open(path, "rb") as file:
                file.seek(read[path])
                whole, newline, _ = file.read().rpartition(b"\n")
            console.print((whole + newline).decode(errors="replace"), end="", soft_wrap=True)
            read[path] += len(whole + newline)
        if not at_work:
            console.print(f"now: {states.state_of(folder).name}")
            return
        time.sleep(FOLLOW_SECONDS)


@command("cancel")
def cancel_jobs(folders: Folders, which: WhichAtAnyScale) -> None:
    """Cancels the Slurm jobs of runs. What they saved stays, and `run` goes on from it."""
    meant = which.read().folders(folders.runs, complain)
    jobs, ended = _cancel([folder for folder in meant if not (folder / "row.json").exists()])
    console.print(
        f"{len(jobs)} Slurm jobs cancelled, which ends {len(ended)} runs; local runs end with Ctrl-C where they began"
    )
    for folder in (folder for folder in ended if folder not in meant):
        ticket = read_ticket(folder)
        label = " ".join(str(ticket[name]) for name in ("paper", "dataset", "method", "seed"))
        console.print(f"  {label} ({folder.name[:12]}), which shared a job with one of those", soft_wrap=True)


def _cancel(folders: Sequence[Path]) -> tuple[list[str], list[Path]]:
    """Cancels the Slurm jobs of runs. Returns them, and all runs that this ends: a job may have others to do.

    Raises:
        ValueError: Slurm does not answer; nothing is marked as cancelled.
    """
    queue = slurm_queue.read_queue()
    places = sorted({slurm_queue.place_of(folder) for folder in folders} & (queue or {}).keys())
    jobs = [queue[place].job for place in places] if queue else []
    if queue is None or (jobs and slurm_queue.ask("scancel", *jobs) is None):
        raise ValueError("Slurm does not answer, so nothing was cancelled; try again when it is back")
    runs = [folder for place in places for folder in slurm_queue.runs_of(place) if not (folder / "row.json").exists()]
    for folder in runs:
        mark = {**queue_mark(folder), "cancelled": datetime.now(UTC).isoformat(timespec="seconds")}
        files.write_json(folder / "queued.json", mark, sync=False)
    return jobs, runs
