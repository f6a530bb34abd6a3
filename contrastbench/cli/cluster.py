"""Commands about one run or one cluster job: what it wrote, and how to take it out of Slurm's queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from contrastbench.cli.app import app, console, one_line_errors, places
from contrastbench.cli.running import Scale, Targets, planned_runs
from contrastbench.runner import rows, states
from contrastbench.runner.execute import folder_of
from contrastbench.runner.launchers import slurm_queue


@app.command("cancel")
@one_line_errors
def cancel_jobs(targets: Targets = None, scale: Scale = "quick") -> None:
    """Takes runs out of Slurm's queue or ends them there. What they saved stays; `run` goes on from it."""
    folders = [folder_of(each.run, places.runs) for each in planned_runs(targets, scale)]
    cancelled = slurm_queue.cancel(folder for folder in folders if states.state_of(folder).row is None)
    for job, runs in cancelled.items():
        console.print(f"Slurm job {job}: {len(runs)} runs ({', '.join(folder.name[:8] for folder in runs[:6])} ...)")
    console.print(f"{len(cancelled)} Slurm jobs cancelled; a local run is stopped with Ctrl-C where it was started")


@app.command("logs")
@one_line_errors
def show_logs(
    key: Annotated[str, typer.Argument(help="a run's key, or the beginning of one, as `status` and errors print it")],
) -> None:
    """What a run printed, and what its Slurm job said when it ended without a row."""
    folder = run_folder(key)
    state = states.state_of(folder, slurm_queue.still_queued())
    console.print(f"[bold]{folder}[/bold]: {state.name}", soft_wrap=True)
    if (folder / "log.txt").exists():
        console.print((folder / "log.txt").read_text(errors="replace"), markup=False, highlight=False, soft_wrap=True)
    for path in slurm_queue.job_logs(folder):
        console.print(f"[bold]{path}[/bold]", soft_wrap=True)
        console.print(path.read_text(errors="replace"), markup=False, highlight=False, soft_wrap=True)
    if state.name == "killed":
        console.print(slurm_queue.why_it_ended(folder), markup=False, soft_wrap=True)


def run_folder(key: str) -> Path:
    """The one run folder whose key begins so.

    Raises:
        ValueError: none or several do; the message says which.
    """
    found = [folder for folder in rows.run_folders(places.runs) if folder.name.startswith(key)]
    if len(found) != 1 or not key:
        several = f"{len(found)} runs begin so: {', '.join(_short(found))}" if found else f"no run in {places.runs} does"
        raise ValueError(f"{key!r} must be the beginning of one run's key; {several}")
    return found[0]


def _short(folders: list[Path]) -> Iterator[str]:
    return (folder.name[:16] for folder in folders[:5])
