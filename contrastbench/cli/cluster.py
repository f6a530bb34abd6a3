"""Commands about one run or one cluster job: what it wrote, and how to take it out of Slurm's queue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from contrastbench.cli.app import app, complain, console, one_line_errors, places
from contrastbench.cli.choosing import asked_for
from contrastbench.cli.options import AnyScale, Seeds, Settings, Targets
from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.states import read_ticket


@app.command("cancel")
@one_line_errors
def cancel_jobs(
    targets: Targets = None, scale: AnyScale = None, seeds: Seeds = None, settings: Settings = None
) -> None:
    """Cancels the Slurm jobs of runs. What they saved stays, and `run` goes on from it."""
    chosen = asked_for(targets, scale, seeds, settings).folders(places.runs, complain)
    jobs, ended = slurm_queue.cancel([folder for folder in chosen if not (folder / "row.json").exists()])
    console.print(
        f"{len(jobs)} Slurm jobs cancelled, which ends {len(ended)} runs; local runs end with Ctrl-C where they began"
    )
    for folder in ended:
        if folder not in chosen:
            console.print(f"  {label_of(folder)}, which shared a job with one of those", soft_wrap=True)


def label_of(folder: Path) -> str:
    ticket = read_ticket(folder)
    return " ".join(str(ticket[name]) for name in ("paper", "dataset", "method", "seed")) + f" ({folder.name[:12]})"


@app.command("logs")
@one_line_errors
def show_logs(
    targets: Targets = None,
    scale: AnyScale = None,
    seeds: Seeds = None,
    settings: Settings = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="of one run: go on printing until it ends")] = False,
) -> None:
    """Shows what runs printed, and what their Slurm jobs said if they ended without a row."""
    if not targets:
        raise ValueError("whose logs? Give a run's key, as `status` and errors print it, or PAPER/TABLE/CELL")
    folders = asked_for(targets, scale, seeds, settings).folders(places.runs, complain)
    if not folders:
        raise ValueError(f"no run of {', '.join(targets)} was begun here (looked in {places.runs})")
    if follow and len(folders) > 1:
        raise ValueError(f"--follow is for one run, {', '.join(targets)} has {len(folders)}; give a key")
    for folder in folders:
        _show_log(folder)
    if follow:
        _follow(folders[0])


def _show_log(folder: Path) -> None:
    queue = slurm_queue.read_queue()
    state = states.state_of(folder, slurm_queue.still_queued(queue))
    console.print(Text.assemble((str(folder), "bold"), f": {state.name}"), soft_wrap=True)
    if (folder / "log.txt").exists():
        console.print((folder / "log.txt").read_text(errors="replace"), soft_wrap=True)
    for path in slurm_queue.job_logs(folder):
        console.print(Text(str(path), "bold"), soft_wrap=True)
        console.print(path.read_text(errors="replace"), soft_wrap=True)
    task = (queue or {}).get(slurm_queue.place_of(slurm_queue.mark_of(folder)))
    if task and task.state == "PENDING":
        console.print(f"Slurm job {task.job} waits: {task.reason}", soft_wrap=True)
    if state.name == "killed":
        console.print(slurm_queue.why_it_ended(folder), soft_wrap=True)


FOLLOW_SECONDS = 0.5  # between two looks at a run's files


def _follow(folder: Path) -> None:
    """Prints what the run adds to its curve and its log, until it ends."""
    read = {folder / "metrics.jsonl": 0, folder / "log.txt": _size(folder / "log.txt")}
    while True:
        at_work = states.state_of(folder, slurm_queue.still_queued()).name in ("running", "queued")
        for path, known in read.items():
            if (size := _size(path)) > known:
                with open(path, "rb") as file:
                    file.seek(known)
                    whole, newline, _ = file.read(size - known).rpartition(b"\n")
                console.print((whole + newline).decode(errors="replace"), end="", soft_wrap=True)
                read[path] = known + len(whole + newline)
        if not at_work:
            console.print(f"now: {states.state_of(folder).name}")
            return
        time.sleep(FOLLOW_SECONDS)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
