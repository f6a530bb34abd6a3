"""What one Slurm task does: a local queue over the devices that it was given, and what to do when it is told to go.

Near the time limit, and at many sites when a job is preempted, Slurm sends SIGUSR2 to every process of it: the runs at
work save at their next epoch boundary, and submitit puts the job back into the queue, where it goes on from the
checkpoints. Where a preemption comes as SIGTERM alone the runs save too, and the job's script puts it back.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from submitit.helpers import Checkpointable, DelayedSubmission, TorchDistributedEnvironment

from contrastbench.runner import claims, states
from contrastbench.runner.devices import Host, kills_for_memory
from contrastbench.runner.execute import give_up
from contrastbench.runner.launchers import Job, local, readiness
from contrastbench.runner.launchers.slurm_queue import runs_of
from contrastbench.runner.profiles import EARLY_SECONDS, Profile
from contrastbench.runner.states import needed_folders, read_ticket
from contrastbench.runner.vocabulary import Run

SAVE_MARGIN_SECONDS = 30  # the workers are killed this long before Slurm would do it
USES_EVERY_GPU = "import torch; [torch.ones(8, device=i).sum().item() for i in range(torch.cuda.device_count() or 1)]"


class Task(Checkpointable):
    """Some runs, one after another and several at a time.

    Args:
        submission: the folder with the list of the array's tasks.
        limits_met: how often each run was at work, by its key, when a job met its time limit.
    """

    def __init__(self, submission: Path, profile: Profile, limits_met: dict[str, int] | None = None) -> None:
        self.submission, self.profile, self.limits_met = submission, profile, limits_met or {}
        self.stopping = False

    def __call__(self) -> None:
        self.began, self.start = time.monotonic(), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        signal.signal(signal.SIGTERM, self._told_to_go)
        self.folders = runs_of((str(self.submission), int(os.environ["SLURM_ARRAY_TASK_ID"])))
        try:
            self._check_gpus()
            if self.profile.gpus_per_run * self.profile.nodes_per_run > 1:
                self._share_runs()
            else:
                self._do_runs()
        except Exception:  # if it was told to go: Slurm did not take the job back, or there is nothing left to do
            if not self.stopping:
                raise
        if self.stopping and self._to_do():
            sys.exit(128 + signal.SIGTERM)  # the job's script puts it back

    def checkpoint(self) -> DelayedSubmission | None:  # type: ignore[override]
        """Called by submitit at SIGUSR2: waits for the runs to save. Those that do not in time are killed."""
        self.stopping = True
        seconds = max(5.0, self.profile.signal_seconds - SAVE_MARGIN_SECONDS)
        for late in psutil.wait_procs(psutil.Process().children(recursive=True), timeout=seconds)[1]:
            late.kill()
        lasted = time.monotonic() - self.began
        if lasted >= 60 * self.profile.minutes - self.profile.signal_seconds - EARLY_SECONDS:
            self._count_limit()
        return DelayedSubmission(Task(self.submission, self.profile, self.limits_met)) if self._to_do() else None

    def _count_limit(self) -> None:
        """Counts the time limit for each run that has begun. One that has met ``attempts`` of them gets its row."""
        for folder in self._begun():
            met = self.limits_met[folder.name] = self.limits_met.get(folder.name, 0) + 1
            if met >= self.profile.attempts:
                said = f"not finished in {met} tasks of {self.profile.minutes} minutes; give the profile more time"
                self._give_up([folder], "timed_out", said)

    def _check_gpus(self) -> None:
        """A node whose driver is broken would fail run after run; here its first job says so, in its runs' rows."""
        if self.profile.run_device == "cpu":
            return
        try:
            command = [sys.executable, "-c", USES_EVERY_GPU]
            subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True, timeout=180.0)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
            why = str(error.stderr or error).strip().splitlines()[-1]
            said = f'node {node} has no working GPU ({why}); [sbatch] exclude = "{node}" leaves it out'
            self._give_up(self._to_do(), "failed", said, device="none", error_type="NoWorkingGPU", node=node)

    def _do_runs(self) -> None:
        kills = sorted(int(path.suffix[1:]) for path in self.submission.glob(f"{job_id()}.out_of_memory.*"))
        if len(kills) > 1 and kills[-1] == self.start - 1:  # again, though it was alone
            self._give_up(self._begun()[-1:], "out_of_memory", local.killed_for_memory())
        slots = [local.Slot(device, self.profile.threads) for device in self.profile.devices]
        given_up: set[Path] = set()
        while jobs := [_job(folder) for folder in self._to_do() if folder not in given_up]:
            outcome = local.launch(
                *(jobs, slots),
                watch=_print,
                scheduler_job=job_id(),
                one_at_a_time=bool(kills),  # Slurm has killed the whole task for its memory: nobody knows whose it was
                stopping=lambda: self.stopping,
            )
            if self.stopping:
                return
            taken = {folder for folder, status in outcome.ended.items() if status == "taken"}
            ours = {folder for folder in taken if _is_ours(claims.latest(folder))}
            given_up |= outcome.problems.keys() | (taken - ours)
            if ours - given_up:  # our own former self, on a node that was lost: wait until it counts as dead
                time.sleep(claims.HEARTBEAT_SECONDS)

    def _share_runs(self) -> None:
        """One run at a time in all processes of the job, which go through the same list; the first of them writes.

        If a process of a run is lost the whole job is, and its script has it begin again from the checkpoint.
        """
        meeting = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        for number, folder in enumerate(self.folders):
            kills, port = kills_for_memory(), meeting.master_port + number + self.start * len(self.folders)
            command = [sys.executable, "-m", "contrastbench.runner.worker", str(folder), "--spread"]
            command += ["--launcher", "slurm", "--job", job_id()]
            command += ["--device", self.profile.run_device, "--threads", str(self.profile.threads)]
            environment = {**os.environ, "MASTER_PORT": str(port), "OMP_NUM_THREADS": str(self.profile.threads)}
            lost = readiness(_job(folder)) == "ready" and subprocess.run(command, env=environment).returncode
            if lost and kills_for_memory() > kills:
                self._give_up([folder], "out_of_memory", local.killed_for_memory())
            if lost or self.stopping:
                sys.exit(128 + (signal.SIGTERM if self.stopping else signal.SIGKILL))

    def _give_up(self, folders: list[Path], status: str, message: str, device: str = "", **error: Any) -> None:
        host = Host(device or self.profile.run_device, self.profile.threads, "slurm", job_id())
        for folder in folders:
            give_up(folder, host, status, message, **error)

    def _to_do(self) -> list[Path]:
        return [folder for folder in self.folders if states.state_of(folder).name not in states.FINISHED]

    def _begun(self) -> list[Path]:
        """The runs without a row that this job has begun, now or before a requeue; the latest comes last."""
        begun = [claim for folder in self._to_do() if (claim := claims.latest(folder)) and _is_ours(claim)]
        return [claim.folder for claim in sorted(begun, key=lambda claim: claim.taken)]

    def _told_to_go(self, number: int, frame: object) -> None:
        self.stopping = True


def job_id() -> str:
    """This task's job as squeue names it: ``123_4``."""
    return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _is_ours(claim: claims.Claim | None) -> bool:
    return claim is not None and claim.owner.get("job") == job_id()


def _job(folder: Path) -> Job:
    ticket = read_ticket(folder)
    run = Run(ticket["paper"], None, ticket["seed"], ticket["scale"])
    return Job(run, folder, tuple(needed_folders(ticket, folder).values()))


def _print(job: Job, event: dict[str, Any]) -> None:
    if "status" in event or "problem" in event:
        print(job.folder.name[:12], event.get("status", ""), event.get("problem", ""), flush=True)
