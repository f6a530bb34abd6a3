"""What Slurm says of our jobs: which are still in its queue, why one ended, and how to cancel. No accounting needed.

``squeue`` knows only jobs that are waiting or running. That is enough: together with a run's own files it tells
queued, running and killed apart. ``sacct``, where a site has it, adds the reason of an end.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contrastbench.runner import files
from contrastbench.runner.states import StillQueued

JOB_NAME = "contrastbench"
COMMAND_SECONDS = 20.0  # a controller that is down or restarting may not hold up a status for longer
SLURM_WORDS = re.compile(r"(?:slurmstepd|srun|sbatch)\S*: (?:error|info): .*|.*oom[-_ ]kill.*", re.IGNORECASE)


def jobs_in_queue() -> set[str] | None:
    """The ids of this user's jobs that wait, run or end just now (``123`` or ``123_4``); None if nobody answers."""
    answer = ask("squeue", "--me", "--noheader", "--array", "--format=%i")
    return None if answer is None else set(answer.split())


def release_failed_launches() -> list[str]:
    """Lets go of jobs that Slurm requeued and then held because a node failed while it started them; names them.

    Such a job waits for ever otherwise. It has not begun, so there is nothing that could be wrong with it.
    """
    waiting = ask("squeue", "--me", "--noheader", "--array", f"--name={JOB_NAME}", "--states=PENDING", "--format=%i %r")
    lines = [line.partition(" ") for line in (waiting or "").splitlines()]
    held = [job for job, _, reason in lines if "launch failed requeued held" in reason.replace("_", " ")]
    return held if held and ask("scontrol", "release", ",".join(held)) is not None else []


def ask(*command: str) -> str | None:
    """What a Slurm command prints, or None where there is no such command or no controller answers."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def is_there() -> bool:
    return ask("sbatch", "--version") is not None


def still_queued() -> StillQueued:
    """For ``plan`` and ``state_of``: whether a run's Slurm job may still start it. Asks squeue at most once.

    Where there is a Slurm whose controller does not answer, jobs count as queued: nothing is submitted twice.
    """
    told: dict[str, Any] = {}

    def answer(mark: dict[str, Any]) -> bool | None:
        if mark.get("launcher") != "slurm":
            return None
        if "jobs" not in told:
            told["jobs"], told["slurm"] = jobs_in_queue(), is_there()
        if mark.get("cancelled") or not told["slurm"]:
            return False
        return told["jobs"] is None or mark["job"] in told["jobs"]

    return answer


def mark_of(folder: Path) -> dict[str, Any]:
    """The run's queue mark if it was given to Slurm, else nothing."""
    path = folder / "queued.json"
    mark = files.read_json(path) if path.exists() else {}
    return mark if mark.get("launcher") == "slurm" else {}


def cancel(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Cancels the Slurm jobs that hold the given runs and returns job -> its runs among them.

    A job that packs several runs is cancelled whole; what its other runs have saved stays and a later ``run`` goes on.

    Raises:
        ValueError: Slurm does not answer; nothing is marked as cancelled.
    """
    marks = {folder: mark_of(folder) for folder in folders}
    waiting = jobs_in_queue()
    if waiting is None:
        raise ValueError("Slurm does not answer (squeue failed), so nothing was cancelled; try again when it is back")
    cancelled: dict[str, list[Path]] = {}
    for folder, mark in marks.items():
        if mark and mark["job"] in waiting:
            cancelled.setdefault(mark["job"], []).append(folder)
    if cancelled and ask("scancel", *cancelled) is None:
        raise ValueError("scancel failed, so nothing was cancelled; try again")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for folders_of_job in cancelled.values():
        for folder in folders_of_job:
            files.write_json(folder / "queued.json", {**marks[folder], "cancelled": now}, sync=False)
    return cancelled


def job_logs(folder: Path) -> list[Path]:
    """What the Slurm job of a run wrote itself: its standard error and output, where they exist."""
    mark = mark_of(folder)
    logs = [Path(mark["logs"]) / f"{mark['job']}_0_log.{kind}" for kind in ("err", "out")] if mark else []
    return [path for path in logs if path.exists()]


def why_it_ended(folder: Path) -> str:
    """The reason why a run's Slurm job ended without a row, in Slurm's own words as far as it left any."""
    mark = mark_of(folder)
    if not mark:
        return "its worker was killed"
    if mark.get("cancelled"):
        return f"Slurm job {mark['job']} was cancelled by `contrastbench cancel` on {mark['cancelled']}"
    said = [line.strip() for path in job_logs(folder) for line in path.read_text(errors="replace").splitlines()]
    words = next((line for line in reversed(said) if SLURM_WORDS.match(line)), "")
    accounted = ask("sacct", "-j", mark["job"], "--noheader", "--parsable2", "-X", "--format=State,ExitCode,NodeList")
    details = [words, accounted.strip().splitlines()[-1] if accounted and accounted.strip() else ""]
    told = "; ".join(filter(None, details)) or "Slurm left no reason; see `contrastbench logs`"
    return f"Slurm job {mark['job']} ended: {told}"
