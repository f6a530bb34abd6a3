"""Hands scripts to sbatch, and tells a queue that has no room now from one that refuses for good."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from contrastbench.runner import files
from contrastbench.runner.launchers.slurm_queue import COMMAND_SECONDS, SCRIPT, Queue, ask, environment, read_queue

DEFAULT_ARRAY_SIZE = 1001  # Slurm's own MaxArraySize
# What sbatch says when the queue is full for this user or for everybody: such an array is submitted later.
NO_ROOM = re.compile(
    r"\w*MaxSubmit\w*|job submit limit|MaxJobCount|job queue full|temporarily unable to accept job|"
    r"Resource temporarily unavailable|Reached the maximum number of jobs",
    re.IGNORECASE,
)
MORE_THAN_SUBMISSIONS = re.compile(r"(?:Wall|Cpu|CPU|GRES|Mem|Node|TRES)\w*(?:Limit|PerJob)")  # refused for good


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
    return int(found[1]) if found else DEFAULT_ARRAY_SIZE


def sbatch(folder: Path) -> tuple[str, str]:
    """Submits the script in a folder. Returns the array job, or an empty text and Slurm's words.

    A controller that is slow may take a job and answer too late, so a failure is believed only once squeue does not
    know the script either.
    """
    job, words = run_sbatch([str(folder / SCRIPT)])
    if not job:
        queue = read_queue() or Queue(())
        job = next((task.job.partition("_")[0] for task in queue if task.submission == str(folder)), "")
    if job:
        files.write_text(folder / "job", job + "\n", sync=False)
    return job, words


def run_sbatch(arguments: Sequence[str]) -> tuple[str, str]:
    """The job's number, or an empty text and what sbatch said instead.

    Where the queue is full sbatch says so and tries again by itself for two minutes; it is ended at once instead.
    """
    command = ["sbatch", "--parsable", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment()) as process:
        timer = threading.Timer(COMMAND_SECONDS, process.kill)
        timer.start()
        said: list[str] = []
        for line in process.stderr:  # type: ignore[union-attr]
            said.append(line.strip())
            if "sleeping and retrying" in line:
                process.kill()
        job = process.stdout.read().strip().partition(";")[0]  # type: ignore[union-attr]
        timer.cancel()
    if process.returncode == 0:
        return job, ""
    return "", " ".join(said) or f"sbatch gave no answer within {COMMAND_SECONDS:.0f} s"


def is_no_room(words: str) -> bool:
    return bool(NO_ROOM.search(words)) and not MORE_THAN_SUBMISSIONS.search(words)
