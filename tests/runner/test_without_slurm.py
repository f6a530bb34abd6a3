"""A machine without Slurm, or whose controller does not answer."""

import pytest

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.profiles import Profile


def test_scripts_are_printed_and_submitting_says_so(bench, monkeypatch):
    monkeypatch.setattr(slurm_queue.shutil, "which", lambda name: None)
    jobs, profile = bench.jobs("toy/main", [0]), Profile("gpu", {"partition": "gpu", "time": 120})
    (text,) = slurm.dry_run(jobs, profile, bench.folder)
    for option in ("partition=gpu", "array=0-3%4", "signal=USR2@90", "time=120"):
        assert f"#SBATCH --{option}" in text.splitlines()
    assert not list(bench.folder.glob(".s*")), "nothing is written"
    with pytest.raises(ValueError, match="no Slurm answers here"):
        slurm.launch(jobs, profile, bench.folder, watch=print)


def test_a_run_counts_as_queued_while_a_controller_does_not_answer(tmp_path, monkeypatch):
    states.mark_queued(tmp_path, launcher="slurm", place=f"{tmp_path}/1")
    monkeypatch.setattr(slurm_queue, "read_queue", lambda: None)
    for path, state in (("/usr/bin/squeue", "queued"), (None, "new")):
        monkeypatch.setattr(slurm_queue.shutil, "which", lambda name, path=path: path)
        assert states.state_of(tmp_path, slurm_queue.still_queued()).name == state
