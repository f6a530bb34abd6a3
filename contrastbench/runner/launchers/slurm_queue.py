"""What Slurm says of our jobs: which are in its queue, why one waits or has ended, how to cancel. Without accounting.

A run's mark (``queued.json``) names the folder of its submission and its task there, not a job number: it is written
before sbatch is called, and squeue shows the path of each job's script, which is in that folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from contrastbench.runner import files
from contrastbench.runner.states import StillQueued

JOB_NAME = "contrastbench"
COMMAND_SECONDS = 20.0  # a controller that is down or restarting may not hold up a status for longer
LINE = re.compile(r"(\d+)\|(\d+)\|(\w+)\|([^|]*)\|(/.*)/[^/]*")  # of squeue; a site may have it print other lines too
MISLEADING = ("SQUEUE_", "SCANCEL_", "SALLOC_", "PMI_")  # variables that submitit does not hide


class QueuedTask(NamedTuple):
    """One task of an array that Slurm knows of."""

    job: str  # as people name it: 123_4
    state: str  # PENDING, RUNNING, COMPLETING, ...
    reason: str


Place = tuple[str, int]  # the folder of a submission, and the task in its array
Queue = dict[Place, QueuedTask]


@contextlib.contextmanager
def outside_of_jobs() -> Iterator[None]:
    """What an outer job or a start-up file has set has no effect; SLURM_CONF says which cluster, not what to do."""
    from submitit.helpers import clean_env

    conf = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
    with clean_env([name for name in os.environ if name.startswith(MISLEADING)]):
        os.environ.update(conf)
        yield


def ask(*command: str) -> str | None:
    """What a Slurm command prints, or None where there is no such command or no controller answers."""
    if not shutil.which(command[0]):
        return None
    with outside_of_jobs():
        environment = dict(os.environ)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def read_queue(*more: str) -> Queue | None:
    """All of this user's runs in the queue, in one call; None if nobody answers."""
    answer = ask("squeue", "--me", f"--name={JOB_NAME}", "--noheader", "--array", "--format=%F|%K|%T|%r|%o", *more)
    if answer is None:
        return None
    found = [match.groups() for line in answer.splitlines() if (match := LINE.fullmatch(line.strip()))]
    return {(folder, int(task)): QueuedTask(f"{job}_{task}", state, why) for job, task, state, why, folder in found}


def still_queued(queue: Queue | None = None) -> StillQueued:
    """For ``plan`` and ``state_of``: whether a run's Slurm job may still start it. Asks squeue at most once.

    Where there is a Slurm whose controller does not answer, jobs count as queued: nothing is submitted twice.
    """
    known = functools.cache(lambda: read_queue() if queue is None else queue)

    def answer(mark: dict[str, Any]) -> bool | None:
        if mark.get("launcher") != "slurm":
            return None
        if mark.get("cancelled"):
            return False
        there = known()
        return shutil.which("squeue") is not None if there is None else place_of(mark) in there

    return answer


def mark_of(folder: Path) -> dict[str, Any]:
    """The run's queue mark if it was given to Slurm, else nothing."""
    try:
        mark = files.read_object(folder / "queued.json")
    except (OSError, ValueError):
        return {}
    return mark if mark.get("launcher") == "slurm" else {}


def place_of(mark: dict[str, Any]) -> Place:
    return str(mark.get("submission", "")), mark.get("task", -1)


def job_of(mark: dict[str, Any]) -> str:
    """The run's job as people name it: 123_4; a question mark for the number while no job has begun or answered."""
    submission, task = place_of(mark)
    path = Path(submission) / "job"
    return f"{path.read_text().strip() if path.is_file() else '?'}_{task}"


def runs_of(place: Place) -> list[Path]:
    """The folders of the runs that one task was given."""
    return [Path(name) for name in files.read_json(Path(place[0]) / "tasks.json")[place[1]]]


def cancel(folders: Iterable[Path]) -> tuple[list[str], list[Path]]:
    """Cancels the jobs of the given runs. Returns them, and all runs that this ends: a job may have others to do.

    Raises:
        ValueError: Slurm does not answer; nothing is marked as cancelled.
    """
    queue = read_queue()
    places = sorted({place_of(mark_of(folder)) for folder in folders} & (queue or {}).keys())
    jobs = [queue[place].job for place in places] if queue else []
    if queue is None or (jobs and ask("scancel", *jobs) is None):
        raise ValueError("Slurm does not answer, so nothing was cancelled; try again when it is back")
    runs = [folder for place in places for folder in runs_of(place) if not (folder / "row.json").exists()]
    for folder in runs:
        mark = {**mark_of(folder), "cancelled": datetime.now(UTC).isoformat(timespec="seconds")}
        files.write_json(folder / "queued.json", mark, sync=False)
    return jobs, runs


def job_logs(folder: Path) -> list[Path]:
    """What the Slurm job of a run printed itself, errors last, where these files exist."""
    mark = mark_of(folder)
    logs = [Path(place_of(mark)[0]) / f"{job_of(mark)}_0_log.{kind}" for kind in ("out", "err")] if mark else []
    return [path for path in logs if path.exists()]


def why_it_ended(folder: Path) -> str:
    """Why a run's job ended without a row: Slurm's word, while it knows the job, and the last line of the job's log."""
    mark = mark_of(folder)
    if not mark or mark.get("cancelled"):
        return f"cancelled by `contrastbench cancel` on {mark['cancelled']}" if mark else "its worker was killed"
    task = (read_queue("--states=all") or {}).get(place_of(mark))
    lines = [line.strip() for path in job_logs(folder) for line in path.read_text(errors="replace").splitlines()]
    causes = [line for line in lines if line and not line.startswith("srun:")] or ["see `contrastbench logs`"]
    return f"Slurm job {job_of(mark)} ended{f' ({task.state})' if task else ''}: {causes[-1]}"
