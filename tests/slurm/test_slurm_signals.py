"""Signals before Python is ready, and preemption that cancels: nothing is lost, and what was cancelled stays so."""

import dataclasses
import sys
import threading

import pytest
from slurm_site import ONE_GPU, PATIENCE_SECONDS, at_gate, job_of_run, results, undisturbed, wait_until

from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.rows import read_row

SETTINGS = {"epochs": "2", "size": "4"}


def submission_of(folder):
    """What the job of the run has printed so far."""
    logs = slurm_queue.job_logs(folder)
    return logs[0].read_text() if logs else ""


def restarts(site, folder):
    told = site.cluster.command("scontrol", "show", "job", job_of_run(folder))
    return int(told.partition("Restarts=")[2].split()[0])


@pytest.mark.parametrize("number", ["USR2", "TERM"])
def test_a_signal_before_python_is_ready_puts_the_job_back(site, tmp_path, number):
    """The interpreter is a script that waits for a file before it starts Python: there is all time for a signal."""
    waits = tmp_path / "python"
    waits.write_text(
        f'#!/bin/sh\necho waits\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\nexec {sys.executable} "$@"\n'
    )
    waits.chmod(0o755)
    (folder,) = site.folders("toy/slow", [0], SETTINGS)
    site.submit("toy/slow", [0], SETTINGS, dataclasses.replace(ONE_GPU, python=str(waits)))
    wait_until(lambda: "waits" in submission_of(folder), "the interpreter to be called")
    site.cluster.command("scancel", f"--signal={number}", job_of_run(folder))
    wait_until(lambda: restarts(site, folder) == 1, lambda: submission_of(folder))
    (tmp_path / "go").touch()
    site.wait_for_end()
    assert read_row(folder / "row.json")["attempt"] == 1, submission_of(folder)
    assert "told to go before the task was ready" in submission_of(folder)


def test_a_signal_during_setup_puts_the_job_back(site, tmp_path):
    lines = ("echo setting up", f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done")
    (folder,) = site.folders("toy/slow", [0], SETTINGS)
    site.submit("toy/slow", [0], SETTINGS, dataclasses.replace(ONE_GPU, setup=lines))
    wait_until(lambda: "setting up" in submission_of(folder), "the setup to begin")
    site.cluster.command("scancel", "--batch", "--signal=USR2", job_of_run(folder))
    (tmp_path / "go").touch()
    site.wait_for_end()
    assert read_row(folder / "row.json")["attempt"] == 1
    assert "back to the queue (SIGUSR2 before the task began)" in submission_of(folder)


def test_every_task_of_an_array_goes_back_alone(site, tmp_path):
    """In one of an array's tasks SLURM_JOB_ID is the array's own number, which stands for all of them."""
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    folders = site.folders("toy/slow", range(3), settings)
    site.submit("toy/slow", range(3), settings)
    wait_until(lambda: all(at_gate(folder, 2) for folder in folders), "the runs to begin")
    for told, folder in enumerate(folders, start=1):  # one after the other, while the others work
        site.cluster.command("scancel", "--signal=USR2", job_of_run(folder))
        wait_until(lambda: restarts(site, folder) == 1, lambda: submission_of(folder))  # noqa: B023
        assert [restarts(site, each) for each in folders] == [1] * told + [0] * (3 - told)
    (tmp_path / "gate").touch()
    site.wait_for_end()
    assert [read_row(folder / "row.json")["attempt"] for folder in folders] == [2, 2, 2]


def test_a_job_that_was_cancelled_does_not_come_back(site, tmp_path):
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    (folder,) = site.folders("toy/slow", [0], settings)
    site.submit("toy/slow", [0], settings)
    wait_until(lambda: at_gate(folder, 2), "the run to begin")
    site.cluster.command("scancel", job_of_run(folder))
    site.wait_for_end()
    assert "back to the queue" not in submission_of(folder)
    assert site.states("toy/slow", [0], settings) == ["killed"]


def test_a_run_that_was_preempted_by_cancelling_is_submitted_again(site, tmp_path, monkeypatch):
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    (folder,) = site.folders("toy/slow", [0], settings)
    cheap = dataclasses.replace(ONE_GPU, gpus=4, partition="cheap")
    jobs, seen, outcomes = site.jobs("toy/slow", [0], settings), [], []

    def follow():
        outcomes.append(
            slurm.launch(jobs, cheap, site.folder, watch=lambda job, event: seen.append(event), poll_seconds=0.5)
        )

    front = threading.Thread(target=follow)
    front.start()
    wait_until(lambda: at_gate(folder, 2), "the run to begin")
    first, node = job_of_run(folder), read_node(site, folder)
    site.cluster.command(
        *("sbatch", "--partition=urgent", f"--nodelist={node}", "--gres=gpu:4", "--output=/dev/null", "--wrap=:")
    )
    wait_until(lambda: job_of_run(folder) != first, "the run to be submitted again")
    (tmp_path / "gate").touch()
    front.join(PATIENCE_SECONDS)
    assert outcomes[0].ended == {folder: "done"}, outcomes
    assert any("was taken away by Slurm" in event.get("problem", "") for event in seen)
    assert results(site.folder) == undisturbed(site, tmp_path, monkeypatch, "toy/slow", [0], settings)


def read_node(site, folder):
    return site.cluster.command("squeue", "-h", "-j", job_of_run(folder), "-o", "%N").strip()
