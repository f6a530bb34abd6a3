"""What Slurm says of our jobs: which are in its queue, why one waits or has ended, how to cancel. Without accounting.

``squeue`` knows only jobs that are waiting or running. That is enough: together with a run's own files it tells
queued, running and killed apart. ``sacct``, where a site has it, adds the reason of an end.

A run's mark (``queued.json``) names the folder of its submission and its task there, not a job number: it is written
before sbatch is called, and squeue shows the path of each job's script, which is in that folder.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.launchers.slurm_reasons import first_cause
from contrastbench.runner.launchers.slurm_script import JOB_NAME
from contrastbench.runner.states import StillQueued

SCRIPT = "job.sh"  # in the folder of a submission
COMMAND_SECONDS = 20.0  # a controller that is down or restarting may not hold up a status for longer
SHOWN = "--format=%F|%K|%T|%r|%N|%o"  # array job, task, state, reason, nodes, script
# Variables that change what Slurm's commands do. A profile says what is asked for, and not the shell that submits.
INHERITED = ("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SALLOC_", "SQUEUE_", "SCANCEL_", "SACCT_", "SCONTROL_", "PMI_")
OF_PROCESS_GROUPS = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class QueuedTask:
    """One task of an array that Slurm knows of."""

    job: str  # as people name it: 123_4
    submission: str  # the folder of its submission
    task: int
    state: str  # PENDING, RUNNING, COMPLETING, ...
    reason: str
    nodes: str

    @property
    def waits(self) -> bool:
        return self.state == "PENDING"


class Queue:
    """One answer of squeue: this user's runs that wait, work or end just now."""

    def __init__(self, tasks: Iterable[QueuedTask]) -> None:
        self._tasks = {(task.submission, task.task): task for task in tasks}

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Any:
        return iter(self._tasks.values())

    def of(self, mark: dict[str, Any]) -> QueuedTask | None:
        """The task that a run's mark names, if it is in the queue."""
        return self._tasks.get((mark["submission"], mark["task"])) if mark else None


def environment() -> dict[str, str]:
    """This process's environment for Slurm's commands: nothing that an outer job or a shell's start-up file has set."""
    kept = {"SLURM_CONF"}  # says which cluster, not what to do there
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not (name.startswith(INHERITED) or name in OF_PROCESS_GROUPS)
    }


def ask(*command: str) -> str | None:
    """What a Slurm command prints, or None where there is no such command or no controller answers."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def is_there() -> bool:
    return ask("sbatch", "--version") is not None


def read_queue(*more: str) -> Queue | None:
    """All of this user's runs in the queue, in one call; None if nobody answers."""
    answer = ask("squeue", "--me", f"--name={JOB_NAME}", "--noheader", "--array", SHOWN, *more)
    return None if answer is None else Queue(_tasks(answer))


def _tasks(answer: str) -> Iterable[QueuedTask]:
    for line in answer.splitlines():
        job, task, state, reason, nodes, script = line.strip().split("|", 5)
        if task.isdigit() and script.endswith(f"/{SCRIPT}"):
            submission = str(Path(script).parent)
            why = "Slurm has not looked at it yet" if reason == "None" else reason.strip("()")
            yield QueuedTask(f"{job}_{task}", submission, int(task), state, why, nodes)


def release_failed_launches(queue: Queue) -> None:
    """Lets go of jobs that Slurm requeued and then held because a node failed while it started them.

    Such a job waits for ever otherwise. It has not begun, so there is nothing that could be wrong with it.
    """
    held = [task.job for task in queue if "launch failed requeued held" in task.reason.replace("_", " ")]
    if held:
        ask("scontrol", "release", ",".join(held))


class MarkReader:
    """For ``plan`` and ``state_of``: whether a run's Slurm job may still start it. Asks squeue at most once.

    Where there is a Slurm whose controller does not answer, jobs count as queued: nothing is submitted twice.
    """

    def __init__(self, queue: Queue | None = None) -> None:
        self._queue = queue
        self._asked = queue is not None
        self._there = True

    @property
    def queue(self) -> Queue | None:
        if not self._asked:
            self._queue, self._asked = read_queue(), True
            self._there = self._queue is not None or is_there()
        return self._queue

    def __call__(self, mark: dict[str, Any]) -> bool | None:
        if mark.get("launcher") != "slurm":
            return None
        queue = self.queue
        if mark.get("cancelled") or not self._there:
            return False
        return queue is None or queue.of(mark) is not None


def still_queued(queue: Queue | None = None) -> StillQueued:
    return MarkReader(queue)


def mark_of(folder: Path) -> dict[str, Any]:
    """The run's queue mark if it was given to Slurm, else nothing."""
    path = folder / "queued.json"
    mark = files.read_json(path) if path.exists() else {}
    return mark if mark.get("launcher") == "slurm" else {}


def job_of(mark: dict[str, Any]) -> str:
    """The run's job as people name it: 123_4; a question mark for the number while no job has begun or answered."""
    path = Path(mark["submission"]) / "job"
    number = path.read_text().strip() if path.exists() else "?"
    return f"{number}_{mark['task']}"


def cancel(folders: Iterable[Path]) -> tuple[list[str], list[Path]]:
    """Takes the given runs out of Slurm's queue or ends them there: one squeue and at most one scancel.

    A job all of whose runs are given is cancelled whole. A job that has others to do drops the given ones by itself:
    it looks at their marks before it begins a run, and now and then while one works.

    Returns:
        The jobs cancelled whole, and the runs cancelled in all.

    Raises:
        ValueError: Slurm does not answer; nothing is marked as cancelled.
    """
    queue = read_queue()
    if queue is None:
        raise ValueError("Slurm does not answer (squeue failed), so nothing was cancelled; try again when it is back")
    marks = {folder: mark for folder in folders if (mark := mark_of(folder)) and queue.of(mark)}
    marks = {folder: mark for folder, mark in marks.items() if not mark.get("cancelled")}
    whole = _jobs_without_other_runs(marks, queue)
    if whole and ask("scancel", *whole) is None:
        raise ValueError("scancel failed, so nothing was cancelled; try again")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for folder, mark in marks.items():
        files.write_json(folder / "queued.json", {**mark, "cancelled": now}, sync=False)
    return whole, list(marks)


def _jobs_without_other_runs(marks: dict[Path, dict[str, Any]], queue: Queue) -> list[str]:
    tasks: dict[tuple[str, int], set[Path]] = {}
    for folder, mark in marks.items():
        tasks.setdefault((mark["submission"], mark["task"]), set()).add(folder)
    whole = []
    for (submission, number), given in tasks.items():
        others = [folder for folder in task_folders(Path(submission), number) if folder not in given]
        if all(not _is_wanted(folder, submission) for folder in others):
            whole.append(queue.of({"submission": submission, "task": number}).job)  # type: ignore[union-attr]
    return sorted(whole)


def _is_wanted(folder: Path, submission: str) -> bool:
    """Whether a run still waits for this submission to do it."""
    mark = mark_of(folder)
    ours = mark.get("submission") == submission and not mark.get("cancelled")
    return ours and not (folder / "row.json").exists()


def task_folders(submission: Path, task: int) -> list[Path]:
    """The run folders of one task, as its submission wrote them down."""
    runs_folder = submission.parents[1]
    return [runs_folder / name for name in files.read_json(submission / "tasks.json")["tasks"][task]]


def job_logs(folder: Path) -> list[Path]:
    """What the Slurm job of a run printed itself, where that file exists."""
    mark = mark_of(folder)
    logs = [Path(mark["submission"]) / f"{mark['task']}.log"] if mark else []
    return [path for path in logs if path.exists()]


def why_it_ended(folder: Path) -> str:
    """The reason why a run's Slurm job ended without a row, in Slurm's own words as far as it left any."""
    mark = mark_of(folder)
    if not mark:
        return "its worker was killed"
    if mark.get("cancelled"):
        return f"Slurm job {job_of(mark)} was cancelled by `contrastbench cancel` on {mark['cancelled']}"
    job = job_of(mark)
    said = [line for path in job_logs(folder) for line in path.read_text(errors="replace").splitlines()]
    accounted = ask("sacct", "-j", job, "--noheader", "--parsable2", "-X", "--format=State,ExitCode,NodeList")
    details = [first_cause(said), accounted.strip().splitlines()[-1] if accounted and accounted.strip() else ""]
    told = "; ".join(filter(None, details)) or "Slurm left no reason; see `contrastbench logs`"
    return f"Slurm job {job} ended: {told}"
