"""The runs that work or wait now: how far they are, where, and why they wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table as Grid

from contrastbench.cli.app import places
from contrastbench.runner import claims
from contrastbench.runner.checkpoint import Log
from contrastbench.runner.execute import folder_of
from contrastbench.runner.launchers.slurm_queue import Queue, mark_of
from contrastbench.runner.launchers.slurm_reasons import never
from contrastbench.runner.plan import Planned


def work_grid(planned: Iterable[Planned]) -> Grid | None:
    """One line per run at work: its epoch, node, job and when it was last heard of; None where none is."""
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


def waiting_lines(planned: Sequence[Planned], queue: Queue | None) -> list[str]:
    """Why the queued runs wait, in Slurm's words, with the number of runs; one line if a reason will not pass."""
    queued = [folder_of(each.run, places.runs) for each in planned if each.state.name == "queued"]
    if not queued or queue is None:
        return []
    tasks = [task for folder in queued if (task := queue.of(mark_of(folder))) and task.waits]
    reasons = Counter(task.reason for task in tasks)
    lines = [f"{count} wait in Slurm's queue: {reason}" for reason, count in reasons.most_common()]
    hopeless = {task.reason: never(task, "its profile") for task in tasks}
    return lines + [line for line in hopeless.values() if line]
