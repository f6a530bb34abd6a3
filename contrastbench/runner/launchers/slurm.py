"""Runs as Slurm arrays, through submitit: submit, then follow for as long as one likes.

The front command may end at any time and be started again: all it knows is in the run folders. The jobs import a
pinned copy of the code and find the network switched off, so data must be here before anything is submitted.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from contrastbench.runner import claims, files, states
from contrastbench.runner.launchers import Job, Outcome, Watch, in_order, readiness
from contrastbench.runner.launchers.slurm_queue import (
    JOB_NAME,
    ask,
    mark_of,
    release_failed_launches,
    still_queued,
    why_it_ended,
)
from contrastbench.runner.launchers.slurm_task import Task
from contrastbench.runner.profiles import Profile
from contrastbench.runner.snapshot import take_snapshot

LOGS = ".slurm"  # below the runs folder: what submitit writes
SNAPSHOTS = ".snapshots"
POLL_SECONDS = 5.0
NETWORK_OFF = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # nobody listens there
    "CONTRASTBENCH_DOWNLOAD": "0",
}


def launch(
    jobs: Sequence[Job], profile: Profile, runs_folder: Path, *, watch: Watch, poll_seconds: float = POLL_SECONDS
) -> Outcome:
    """Submits the jobs and follows them to their ends. Ctrl-C stops the following, not the jobs."""
    outcome = submit(jobs, profile, runs_folder)
    for job in jobs:
        if job.folder in outcome.problems:
            watch(job, {"status": "not submitted", "problem": outcome.problems[job.folder]})
    return follow([job for job in jobs if job.folder not in outcome.problems], outcome, watch, poll_seconds)


def submit(jobs: Sequence[Job], profile: Profile, runs_folder: Path) -> Outcome:
    """Puts the jobs into Slurm's queue, those that wait or work already left out.

    Runs that others need go first; the others' arrays depend on theirs. If Slurm refuses (a limit on jobs, a wrong
    partition), the jobs from there on are in ``problems`` with its words, and the same command submits them later.

    Raises:
        ValueError: there is no Slurm here, or no controller answers.
    """
    cap = max_array_size()
    outcome = Outcome()
    with _one_at_a_time(runs_folder):
        release_failed_launches()
        told = still_queued()
        jobs = [job for job in in_order(jobs) if states.state_of(job.folder, told).name in ("new", "killed")]
        executor = _executor(profile, runs_folder) if jobs else None
        for level in _levels(jobs):
            tasks = _packed(level, profile)
            chunks = [tasks[first : first + cap] for first in range(0, len(tasks), cap)]
            for chunk in chunks:
                try:
                    _submit_array(executor, profile, chunk, max(1, profile.array_parallelism // len(chunks)))
                except FailedJobError as error:
                    refused = f"sbatch refused: {' '.join(str(error).split())}"
                    outcome.problems |= {job.folder: refused for task in chunk for job in task}
    return outcome


def max_array_size() -> int:
    """The largest array that this cluster takes: MaxArraySize tasks, numbered from 0.

    Raises:
        ValueError: there is no Slurm here, or no controller answers.
    """
    config = ask("scontrol", "show", "config")
    if config is None:
        raise ValueError(
            "no Slurm answers here (`scontrol show config` failed); submit on a login node, or use --launcher local"
        )
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    return int(found[1]) if found else 1001


@contextlib.contextmanager
def _one_at_a_time(runs_folder: Path) -> Iterator[None]:
    """Two front commands submit one after the other; the second then finds the runs queued."""
    (runs_folder / LOGS).mkdir(parents=True, exist_ok=True)
    with open(runs_folder / LOGS / "submitting.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _executor(profile: Profile, runs_folder: Path) -> submitit.SlurmExecutor:
    # Task counts the timeouts itself, run by run, so submitit's own cap is set out of the way.
    executor = submitit.SlurmExecutor(runs_folder / LOGS, max_num_timeout=10**6, python=profile.python or None)
    pinned = take_snapshot(runs_folder / SNAPSHOTS).environment()
    exports = [f"export {name}={shlex.quote(value)}" for name, value in {**NETWORK_OFF, **pinned}.items()]
    asked: dict[str, Any] = {
        "job_name": JOB_NAME,
        "time": max(1, round(profile.hours * 60)),
        "cpus_per_task": profile.cpus,
        "signal_delay_s": profile.signal_seconds,
        "setup": [*profile.setup, *exports],
        "srun_args": [f"--cpus-per-task={profile.cpus}"],  # since Slurm 22.05 srun does not take it over
        "additional_parameters": {"requeue": True, **profile.extra},
    }
    for name in ("partition", "account", "qos", "constraint"):
        if value := getattr(profile, name):
            asked[name] = value
    if profile.gpus:
        asked["gpus_per_node"] = profile.gpus
    if profile.memory_gb:
        asked["mem"] = f"{round(profile.memory_gb * 1024)}M"
    executor.update_parameters(**asked)
    return executor


def _levels(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in groups, each of which needs only runs of groups before it."""
    by_folder = {job.folder: job for job in jobs}
    depth: dict[Path, int] = {}
    for job in jobs:  # in order: what a job needs comes before it
        depth[job.folder] = max((depth[need] + 1 for need in job.needs if need in by_folder), default=0)
    return [[job for job in jobs if depth[job.folder] == level] for level in sorted(set(depth.values()))]


def _packed(jobs: Sequence[Job], profile: Profile) -> list[list[Job]]:
    """The runs of each task; as many as its devices take at the same time, at least."""
    size = max(profile.runs_per_task, profile.runs_at_once)
    return [list(jobs[first : first + size]) for first in range(0, len(jobs), size)]


def _submit_array(executor: Any, profile: Profile, tasks: Sequence[list[Job]], at_a_time: int) -> None:
    """One array of tasks, which waits for the Slurm jobs of the runs that its own runs need."""
    before = {mark_of(need).get("job", "") for task in tasks for job in task for need in job.needs}
    dependency = "afterany:" + ":".join(sorted(before - {""})) if before - {""} else None
    executor.update_parameters(array_parallelism=at_a_time, dependency=dependency)
    with executor.batch():
        submitted = [executor.submit(Task([str(job.folder) for job in task], profile)) for task in tasks]
    for task, slurm_job in zip(tasks, submitted, strict=True):
        for job in task:
            states.mark_queued(job.folder, launcher="slurm", job=slurm_job.job_id, logs=str(executor.folder))


def follow(jobs: Sequence[Job], outcome: Outcome, watch: Watch, poll_seconds: float = POLL_SECONDS) -> Outcome:
    """Tells ``watch`` of every run as it goes and returns once none is queued or at work any more."""
    open_jobs = {job.folder: job for job in jobs}
    gone: set[Path] = set()  # neither at work nor queued when last seen; believed when seen twice, as a row may be late
    while open_jobs:
        release_failed_launches()
        told = still_queued()
        for folder, job in list(open_jobs.items()):
            state = states.state_of(folder, told)
            if state.name in states.FINISHED:
                outcome.ended[folder] = state.name
                watch(job, {"status": state.name})
            elif state.name in ("running", "queued"):
                gone.discard(folder)
                if state.claim and state.name == "running":
                    watch(job, {"line": _latest_line(state.claim)})
                continue
            elif folder not in gone:
                gone.add(folder)
                continue
            else:
                outcome.problems[folder] = _problem(job)
                watch(job, {"status": state.name, "problem": outcome.problems[folder]})
            del open_jobs[folder]
        if open_jobs:
            time.sleep(poll_seconds)
    return outcome


def _problem(job: Job) -> str:
    ready = readiness(job)
    return why_it_ended(job.folder) if ready == "ready" else ready


def _latest_line(claim: claims.Claim) -> dict[str, Any]:
    try:
        return files.read_json(claim.heartbeat)
    except (OSError, ValueError):
        return {}
