"""Time limits, plain scripts, and runs that are packed into one task."""

import dataclasses
import shlex
import sys
from pathlib import Path

import pytest
from slurm_site import ONE_GPU, at_gate, job_of_run, results, undisturbed, wait_until, worker_of

from contrastbench.runner import states
from contrastbench.runner.rows import read_row

SLURM = Path(__file__).parents[2] / "slurm"


def test_a_run_that_reaches_its_time_limit_too_often_says_so_and_retry_goes_on(site, tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    settings = {"epochs": "4", "gate": str(gate)}
    # The task believes in a limit of 2 minutes, told 100 s before, so that every signal counts as the time limit; Slurm
    # knows of an hour and sends none of its own. Two attempts, then no more.
    short = dataclasses.replace(ONE_GPU, hours=1 / 30, signal_seconds=100, attempts=2, extra={"time": "60"})
    (folder,) = site.folders("toy/slow", [0], settings)
    site.submit("toy/slow", [0], settings, short)
    assert site.cluster.command("squeue", "-h", "-o", "%l").strip() == "1:00:00"
    for attempt in (1, 2):
        wait_until(lambda n=attempt: (folder / f"claim.{n}").exists() and at_gate(folder, 2), "it to wait at the gate")
        site.cluster.command("scancel", "--signal=USR2", job_of_run(folder))
        wait_until(lambda: not worker_of(folder), "the run to be saved")
    wait_until(lambda: (folder / "row.json").exists(), "its row")
    row = read_row(folder / "row.json")
    assert row["status"] == "timed_out" and row["epoch"] == 1 and row["attempt"] == 2
    assert "not finished in 2 tasks of 0.03 hours" in row["error"]["message"]
    gate.touch()
    states.retry(folder)
    assert (folder / "checkpoint.pt").exists(), "it only needs more time"
    site.wait_for_end()
    assert site.launch("toy/slow", [0], settings).problems == {}
    assert results(site.folder) == undisturbed(site, tmp_path, monkeypatch, "toy/slow", [0], settings)


def test_the_plain_scripts_do_their_tables(site, tmp_path, monkeypatch):
    front = tmp_path / "contrastbench"
    front.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m contrastbench.cli --runs "{site.folder}" "$@"\n'
    )
    front.chmod(0o755)
    monkeypatch.setenv("CONTRASTBENCH", str(front))
    monkeypatch.chdir(tmp_path)
    site.cluster.command("sbatch", str(SLURM / "run_table.sbatch"), "toy/main/Noise8", "--seeds", "1")
    site.cluster.command("sbatch", "--array=1-2", str(SLURM / "run_seeds.sbatch"), "toy/main/Noise8/Plain")
    site.wait_for_end()
    logs = "".join(path.read_text() for path in tmp_path.glob("contrastbench-*.log"))
    cells = {(row["method"], row["seed"]) for row in results(site.folder).values() if row["status"] == "done"}
    assert cells == {("Plain", 0), ("Better", 0), ("Plain", 1), ("Plain", 2)}, logs


@pytest.mark.slow
def test_the_table_script_saves_before_its_time_limit_and_goes_on_in_the_queue(site, tmp_path, monkeypatch):
    """A limit of one minute that is real: told 20 s before, requeued, done in a later job."""
    front = tmp_path / "contrastbench"
    front.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m contrastbench.cli --runs "{site.folder}" "$@"\n'
    )
    front.chmod(0o755)
    monkeypatch.setenv("CONTRASTBENCH", str(front))
    monkeypatch.chdir(tmp_path)
    settings = {"epochs": "60", "seconds_per_epoch": "1.0"}
    given = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    limits = ["--time=1", "--signal=B:USR1@20", "--cpus-per-task=2"]
    site.cluster.command("sbatch", *limits, str(SLURM / "run_table.sbatch"), "toy/slow", "--seeds", "2", *given)
    site.wait_for_end(900)
    rows = [read_row(path) for path in site.folder.glob("toy/*/row.json")]
    assert len(rows) == 2 and all(row["resumes"] >= 1 for row in rows)
    assert results(site.folder) == undisturbed(site, tmp_path, monkeypatch, "toy/slow", range(2), settings)


@pytest.mark.slow
def test_a_real_time_limit_is_survived(site, tmp_path, monkeypatch):
    """More than a minute of work under a limit of one, told 30 s before its end: saved, requeued, finished, equal."""
    settings = {"epochs": "75", "seconds_per_epoch": "1.0"}
    minute = dataclasses.replace(ONE_GPU, hours=1 / 60, signal_seconds=30, attempts=20)
    outcome = site.launch("toy/slow", range(2), settings, minute)
    assert outcome.problems == {}
    assert all(read_row(path)["resumes"] >= 1 for path in site.folder.glob("toy/*/row.json"))
    assert results(site.folder) == undisturbed(site, tmp_path, monkeypatch, "toy/slow", range(2), settings)
