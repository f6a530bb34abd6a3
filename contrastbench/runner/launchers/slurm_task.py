"""What one Slurm task does: a local queue over the devices that it was given, and what to do when it is told to go.

Near the time limit, and at many sites for a preemption, all processes of a job get SIGUSR2: the runs save at their next
epoch boundary, and submitit puts the job back into the queue. At SIGTERM alone they save too, and the script does that.
"""

import dataclasses
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

from submitit.helpers import Checkpointable, DelayedSubmission, TorchDistributedEnvironment

from contrastbench.runner import claims, states, worker
from contrastbench.runner.devices import Host, gpu_problem, kills_for_memory
from contrastbench.runner.execute import give_up
from contrastbench.runner.launchers import job_in, local, readiness
from contrastbench.runner.launchers.slurm_queue import runs_of
from contrastbench.runner.profiles import EARLY_SECONDS, Profile

TOLD_TO_GO, KILLED = 128 + signal.SIGTERM, 128 + signal.SIGKILL  # exit codes at which the script puts the job back


class Task(Checkpointable):
    """Some runs, one after another and several at a time; ``submission`` is the folder that lists them."""

    def __init__(self, submission: Path, profile: Profile) -> None:
        self.submission, self.profile = submission, profile
        self.limits_met: Counter[Path] = Counter()  # how often a run was begun and a job met its time limit

    def __call__(self) -> None:
        self.signals: list[int] = []  # that told it to go
        self.began = time.monotonic()
        self.start = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self.job = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format(**os.environ)  # as squeue names it
        self.host = Host(self.profile.run_device, self.profile.threads, "slurm", self.job)
        self.folders = runs_of(f"{self.submission}/{os.environ['SLURM_ARRAY_TASK_ID']}")
        signal.signal(signal.SIGTERM, lambda number, frame: self.signals.append(number))
        try:
            self._do_runs()
        except Exception:  # if it was told to go: Slurm did not take the job back, or there is nothing left to do
            if not self.signals:
                raise
        if self.signals and self._to_do():
            sys.exit(TOLD_TO_GO)

    def checkpoint(self) -> DelayedSubmission | None:  # type: ignore[override]
        """Called by submitit at SIGUSR2: waits for the runs to save, and counts the time limits that they have met."""
        self.signals.append(signal.SIGUSR2)
        attempts = self.profile.attempts
        notice, minutes = self.profile.sbatch["signal_delay_s"], self.profile.sbatch["time"]
        worker.end(multiprocessing.active_children(), max(5, notice - 30))  # half a minute before Slurm would do it
        if time.monotonic() - self.began >= 60 * minutes - notice - EARLY_SECONDS:
            self.limits_met.update(begun := self._begun())
            said = f"not finished in {attempts} tasks of {minutes} minutes; give the profile more time"
            self._give_up([folder for folder in begun if self.limits_met[folder] >= attempts], "timed_out", said)
        return super().checkpoint() if self._to_do() else None

    def _do_runs(self) -> None:
        if self.profile.run_device != "cpu" and (problem := gpu_problem()):
            self.host = dataclasses.replace(self.host, device="none")
            node = os.environ.get("SLURMD_NODENAME", socket.gethostname())
            said = f'node {node} has no working GPU ({problem}); [sbatch] exclude = "{node}" leaves it out'
            self._give_up(self._to_do(), "failed", said, type="NoWorkingGPU", node=node)
            return
        kills = sorted(int(path.suffix[1:]) for path in self.submission.glob(f"{self.job}.out_of_memory.*"))
        if len(kills) > 1 and kills[-1] == self.start - 1:  # again, though its runs were alone
            self._give_up(self._begun()[-1:], "out_of_memory", local.killed_for_memory())
        while any(claim.is_alive() for claim in map(claims.latest, self._begun()) if claim):
            time.sleep(claims.HEARTBEAT_SECONDS)  # our own former self, on a node that was lost
        if self.profile.gpus_per_run * self.profile.nodes_per_run > 1:
            self._share_runs()
            return
        local.launch(
            [job_in(folder) for folder in self._to_do()],
            [dataclasses.replace(self.host, device=device) for device in self.profile.devices],
            watch=lambda job, event: None,
            one_at_a_time=bool(kills),  # Slurm has killed the whole task for its memory: nobody knows whose it was
            stopping=lambda: bool(self.signals),
        )

    def _share_runs(self) -> None:
        """One run at a time in all processes of the job, which go through the same list; the first of them writes."""
        meeting = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        for number, folder in enumerate(self.folders):
            if readiness(job_in(folder)) != "ready":
                continue
            port = meeting.master_port + number + self.start * len(self.folders)  # one for each run of each start
            os.environ["MASTER_PORT"], kills = str(port), kills_for_memory()
            process = worker.SPAWN.Process(target=worker.share, args=(folder, self.host))
            process.start()
            process.join()
            if (lost := process.exitcode != 0) and kills_for_memory() > kills:
                self._give_up([folder], "out_of_memory", local.killed_for_memory())
            if lost or self.signals:  # a lost process ends the whole job, which begins again from the checkpoint
                sys.exit(TOLD_TO_GO if self.signals else KILLED)

    def _give_up(self, folders: list[Path], status: str, message: str, **error: str) -> None:
        for folder in folders:
            give_up(folder, self.host, status, message, **error)

    def _to_do(self) -> list[Path]:
        return [folder for folder in self.folders if states.state_of(folder).name not in states.FINISHED]

    def _begun(self) -> list[Path]:
        """The runs without a row that this job has begun, now or before a requeue; the latest comes last."""
        begun = [claim for claim in map(claims.latest, self._to_do()) if claim and claim.owner.get("job") == self.job]
        return [claim.folder for claim in sorted(begun, key=lambda claim: claim.path.stat().st_mtime)]
