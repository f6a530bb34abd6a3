"""Commands about one run or one cluster job: what it wrote, and how to take it out of Slurm's queue."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from contrastbench.cli.app import app, console, one_line_errors
from contrastbench.cli.choosing import AnyScale, Seeds, Settings, Targets, chosen_folders, run_folder
from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue


@app.command("cancel")
@one_line_errors
def cancel_jobs(
    targets: Targets = None, scale: AnyScale = None, seeds: Seeds = None, settings: Settings = None
) -> None:
    """Takes runs out of Slurm's queue or ends them there. What they saved stays; `run` goes on."""
    chosen = chosen_folders(targets, scale, seeds, settings)
    open_runs = [folder for folder in chosen if not (folder / "row.json").exists()]
    whole, runs = slurm_queue.cancel(open_runs)
    console.print(
        f"{len(runs)} runs cancelled, with them {len(whole)} Slurm jobs that had no other runs to do; "
        "local runs end with Ctrl-C where they began"
    )


@app.command("logs")
@one_line_errors
def show_logs(
    key: Annotated[str, typer.Argument(help="a run's key, or the beginning of one, as `status` and errors print it")],
) -> None:
    """What a run printed, and what its Slurm job said when it ended without a row."""
    folder = run_folder(key)
    queue = slurm_queue.read_queue()
    state = states.state_of(folder, slurm_queue.still_queued(queue))
    console.print(Text.assemble((str(folder), "bold"), f": {state.name}"), soft_wrap=True)
    if (folder / "log.txt").exists():
        console.print((folder / "log.txt").read_text(errors="replace"), soft_wrap=True)
    for path in slurm_queue.job_logs(folder):
        console.print(Text(str(path), "bold"), soft_wrap=True)
        console.print(path.read_text(errors="replace"), soft_wrap=True)
    task = queue.of(slurm_queue.mark_of(folder)) if queue else None
    if task and task.waits:
        reason = slurm_queue.never(task, "its profile") or f"Slurm job {task.job} waits: {task.reason}"
        console.print(reason, soft_wrap=True)
    if state.name == "killed":
        console.print(slurm_queue.why_it_ended(folder), soft_wrap=True)
