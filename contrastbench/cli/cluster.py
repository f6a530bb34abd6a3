"""Commands about one run or one cluster job: what it wrote, and how to take it out of Slurm's queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from contrastbench.cli.app import app, console, one_line_errors, places, selections
from contrastbench.cli.running import Targets
from contrastbench.papers import Selection
from contrastbench.runner import files, rows, states
from contrastbench.runner.launchers import slurm_queue


@app.command("cancel")
@one_line_errors
def cancel_jobs(targets: Targets = None) -> None:
    """Takes runs out of Slurm's queue or ends them there, of any scale. What they saved stays; `run` goes on."""
    chosen = selections(targets)
    open_runs = [folder for folder in _folders(chosen) if states.state_of(folder).row is None]
    cancelled = slurm_queue.cancel(open_runs)
    runs = sum(len(folders) for folders in cancelled.values())
    console.print(
        f"{len(cancelled)} Slurm jobs with {runs} runs cancelled; local runs end with Ctrl-C where they began"
    )


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
        several = (
            f"{len(found)} runs begin so: {', '.join(_short(found))}" if found else f"no run in {places.runs} does"
        )
        raise ValueError(f"{key!r} must be the beginning of one run's key; {several}")
    return found[0]


def _folders(chosen: list[Selection]) -> Iterator[Path]:
    """The run folders whose tickets stand in a chosen table or cell."""
    for selection in chosen:
        for folder in rows.run_folders(places.runs, selection.paper.name):
            stands_in = files.read_json(folder / "config.json")["cells"]
            if any(table in selection.tables and selection.cell in (None, cell) for table, cell in stands_in):
                yield folder


def _short(folders: list[Path]) -> Iterator[str]:
    return (folder.name[:16] for folder in folders[:5])
