"""What a log file shows of a launch: how far it is, and what is at work."""

import io

import pytest
from rich.console import Console

from contrastbench.cli.launch import Display
from contrastbench.runner.launchers import Job
from contrastbench.selection import select


@pytest.fixture
def jobs(tmp_path):
    runs = [run for _, cell in select("toy/main", "quick").cells() for run in cell.runs][:2]
    return [Job(run, tmp_path / run.key) for run in runs]


def test_a_log_file_tells_what_ended_and_what_is_at_work(jobs):
    written = io.StringIO()
    first, second = jobs
    with Display(Console(file=written, width=40), total=2, seconds_between_lines=0.0) as shown:
        shown.watch(first, {"line": {"epoch": 1}})
        shown.watch(second, {"line": {"loss": 1.0}})
        shown.watch(first, {"line": {"epoch": first.run.config.epochs}})
        shown.watch(first, {"status": "done"})
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("0/2 runs: none ended yet; toy") and "epoch 2 of" in lines[0], lines
    assert lines[1].endswith(f"{second.run.key[:8]}: epoch 0 of 3"), lines
    assert f"epoch {first.run.config.epochs} of {first.run.config.epochs}" in lines[2], lines
    assert lines[3].startswith("1/2 runs: 1 done; toy") and first.run.key[:8] not in lines[3], lines


def test_what_slurm_refuses_for_one_reason_is_said_once(jobs):
    told = Console(file=io.StringIO(), width=200)
    with Display(told, len(jobs)) as shown:
        for job in jobs:
            shown.watch(job, {"status": "not submitted", "problem": "sbatch refused: invalid partition"})
    assert told.file.getvalue().count("invalid partition") == 1 and shown.counts["not submitted"] == len(jobs) > 1
