"""What Slurm's words mean for a person: reasons that keep a job waiting for ever, and why a job has ended."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contrastbench.runner.launchers.slurm_queue import QueuedTask

FIRST_CAUSE = re.compile(  # what is worth telling of a log; the first such line, as later ones follow from it
    r"contrastbench: .*|(?:slurmstepd|srun|sbatch)\S*: (?:error|fatal|info): .*|.*oom[-_ ]kill.*"
    r"|.*No module named .*|.*execve\(\).*|.*: command not found.*|.*No such file or directory.*|.*Permission denied.*"
    r"|FATAL: .*|\w*(?:Error|Exception)\b.*",
    re.IGNORECASE,
)
FOLLOWS = re.compile(r"srun: (?:got SIGCONT|Job step aborted|Terminating|launch/|forcing)|.*Exited with exit code")

# Reasons for which a job waits until somebody changes something: what is wrong, and the profile's key for it.
NEVER = {
    "PartitionTimeLimit": ("hours", "more than its partition allows"),
    "PartitionNodeLimit": ("nodes_per_run", "more than its partition allows"),
    "PartitionConfig": ("partition", "has no such resources, or may not be used by this account"),
    "PartitionInactive": ("partition", "takes no jobs"),
    "BadConstraints": ("constraint", "no node can fulfil it together with the rest that is asked for"),
    "InvalidAccount": ("account", "not known, or not yours"),
    "AccountNotAllowed": ("account", "may not use this partition"),
    "InvalidQOS": ("qos", "not known, or not yours"),
    "QOSNotAllowed": ("qos", "may not be used in this partition or by this account"),
    "QOSJobLimit": ("qos", "allows no such job"),
    "AccountingPolicy": ("account", "its limits allow no such job"),
    "DependencyNeverSatisfied": ("extra", "what it waits for can no longer happen"),
    "InvalidAccount/QOS": ("account", "not known, or not yours"),
}
NEVER_PER_JOB = re.compile(r"(?:QOS|Assoc)Max\w*(?:PerJob|PerNode)\w*")  # what one job asks for, whoever else waits
TOO_LITTLE = re.compile(r"QOSMin\w+")
KEY_OF_LIMIT = (
    *(("Wall", "hours"), ("Cpu", "cpus"), ("CPU", "cpus"), ("GRES", "gpus"), ("Mem", "memory_gb")),
    *(("Node", "nodes_per_run"), ("", "qos")),
)
HELD = ("JobHeldUser", "JobHeldAdmin", "job held")


def never(task: QueuedTask, profile: str = "the profile") -> str:
    """Why a waiting task will never start, in one line that names the key to change; empty where it may."""
    if task.reason in HELD:
        return f"Slurm job {task.job} is held ({task.reason}); `scontrol release {task.job}` lets it go"
    if task.reason in NEVER:
        key, what = NEVER[task.reason]
    elif NEVER_PER_JOB.fullmatch(task.reason) or TOO_LITTLE.fullmatch(task.reason):
        key = next(key for part, key in KEY_OF_LIMIT if part in task.reason)
        little = TOO_LITTLE.fullmatch(task.reason)
        what = "less than its QOS wants of each job" if little else "more than a limit of the site allows one job"
    else:
        return ""
    return f"Slurm would never start it ({task.reason}): the key {key} of {profile} is wrong ({what})"


def first_cause(lines: Iterable[str]) -> str:
    """The first line of a job's last start that says what went wrong; what follows from it is not the cause."""
    last_start: list[str] = []
    for line in lines:
        last_start = [] if line.startswith("contrastbench: back to the queue") else [*last_start, line.strip()]
    causes = [line for line in last_start if FIRST_CAUSE.match(line) and not FOLLOWS.match(line)]
    return next((line for line in causes if line.startswith("contrastbench: a setup line")), (causes or [""])[0])
