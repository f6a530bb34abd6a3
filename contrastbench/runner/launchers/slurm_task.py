"""What one Slurm task does: a local queue over the devices that it was given, and what to do when it is told to stop.

Preempted: Slurm sends SIGTERM, often SIGUSR2 too, and takes the node some seconds later. Near the time limit it sends
SIGUSR2. In both cases the runs at work save at their next epoch boundary, submitit puts the job back into the queue,
and it goes on from the checkpoints. A node that is lost is noticed by Slurm, which requeues the job by itself.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
from submitit.helpers import DelayedSubmission

from contrastbench.runner import claims, states
from contrastbench.runner.execute import Host, give_up, needed_folders, read_ticket
from contrastbench.runner.launchers import Job, local
from contrastbench.runner.profiles import Profile
from contrastbench.runner.vocabulary import Run

END_SECONDS = 900.0  # how long a task that was told to stop waits for Slurm to end it


class Task:
    """Some runs, by their folders, as what submitit pickles and calls on the node.

    Args:
        folders: run folders with tickets, those that others need first.
        profile: decides how many work at the same time.
    """

    def __init__(self, folders: list[str], profile: Profile) -> None:
        self.folders = [Path(folder) for folder in folders]
        self.profile = profile
        self.timeouts = 0  # since a run of this task was finished last
        self.finished = 0
        self.stopping = False
        self.began = 0.0

    def __call__(self) -> dict[str, str]:
        """Does the runs and returns the last known state of each, by key."""
        self.stopping, self.began = False, time.monotonic()
        signal.signal(signal.SIGTERM, self._told_to_stop)
        slots = [local.Slot(device, self.profile.threads) for device in self._devices()]
        given_up: set[Path] = set()
        while jobs := [self._job(folder) for folder in self._unfinished() if folder not in given_up]:
            outcome = local.launch(jobs, slots, watch=_print, scheduler_job=job_id(), stopping=lambda: self.stopping)
            if self.stopping:
                time.sleep(END_SECONDS)  # ending by itself would tell Slurm that the work is done
                break
            taken = {folder for folder, status in outcome.ended.items() if status == "taken"}
            given_up |= set(outcome.problems) | {folder for folder in taken if not self._was_ours(folder)}
            if taken - given_up:  # our own former self, on a node that was lost: wait until it counts as dead
                time.sleep(claims.HEARTBEAT_SECONDS)
        return {folder.name: states.state_of(folder).name for folder in self.folders}

    def checkpoint(self) -> DelayedSubmission | None:
        """Called by submitit when the task must go: waits for the runs to save and returns what goes back to the queue.

        A run that has reached the time limit ``attempts`` times gets a row that says timed_out; None if none is left.
        """
        self.stopping = True
        ended_by_time = time.monotonic() - self.began >= self._limit_seconds() - self.profile.signal_seconds - 60
        started = [folder for folder in self._unfinished() if claims.latest(folder)]
        self._wait_until_saved()
        if ended_by_time:
            self._count_timeout(started)
        return DelayedSubmission(self) if self._unfinished() else None

    def _told_to_stop(self, number: int, frame: object) -> None:
        self.stopping = True

    def _unfinished(self) -> list[Path]:
        return [folder for folder in self.folders if states.state_of(folder).name not in states.FINISHED]

    def _job(self, folder: Path) -> Job:
        ticket = read_ticket(folder)
        labels = {name: ticket[name] for name in ("paper", "seed", "scale", "dataset", "method")}
        return Job(Run(config=None, **labels), folder, tuple(needed_folders(ticket, folder).values()))

    def _was_ours(self, folder: Path) -> bool:
        claim = claims.latest(folder)
        return claim is not None and claim.owner["job"] == job_id()

    def _devices(self) -> list[str]:
        """One device per run that works at the same time; CUDA counts the GPUs that Slurm gave from 0."""
        if self.profile.run_device == "cpu":
            return ["cpu"] * self.profile.runs_at_once
        return [f"cuda:{index}" for _ in range(self.profile.runs_per_gpu) for index in range(self.profile.gpus)]

    def _limit_seconds(self) -> float:
        return self.profile.hours * 3600

    def _wait_until_saved(self) -> None:
        """Slurm has told the workers too; those with a run save it and end. The rest is killed before the requeue."""
        workers = psutil.Process().children()
        for worker in workers:
            worker.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + max(5.0, self.profile.signal_seconds - 30)
        while time.monotonic() < deadline and any(states.state_of(f).name == "running" for f in self.folders):
            time.sleep(0.1)
        for worker in workers:
            worker.kill()

    def _count_timeout(self, started: list[Path]) -> None:
        finished = len(self.folders) - len(self._unfinished())
        self.timeouts = self.timeouts + 1 if finished == self.finished else 1
        self.finished = finished
        if self.timeouts < self.profile.attempts:
            return
        message = (
            f"not finished in {self.timeouts} tasks of {self.profile.hours:.2f} hours; give the profile more hours"
        )
        for folder in set(started) & set(self._unfinished()):
            give_up(
                folder, Host(self.profile.run_device, self.profile.threads, "slurm", job_id()), "timed_out", message
            )
        self.timeouts = 0


def job_id() -> str:
    """This task's job as squeue names it: ``123`` or, in an array, ``123_4``."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _print(job: Job, event: dict[str, Any]) -> None:
    if "status" in event or "problem" in event:
        print(job.folder.name[:12], event.get("status", ""), event.get("problem", ""), flush=True)
