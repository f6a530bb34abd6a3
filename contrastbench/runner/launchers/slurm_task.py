"""What one Slurm task does: a local queue over the devices that it was given, and what to do when it is told to stop.

Preempted: Slurm sends SIGTERM, often SIGUSR2 too, and takes the node some seconds later. Near the time limit it sends
SIGUSR2. In both cases the runs at work save at their next epoch boundary and the task ends with the exit code
``AGAIN``; the job's script then puts the job back into the queue, and it goes on from the checkpoints. A node that is
lost is noticed by Slurm, which requeues the job by itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from contrastbench.runner import claims, files, states
from contrastbench.runner.devices import Host, kills_for_memory
from contrastbench.runner.execute import give_up
from contrastbench.runner.launchers import Job, local, readiness, slurm_group
from contrastbench.runner.launchers.slurm_notes import Notes
from contrastbench.runner.launchers.slurm_queue import mark_of, task_folders
from contrastbench.runner.launchers.slurm_script import AGAIN, MEMORY_KILLS, NO_WORKING_GPU
from contrastbench.runner.profiles import Profile, profile_of
from contrastbench.runner.staging import staged
from contrastbench.runner.states import needed_folders, read_ticket
from contrastbench.runner.vocabulary import Run

CANCELLED = "cancelled, or given to another job"
LOOK_SECONDS = 10.0  # how often a task looks whether a run that it has at work was cancelled
SAVE_MARGIN_SECONDS = 30.0  # the workers are killed this long before Slurm would do it
GPU_CHECK_SECONDS = 180.0
USES_EVERY_GPU = """
import torch
for index in range({count}):
    assert (torch.ones(8, device=f"cuda:{{index}}") + 1).sum().item() == 16
"""


class Task:
    """Some runs, one after another and several at a time.

    Args:
        submission: the folder with the script and the list of the array's tasks.
        number: which of them this is.
    """

    def __init__(self, submission: Path, number: int) -> None:
        self.submission, self.number = submission, number
        asked = files.read_json(submission / "tasks.json")
        self.profile: Profile = profile_of(asked["profile"])
        self.hours: float = asked["hours"]
        self.folders = task_folders(submission, number)
        self.notes = Notes(submission, number)
        self.stopping = False
        self.began = time.monotonic()

    def work(self) -> int:
        """Does the runs and returns the exit code: 0, or ``AGAIN`` if it was told to go and has more to do."""
        signal.signal(signal.SIGTERM, self._told_to_go)
        signal.signal(signal.SIGUSR2, self._told_to_go)
        if os.environ.get(MEMORY_KILLS):
            if self.notes["told_to_go"]:  # it has saved; that a run was killed before hid its exit code
                return AGAIN if self._to_do() else 0
            if slurm_group.leads():
                self._blame_for_memory()
            if self.profile.nodes_per_run == 1 and not self._to_do():
                return 0
        self.notes.write(told_to_go=False)
        if self.profile.scratch:
            self._stage_data()
        if problem := self._gpu_problem():
            self._give_up(self._to_do(), "failed", NO_WORKING_GPU, problem, device="none")
            return 0
        threading.Thread(target=self._drop_cancelled, daemon=True).start()
        if self.profile.processes_per_run > 1:
            return self._share_runs()
        self._do_runs()
        return self._leave() if self.stopping and self._to_do() else 0

    def _blame_for_memory(self) -> None:
        """After Slurm has ended the last step for its memory, this task with it: the run that was at work gets its row.

        Where several were at work nobody can say which of them took the memory: from now on they work one at a time.
        """
        claimed = {folder: claims.latest(folder) for folder in self._to_do() if self._was_ours(folder)}
        taken = {folder: claim.taken for folder, claim in claimed.items() if claim}
        begun = [folder for folder in taken if taken[folder] >= self.notes.last_start]
        alone = self.notes["alone"] or self.profile.processes_per_run > 1
        if len(begun) == 1 or (begun and alone):
            latest = max(begun, key=lambda folder: taken[folder])
            self._give_up([latest], "out_of_memory", "", local.killed_for_memory())
        self.notes.write(alone=bool(begun))

    def _share_runs(self) -> int:
        """One run at a time, on all devices of all nodes; the first node's task says which, the others follow."""
        group = slurm_group.Group(self.submission, self.number, self.profile, job_id())
        if not group.leads:
            return group.follow(lambda: self.stopping)
        for folder in self._to_do():
            ready = readiness(self._job(folder))
            for _ in range(local.ATTEMPTS if ready == "ready" else 0):
                if not self.stopping and folder in self._to_do():
                    kills = kills_for_memory()
                    group.do(folder)
                    if kills_for_memory() > kills and folder in self._to_do():
                        self._give_up([folder], "out_of_memory", "", local.killed_for_memory())
        group.end()
        return self._leave() if self.stopping and self._to_do() else 0

    def _do_runs(self) -> None:
        slots = [local.Slot(device, self.profile.threads) for device in self._devices()]
        given_up: set[Path] = set()
        while jobs := [self._job(folder) for folder in self._to_do() if folder not in given_up]:
            outcome = local.launch(
                *(jobs, slots),
                watch=_print,
                scheduler_job=job_id(),
                one_at_a_time=self.notes["alone"],
                stopping=lambda: self.stopping,
                unwanted=lambda job: "" if self._is_ours(job.folder) else CANCELLED,
            )
            if self.stopping:
                return
            taken = {folder for folder, status in outcome.ended.items() if status == "taken"}
            given_up |= set(outcome.problems) | {folder for folder in taken if not self._was_ours(folder)}
            if taken - given_up:  # our own former self, on a node that was lost: wait until it counts as dead
                time.sleep(claims.HEARTBEAT_SECONDS)

    def _told_to_go(self, number: int, frame: object) -> None:
        """Slurm wants the node: the workers save and end; those that do not are killed while there is time to leave."""
        if self.stopping:
            return
        self.stopping = True
        workers = psutil.Process().children(recursive=True)
        for worker in workers:  # Slurm tells every process of the step, but not if a person tells only this one
            _signal(worker, signal.SIGUSR2)
        seconds = max(5.0, self.profile.signal_seconds - SAVE_MARGIN_SECONDS)
        timer = threading.Timer(seconds, _kill, [workers])
        timer.daemon = True
        timer.start()

    def _leave(self) -> int:
        """Counts the time limit if that was it. A run that has met it ``attempts`` times gets a row: timed_out."""
        ended_by_time = time.monotonic() - self.began >= self.hours * 3600 - self.profile.signal_seconds - 60
        if ended_by_time:
            self._count_timeout([folder for folder in self._to_do() if claims.latest(folder)])
        self.notes.write(told_to_go=True)
        return AGAIN if self._to_do() else 0

    def _count_timeout(self, started: list[Path]) -> None:
        finished = len(self.folders) - len(self._to_do())
        timeouts = self.notes["timeouts"] + 1 if finished == self.notes["finished"] else 1
        self.notes.write(timeouts=timeouts, finished=finished)
        if timeouts >= self.profile.attempts:
            message = f"not finished in {timeouts} tasks of {self.hours:.2f} hours; give the profile more hours"
            self._give_up(started, "timed_out", "timed_out", message)
            self.notes.write(timeouts=0)

    def _give_up(
        self, folders: list[Path], status: str, error_type: str, message: str, device: str | None = None
    ) -> None:
        host = Host(device or self.profile.run_device, self.profile.threads, "slurm", job_id())
        for folder in folders:
            give_up(folder, host, status, message, error_type=error_type, node=node_name())

    def _to_do(self) -> list[Path]:
        """The runs without a row that are still this task's to do."""
        return [
            folder
            for folder in self.folders
            if self._is_ours(folder) and states.state_of(folder).name not in states.FINISHED
        ]

    def _is_ours(self, folder: Path) -> bool:
        """Whether the run's mark names this submission, and nobody has cancelled it."""
        mark = mark_of(folder)
        return Path(mark.get("submission", "")).name == self.submission.name and not mark.get("cancelled")

    def _was_ours(self, folder: Path) -> bool:
        claim = claims.latest(folder)
        return claim is not None and claim.owner["job"] == job_id()

    def _drop_cancelled(self) -> None:
        """Has the workers of runs that were cancelled meanwhile save and end; their neighbours go on."""
        while not self.stopping:
            time.sleep(LOOK_SECONDS)
            for folder in self.folders:
                claim = None if self._is_ours(folder) or (folder / "row.json").exists() else claims.latest(folder)
                if claim and claim.owner["job"] == job_id() and claim.is_alive():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        psutil.Process(claim.owner["pid"]).terminate()

    def _job(self, folder: Path) -> Job:
        ticket = read_ticket(folder)
        labels = {name: ticket[name] for name in ("paper", "seed", "scale", "dataset", "method")}
        return Job(Run(config=None, **labels), folder, tuple(needed_folders(ticket, folder).values()))

    def _devices(self) -> list[str]:
        """One device per run that works at the same time; CUDA counts the GPUs that Slurm gave from 0."""
        if self.profile.run_device == "cpu":
            return ["cpu"] * self.profile.runs_at_once
        return [f"cuda:{index}" for _ in range(self.profile.runs_per_gpu) for index in range(self.profile.gpus)]

    def _gpu_problem(self) -> str:
        """Why this node's GPUs cannot be used; empty if they can, or if none is wanted."""
        if self.profile.run_device == "cpu":
            return ""
        command = [sys.executable, "-c", USES_EVERY_GPU.format(count=self.profile.gpus)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=GPU_CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            return f"a GPU of node {node_name()} did not add two numbers within {GPU_CHECK_SECONDS:.0f} s"
        if done.returncode == 0 or self.stopping:
            return ""
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return f"node {node_name()} has no working GPU: {last}"

    def _stage_data(self) -> None:
        root = os.environ.get("CONTRASTBENCH_DATA")
        if not root:
            raise ValueError("the profile has a scratch folder, but CONTRASTBENCH_DATA does not say what to copy there")
        scratch = Path(os.path.expandvars(self.profile.scratch))
        os.environ["CONTRASTBENCH_DATA"] = str(staged(Path(root), scratch, self.profile.stage))


def job_id() -> str:
    """This task's job as squeue names it: ``123_4``."""
    return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def node_name() -> str:
    """This node as Slurm names it, which is what ``exclude`` takes."""
    return os.environ.get("SLURMD_NODENAME", socket.gethostname())


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _signal(process, signal.SIGKILL)


def _print(job: Job, event: dict[str, Any]) -> None:
    if "status" in event or "problem" in event:
        print(job.folder.name[:12], event.get("status", ""), event.get("problem", ""), flush=True)


if __name__ == "__main__":
    sys.exit(Task(Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"])).work())
