"""Time limits, plain scripts, and runs that are packed into one task."""

import dataclasses
import shlex
import sys
from pathlib import Path

import pytest
from slurm_site import ONE_GPU, results, undisturbed

from contrastbench.runner.rows import read_row

SLURM = Path(__file__).parents[2] / "slurm"


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
