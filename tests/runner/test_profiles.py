"""Profiles are read, and mistakes told in one line with what is possible; and a machine without Slurm."""

import pytest

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.profiles import PROFILES, Profile, profile_names, read_profile

README = (PROFILES / "README.md").read_text()


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_is_read_and_described(name):
    profile = read_profile(name)
    assert profile.name == name and profile.run_device == ("cuda" if profile.gpus else "cpu")
    assert f"`{name}.toml`" in README


def test_every_key_is_described():
    assert not [key for key in vars(Profile()) if key not in ("name", "sbatch") and f"`{key}`" not in README]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hours = 2", "unknown key 'hours'; there are: sbatch, device, threads, runs_per_gpu"),
        ("threads = 0", "threads must be a whole number above 0, got 0"),
        ('device = "tpu"', "device must be cpu or cuda, got 'tpu'"),
        ('[sbatch]\npartitoin = "gpu"', "unknown key of [sbatch] 'partitoin'; submitit has "),
        ("[sbatch]\nnodes = 2", "[sbatch] nodes is set by the suite: nodes_per_run"),
        ('[sbatch]\ntime = "1:00:00"', "[sbatch] time must be a whole number, got '1:00:00'"),
        (
            "[sbatch]\ntime = 3",
            "[sbatch] time must be at least 4 minutes: a task is told to save 90 s (signal_delay_s)",
        ),
        ("gpus_per_run = 2\n[sbatch]\ntime = 60\ngpus_per_node = 1", "gpus_per_run is 2, and gpus_per_node only 1"),
        ("threads = ", "not TOML: Invalid value"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_the_file_and_what_is_possible(tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError) as told:
        read_profile(str(tmp_path / "mine.toml"))
    assert str(told.value).startswith(f"{tmp_path / 'mine.toml'}: {said}") and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("keys", "devices"),
    [
        ({}, ["cpu"]),
        ({"sbatch": {"cpus_per_task": 8}, "threads": 4}, ["cpu"] * 2),
        ({"sbatch": {"gres": "gpu:2"}, "runs_per_gpu": 2}, ["cuda:0", "cuda:1"] * 2),
        ({"sbatch": {"gpus_per_node": "a100:4"}, "gpus_per_run": 4}, ["cuda"]),
    ],
)
def test_runs_at_the_same_time_fill_the_devices(keys, devices):
    assert Profile(**keys).devices == devices


def test_a_squeue_that_prints_a_banner_is_read_all_the_same(monkeypatch):
    told = "Maintenance | on Friday\n\n12|3|PENDING|Priority|/runs/.slurm/one/submission.sh\nbye|\n"
    monkeypatch.setattr(slurm_queue, "ask", lambda *command: told)
    assert slurm_queue.read_queue() == {"/runs/.slurm/one/3": slurm_queue.QueuedTask("12_3", "PENDING", "Priority")}


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
