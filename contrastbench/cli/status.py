"""The command that tells the state of every run: how many are done, which are at work, and why others wait."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from contrastbench.cli.app import app, console, one_line_errors, places
from contrastbench.cli.display import COLOURS
from contrastbench.cli.options import Scale, Seeds, Settings, Targets, Watch
from contrastbench.cli.planning import planned_runs
from contrastbench.runner import claims, states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.log import Log
from contrastbench.runner.plan import Planned
from contrastbench.runner.states import folder_of

WATCH_SECONDS = 5.0  # between two looks of `status --watch`; each asks squeue once


@app.command("status")
@one_line_errors
def show_status(
    targets: Targets = None,
    scale: Scale = "quick",
    seeds: Seeds = None,
    settings: Settings = None,
    watch: Watch = False,
) -> None:
    """Counts the states of all runs, per table; lists the runs at work, and when each was last heard of."""
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
    at_work = _work_grid(planned)
    parts = [_status_grid(planned), "", at_work] if at_work else [_status_grid(planned)]
    return [*parts, *_waiting_lines(planned, queue)]


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


def _work_grid(planned: Iterable[Planned]) -> Grid | None:
    """A line for each run at work: its epoch, node, job and when it was last heard of. None if nothing is at work."""
    grid = Grid("run", "dataset", "method", "seed", "epoch", "node", "job", "last heard of", box=None)
    for each in planned:
        if each.state.name == "running" and each.state.claim:
            claim = each.state.claim
            labels = (each.run.key[:8], each.run.dataset, each.run.method, str(each.run.seed))
            where = (claim.owner["host"], claim.owner.get("job") or "local")
            grid.add_row(*labels, _epoch(each, claim.folder), *where, f"{claims.heartbeat_age(claim):.0f} s ago")
    return grid if grid.row_count else None


def _epoch(each: Planned, folder: Path) -> str:
    last = Log(folder).last_epoch()
    total = getattr(each.run.config, "epochs", None)
    return "" if last is None else f"{last + 1}" + (f" of {total}" if total else "")


def _waiting_lines(planned: Sequence[Planned], queue: slurm_queue.Queue | None) -> list[str]:
    """Counts the queued runs by the reason for which Slurm lets them wait."""
    queued = [folder_of(each.run, places.runs) for each in planned if each.state.name == "queued"]
    if not queued or queue is None:
        return []
    tasks = [queue.get(slurm_queue.place_of(slurm_queue.mark_of(folder))) for folder in queued]
    reasons = Counter(task.reason for task in tasks if task and task.state == "PENDING")
    return [f"{count} wait in Slurm's queue: {reason}" for reason, count in reasons.most_common()]
