"""Profiles: the shipped ones are read, mistakes are told with what is possible."""

import dataclasses
from pathlib import Path

import pytest

from contrastbench import papers
from contrastbench.cli.launching import check_data
from contrastbench.runner.profiles import AUTO_HOURS, PROFILES, Profile, profile_names, read_profile


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_profile_is_read(name):
    profile = read_profile(name)
    assert profile.name == name
    assert profile.run_device == ("cuda" if profile.gpus else "cpu")


def test_an_unknown_profile_lists_those_there_are():
    with pytest.raises(ValueError, match=r"unknown profile 'my_site'; .*slurm has: .*default.*one_gpu"):
        read_profile("my_site")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('partitoin = "gpu"', "unknown key 'partitoin'; there are: partition, account"),
        ('name = "x"', "unknown key 'name'"),
        ('gpus = "two"', r"gpus must be a whole number or a type and a number \(\"a100:2\"\), got 'two'"),
        ("gpus = true", "gpus must be a whole number, got True"),
        ("cpus = 0", "cpus must be at least 1, got 0"),
        (
            "hours = 0.05",
            r"hours \(0.05\) must be at least 0.058: a task is told to save 90 s \(signal_seconds\) before",
        ),
        ("signal_seconds = 4000", r"hours \(1\) must be at least 1.144"),
        ("hours = 0", 'hours must be a number above 0 or "auto", got 0'),
        ("grow = 0.5", "grow must be at least 1, got 0.5"),
        ('extra = { mem = "4G" }', "extra.mem is set by the suite; use the key memory_gb"),
        ('extra = { array = "0-3" }', "extra.array is set by the suite; use the key array_parallelism"),
        ("memory_gb = 4\nmem_per_cpu_gb = 1", "give memory_gb or mem_per_cpu_gb, not both"),
        ('binds = ["/data"]', "the profile has no container"),
        ('stage = ["cifar10"]', "the profile has no scratch"),
        ("gpus = 1\ngpus_per_run = 2", r"gpus_per_run \(2\) must be at most gpus, which is 1"),
        ("gpus_per_run = 2", "2 processes of 1 threads .* need cpus = 2 at least, got 1"),
        ('setup = "module load cuda"', "setup must be a list of texts"),
        ('device = "tpu"', "device must be cpu or cuda, got 'tpu'"),
        ("cpus = ", "is not TOML"),
    ],
)
def test_a_mistake_is_told_with_the_file_and_what_is_possible(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n")
    with pytest.raises(ValueError, match=said) as error:
        read_profile(str(path))
    assert str(path) in str(error.value)


def test_gpus_have_a_type_and_hours_may_be_auto(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('gpus = "a100:2"\nhours = "auto"\n')
    assert read_profile(str(path)) == Profile(name="mine", gpus=2, gpu_type="a100", hours=AUTO_HOURS)


def test_whole_numbers_are_taken_for_hours_and_options_become_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("hours = 2\nextra = { nice = 100 }\n")
    assert read_profile(str(path)) == Profile(name="mine", hours=2.0, extra={"nice": "100"})


@pytest.mark.parametrize(
    ("profile", "at_once"),
    [
        (Profile(), 1),
        (Profile(cpus=8), 8),
        (Profile(cpus=8, threads=4), 2),
        (Profile(gpus=1, cpus=8), 1),
        (Profile(gpus=4, runs_per_gpu=3), 12),
    ],
)
def test_runs_at_once_fill_the_devices(profile, at_once):
    assert profile.runs_at_once == at_once


def test_the_readme_lists_every_key_and_every_profile():
    text = (PROFILES / "README.md").read_text()
    keys = {spec.name for spec in dataclasses.fields(Profile)} - {"name", "gpu_type"}
    assert not [key for key in keys if f"`{key}`" not in text]
    assert not [name for name in profile_names() if f"`{name}.toml`" not in text]
    assert Path(PROFILES / "run_table.sbatch").exists() and Path(PROFILES / "run_seeds.sbatch").exists()


def test_data_that_is_not_here_is_told_before_anything_is_submitted(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTRASTBENCH_DATA", str(tmp_path))
    runs = [run for cell in papers.paper("hard_negatives").cells("main", "paper", [0]) for run in cell.runs]
    with pytest.raises(ValueError, match="cifar10") as error:
        check_data(runs)
    assert "data fetch" in str(error.value) or str(tmp_path) in str(error.value)
    check_data(run for cell in papers.paper("hard_negatives").cells("main", "smoke", [0]) for run in cell.runs)
