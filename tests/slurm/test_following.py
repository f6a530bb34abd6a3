"""What following asks of the cluster: one squeue a look, and no file of a run that waits."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from contrastbench.runner.launchers import Job, slurm
from contrastbench.runner.launchers.slurm_queue import Queue, QueuedTask
from contrastbench.runner.profiles import Profile
from contrastbench.runner.states import mark_queued
from contrastbench.runner.vocabulary import Run

SQUEUE = """#!/bin/sh
exec cat {answer}
"""


def waiting_jobs(runs_folder, count):
    """Runs with the marks of a submission, and the lines that squeue prints for them."""
    submission, jobs, lines = runs_folder / ".slurm" / "a", [], []
    for number in range(count):
        folder = runs_folder / "toy" / f"{number:064x}"
        folder.mkdir(parents=True)
        mark_queued(folder, launcher="slurm", submission=str(submission), task=number)
        jobs.append(Job(Run("toy", None, number, "quick"), folder))
        lines.append(f"7|{number}|PENDING|Priority||{submission}/job.sh")
    return jobs, lines


def following(jobs, watch):
    submitter = SimpleNamespace(problems={}, left=[], has_more=False, no_room="", profile=Profile())
    return slurm.Following(jobs, submitter, watch)


def test_a_look_asks_squeue_once_and_needs_no_file_of_a_run_that_waits(tmp_path, monkeypatch):
    runs, told, asked = tmp_path / "runs", [], []
    jobs, _ = waiting_jobs(runs, 50)
    submission = str(runs / ".slurm" / "a")
    tasks = [QueuedTask(f"7_{number}", submission, number, "PENDING", "Priority", "") for number in range(50)]
    monkeypatch.setattr(slurm, "read_queue", lambda *more: asked.append(more) or Queue(tasks))
    front = following(jobs, lambda job, event: told.append(event["waits"]))
    shutil.rmtree(runs)
    assert front.look() and front.look()
    assert len(asked) == 2 and told == ["Priority"] * 50, "each reason is told once"


@pytest.mark.slow
def test_a_look_at_a_thousand_waiting_runs_makes_the_file_system_calls_of_one_squeue(tmp_path):
    """Counted by strace: what four looks make more than two."""
    if not shutil.which("strace"):
        pytest.skip("needs apt-get install strace")
    _, lines = waiting_jobs(tmp_path / "runs", 1000)
    (tmp_path / "answer").write_text("\n".join(lines) + "\n")
    (tmp_path / "squeue").write_text(SQUEUE.format(answer=tmp_path / "answer"))
    (tmp_path / "squeue").chmod(0o755)
    counts = {looks: file_calls(tmp_path, looks) for looks in (2, 4)}
    print(f"\nfile-system calls with 1,000 waiting runs: {counts}, {(counts[4] - counts[2]) / 2:.1f} a look")
    assert counts[2] > 1000, "the marks are read once, at the beginning"
    assert counts[4] - counts[2] <= 2 * 5, "a look starts squeue and no more"


LOOKS = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_following import Job, Run, following
folders = sorted(Path({runs!r}).glob("toy/*"))
front = following([Job(Run("toy", None, 0, "quick"), folder) for folder in folders], lambda job, event: None)
assert all(front.look() for _ in range({looks})) and len(front.open) == 1000
"""


def file_calls(folder, looks):
    """How many calls with a file's name Python itself makes; squeue's are not counted."""
    text = LOOKS.format(tests=str(Path(__file__).parent), runs=str(folder / "runs"), looks=looks)
    command = ["strace", "-c", "-e", "trace=%file", "-o", str(folder / "counted"), sys.executable, "-B", "-c", text]
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(command, env=environment, check=True)
    total = (folder / "counted").read_text().splitlines()[-1].split()  # share, seconds, time a call, calls, errors
    return int(total[3])
