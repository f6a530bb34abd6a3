"""What Slurm says of our jobs: which are in its queue, and why one has ended. Without accounting.

A run's mark (``queued.json``) names no job but a place: the folder of its submission, and the task there. That is known
before sbatch is called, and squeue shows the path of each job's script, which is in that folder.
"""

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from contrastbench.runner import files
from contrastbench.runner.states import StillQueued, queue_mark

JOB_NAME = "contrastbench"
LINE = re.compile(r"(\d+)\|(\d+)\|(\w+)\|([^|]*)\|(/.*)/[^/]*")  # of squeue; a site may have it print other lines too
MISLEADING = ("SQUEUE_", "SCANCEL_", "SALLOC_", "PMI_")  # variables that submitit does not hide


class QueuedTask(NamedTuple):
    job: str  # one task of an array, as people name it: 123_4
    state: str  # PENDING, RUNNING, COMPLETING, ...
    reason: str


Queue = dict[str, QueuedTask]  # by place


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
    try:  # a controller that is down or restarting may not hold up a status for longer
        with outside_of_jobs():
            done = subprocess.run(command, capture_output=True, text=True, timeout=20.0)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def read_queue(*more: str) -> Queue | None:
    """All of this user's runs in the queue, in one call; None if nobody answers."""
    answer = ask("squeue", "--me", f"--name={JOB_NAME}", "--noheader", "--array", "--format=%F|%K|%T|%r|%o", *more)
    found = [match.groups() for line in (answer or "").splitlines() if (match := LINE.fullmatch(line.strip()))]
    queue = {f"{folder}/{task}": QueuedTask(f"{job}_{task}", state, why) for job, task, state, why, folder in found}
    return None if answer is None else queue


def still_queued(queue: Queue | None = None) -> StillQueued:
    """Whether the job of a mark may still start its run. While no controller answers, all may: none runs twice."""
    known = functools.cache(lambda: read_queue() if queue is None else queue)

    def answer(mark: dict[str, Any]) -> bool | None:
        if mark.get("cancelled"):
            return False
        if mark.get("launcher") != "slurm":
            return None
        return shutil.which("squeue") is not None if (there := known()) is None else str(mark.get("place")) in there

    return answer


def place_of(folder: Path) -> str:
    return str(queue_mark(folder).get("place", ""))


def runs_of(place: str) -> list[Path]:
    """The folders of the runs that one task was given."""
    return [Path(name) for name in files.read_json(Path(place).with_name("tasks.json"))[int(Path(place).name)]]


def job_logs(folder: Path) -> list[Path]:
    """What the Slurm job of a run printed itself, errors last, where these files exist."""
    place = Path(place_of(folder))
    return sorted(place.parent.glob(f"*_{place.name}_0_log.*"), reverse=True)


def why_it_ended(folder: Path) -> str:
    """Why a run's job ended without a row: Slurm's word, while it knows the job, and the last line of the job's log."""
    mark, logs = queue_mark(folder), job_logs(folder)
    if mark.get("cancelled"):
        return f"cancelled by `contrastbench cancel` on {mark['cancelled']}"
    if mark.get("launcher") != "slurm":
        return "its worker was killed"
    task = (read_queue("--states=all") or {}).get(place_of(folder))
    lines = [line.strip() for path in logs for line in path.read_text(errors="replace").splitlines()]
    causes = [line for line in lines if line and not line.startswith("srun:")] or ["see `contrastbench logs`"]
    return f"Slurm job {task.job} ended ({task.state}): {causes[-1]}" if task else f"its Slurm job ended: {causes[-1]}"
