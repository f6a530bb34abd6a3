"""The front command on a real Slurm: it follows, it explains what waits, and it trusts no inherited environment."""

import os
import re
import subprocess
import sys

import pytest
from slurm_site import PATIENCE_SECONDS, Site, at_gate, job_of_run, queue_is_empty, wait_until, worker_of

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm_queue
from contrastbench.runner.launchers.slurm_queue import QueuedTask
from contrastbench.runner.launchers.slurm_reasons import never
from contrastbench.runner.rows import read_row


def profile(tmp_path, text=""):
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n")
    return str(path)


def finished(front):
    """What a front command printed, once it has ended, and its exit code."""
    said, _ = front.communicate(timeout=PATIENCE_SECONDS)
    return said, front.returncode


def run_command(tmp_path, target, *more, site_profile=""):
    path = profile(tmp_path, site_profile)
    return ["run", target, "--seeds", "1", "--launcher", "slurm", "--profile", path, *more]


def test_the_same_command_follows_what_is_at_work_and_ends_with_the_table(site, tmp_path):
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    command = run_command(tmp_path, "toy/slow", "--set", "epochs=4", "--set", f"gate={settings['gate']}")
    said, code = finished(site.front(*command, "--detach"))
    assert code == 0 and "1 runs are in Slurm's queue" in said, said
    (folder,) = site.folders("toy/slow", [0], settings)
    wait_until(lambda: at_gate(folder, 2), "the run to begin")
    said, code = finished(site.front(*command, "--detach"))
    assert code == 0 and "0 to start" in said and len(slurm_queue.read_queue()) == 1, said
    said, _ = finished(site.front("status", "toy/slow", *command[2:4], *command[8:]))
    line = next(line for line in said.splitlines() if folder.name[:8] in line)
    assert "2 of 4" in line and job_of_run(folder) in line and re.search(r"\d+ s ago", line), said
    follower = site.front(*command)
    assert any("1 running; 0 to start" in line for line in follower.stdout), "it must follow the run that is at work"
    (tmp_path / "gate").touch()
    said, code = finished(follower)
    assert code == 0 and "1 done" in said, said


def test_a_run_that_does_not_finish_makes_the_exit_code_1(site, tmp_path):
    command = run_command(tmp_path, "toy/slow", "--set", "epochs=4", "--set", f"gate={tmp_path / 'gate'}")
    follower = site.front(*command)
    (folder,) = site.folders("toy/slow", [0], {"epochs": "4", "gate": str(tmp_path / "gate")})
    wait_until(lambda: worker_of(folder), "the run to begin")
    site.cluster.command("scancel", job_of_run(folder))
    said, code = finished(follower)
    assert code == 1 and "1 killed" in said and "CANCELLED" in said, said


def test_a_reason_that_never_passes_ends_the_wait_and_names_the_key(site, tmp_path):
    command = run_command(tmp_path, "toy/slow", site_profile='partition = "short"\nhours = 2')
    said, code = finished(site.front(*command))
    assert code == 1 and "PartitionTimeLimit" in said and "the key hours of profile mine is wrong" in said, said
    assert queue_is_empty(), "else the next command would find it queued, and wait"
    assert site.states("toy/slow", [0]) == ["new"]


def test_a_held_job_is_told_and_left_to_its_holder(site, tmp_path):
    command = run_command(tmp_path, "toy/slow", site_profile='extra = { hold = "" }')
    said, code = finished(site.front(*command))
    (folder,) = site.folders("toy/slow", [0])
    assert code == 1 and f"scontrol release {job_of_run(folder)}" in said, said
    said, _ = finished(site.front("status", "toy/slow", "--seeds", "1"))
    assert "1 wait in Slurm's queue: JobHeldUser" in said and "scontrol release" in said
    said, _ = finished(site.front("logs", folder.name))
    assert "is held (JobHeldUser)" in said
    slurm_queue.cancel([folder])


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("PartitionTimeLimit", "the key hours"),
        ("PartitionConfig", "the key partition"),
        ("PartitionInactive", "the key partition"),
        ("BadConstraints", "the key constraint"),
        ("InvalidAccount", "the key account"),
        ("InvalidQOS", "the key qos"),
        ("QOSMaxWallDurationPerJobLimit", "the key hours"),
        ("QOSMaxCpuPerJobLimit", "the key cpus"),
        ("QOSMaxGRESPerJob", "the key gpus"),
        ("AssocMaxMemPerJob", "the key memory_gb"),
        ("QOSMinCpuNotSatisfied", "the key cpus"),
        ("QOSMinGRES", "the key gpus"),
        ("JobHeldAdmin", "scontrol release 7_1"),
        ("Priority", ""),
        ("Resources", ""),
        ("QOSMaxCpuPerUserLimit", ""),  # passes when own jobs end
        ("QOSGrpCpuLimit", ""),  # passes when others' jobs end
    ],
)
def test_each_reason_that_never_passes_names_its_key(reason, said):
    line = never(QueuedTask("7_1", "/runs/.slurm/a", 1, "PENDING", reason, ""))
    assert said in line and bool(line) == bool(said)


MISLEADING = {
    **{"SBATCH_PARTITION": "nowhere", "SBATCH_EXPORT": "NONE", "SBATCH_ARRAY_INX": "0-3", "SBATCH_MEM_PER_NODE": "1"},
    **{"SLURM_EXPORT_ENV": "NONE", "SLURM_CPUS_PER_TASK": "7", "SLURM_MEM_PER_CPU": "3", "SLURM_NTASKS": "9"},
    **{"SQUEUE_STATES": "COMPLETED", "SQUEUE_FORMAT": "%i", "RANK": "3", "WORLD_SIZE": "9"},
}


def test_submission_works_inside_an_allocation_and_with_any_slurm_variable_set(site, tmp_path):
    command = run_command(tmp_path, "toy/main/Noise8/Plain")
    front = [sys.executable, "-m", "contrastbench.cli", "--runs", str(site.folder), *command]
    inside = ["salloc", "--quiet", "--ntasks=1", "--mem=100M", "env", *(f"{k}={v}" for k, v in MISLEADING.items())]
    done = subprocess.run([*inside, *front], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0 and "1 done" in done.stdout, done.stdout + done.stderr


CAUSES = {
    'python = "/nowhere/python"': "execve(): /nowhere/python: No such file or directory",
    'python = "/usr/bin/python3 -S"': "No module named",
    'setup = ["echo hello", "cd /not/there  # a comment", "echo never"]': "failed with exit code 1: cd /not/there",
}


def test_the_first_cause_of_a_job_that_could_not_start_is_shown(site, tmp_path):
    fronts = {}
    for number, site_profile in enumerate(CAUSES):  # at the same time, each with its runs folder
        folder = tmp_path / str(number)
        folder.mkdir()
        command = run_command(folder, "toy/main/Noise8/Plain", site_profile=site_profile)
        fronts[site_profile] = Site(site.cluster, folder / "runs").front(*command)
    for site_profile, front in fronts.items():
        said, code = finished(front)
        assert code == 1 and CAUSES[site_profile] in said, said
        assert "never" not in said


def test_one_cell_of_a_packed_job_is_cancelled_without_its_neighbours(site, tmp_path):
    gate = tmp_path / "gate"
    settings = {"epochs": "4", "gate": str(gate)}
    given = ["--set", "epochs=4", "--set", f"gate={gate}"]
    command = run_command(tmp_path, "toy/main", *given, "--detach", site_profile="cpus = 2\nruns_per_task = 4")
    said, code = finished(site.front(*command))
    assert code == 0, said
    first, second, third, fourth = site.folders("toy/main", [0], settings)
    wait_until(lambda: at_gate(first, 2) and at_gate(second, 2), "two runs to be at work")
    for method in ("Noise16/Plain", "Noise8/Plain"):  # the third waits, and is never begun once the first makes room
        said, code = finished(site.front("cancel", f"toy/main/{method}", "--seeds", "1", *given))
        assert code == 0 and "1 runs cancelled, with them 0 Slurm jobs" in said, said
    wait_until(lambda: not worker_of(first), "the worker of the cancelled run to end")
    gate.touch()
    site.wait_for_end()
    assert site.states("toy/main", [0], settings) == ["killed", "done", "new", "done"]
    assert read_row(second / "row.json")["attempt"] == 1 and (first / "checkpoint.pt").exists()
    assert "cancelled by `contrastbench cancel`" in slurm_queue.why_it_ended(first)


def test_an_unknown_target_is_not_cancelled_silently(site):
    said, code = finished(site.front("cancel", "toy/main/Nothing"))
    assert code == 2 and "Nothing" in said, said


def test_a_front_killed_inside_submit_leaves_no_unknown_job(site, tmp_path, monkeypatch):
    """An sbatch that is killed, with the front command, between Slurm's yes and its hearing of it."""
    shim = tmp_path / "bin" / "sbatch"
    shim.parent.mkdir()
    real = subprocess.run(["which", "sbatch"], capture_output=True, text=True, check=True).stdout.strip()
    shim.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" > /dev/null\nkill -9 $PPID\n')
    shim.chmod(0o755)
    command = run_command(tmp_path, "toy/main/Noise8/Plain", site_profile='extra = { begin = "now+1hour" }')
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    front = site.front(*command)
    front.wait(timeout=PATIENCE_SECONDS)
    assert front.returncode == -9
    monkeypatch.undo()
    assert site.states("toy/main/Noise8/Plain", [0]) == ["queued"]
    (task,) = slurm_queue.read_queue()
    site.cluster.command("scontrol", "update", f"JobId={task.job}", "StartTime=now")
    said, code = finished(site.front(*command))
    assert code == 0 and "0 to start" in said and "1 done" in said, said


def test_status_of_a_site_without_slurm_asks_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_queue.read_queue() is None
    assert states.state_of(tmp_path, slurm_queue.still_queued()).name == "new"
