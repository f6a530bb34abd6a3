"""Signals at any time, time limits, and preemption that cancels: nothing is lost, and what was cancelled stays so."""

import dataclasses
import sys
import threading
from types import SimpleNamespace

from slurm_site import (
    ONE_GPU,
    PATIENCE_SECONDS,
    SBATCH,
    at_gate,
    job_of_run,
    results,
    undisturbed,
    wait_until,
)

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm, slurm_queue
from contrastbench.runner.rows import read_row

WAITS = "while [ ! -e {go} ]; do sleep 0.1; done"
# The task believes in a limit of 2 minutes, told 100 s before, so that every signal counts as the time limit; Slurm
# knows of an hour and sends none of its own. Two attempts, then no more.
TWO_MINUTES = {**SBATCH, "time": 2, "signal_delay_s": 100, "additional_parameters": {"time": 60}}
SHORT = dataclasses.replace(ONE_GPU, sbatch=TWO_MINUTES, attempts=2)


def submission_of(folder):
    """What the job of the run has printed so far."""
    return "".join(path.read_text() for path in slurm_queue.job_logs(folder))


def restarts(site, folder):
    told = site.cluster.command("scontrol", "show", "job", job_of_run(folder))
    return int(told.partition("Restarts=")[2].split()[0])


def test_runs_that_are_told_to_go_in_eight_ways_at_the_same_time(site, tmp_path, monkeypatch):
    """One test, since the ways need little time together and much one after the other."""
    story = eight_runs_told_to_go(site, tmp_path)
    for name in ("USR2 early", "TERM early"):
        a_signal_before_python_is_ready_puts_the_job_back(story.folders[name])
    a_signal_during_setup_puts_the_job_back(story.folders["in setup"])
    the_task_that_bears_its_arrays_number_goes_back_alone(story)
    a_job_that_was_cancelled_does_not_come_back(story.folders["cancelled"])
    a_run_that_reaches_its_time_limit_too_often_says_so(story)
    retry_goes_on_where_time_ran_out(story, tmp_path, monkeypatch)


def eight_runs_told_to_go(site, folder):
    """What became of eight runs, each told to go in its own way while it waits for a file that comes later."""
    cluster, go, python = site.cluster, folder / "go", folder / "python"
    python.write_text(f'#!/bin/sh\necho waits >&2\n{WAITS.format(go=go)}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    settings = {"epochs": "4", "gate": str(folder / "gate")}
    early = ("USR2 early", "TERM early")
    names = (*early, "in setup", "cancelled", "limited", "array 0", "array 1", "array 2")
    folders = dict(zip(names, site.folders("toy/slow", range(8), settings), strict=True))
    submitted = {
        (0, 1): dataclasses.replace(ONE_GPU, container=str(python)),
        (2,): ONE_GPU,
        (3,): ONE_GPU,
        (4,): SHORT,
        (5, 6, 7): ONE_GPU,
    }
    for seeds, profile in submitted.items():
        site.submit("toy/slow", seeds, settings, profile)
    wait_until(lambda: all("waits" in submission_of(folders[name]) for name in early), "the interpreter to be called")
    wait_until(lambda: all(at_gate(folders[name], 2) for name in names[2:]), lambda: cluster.command("squeue"))
    array = [folders[name] for name in names[5:]]
    (carrier,) = (each for each in array if raw_number(site, each) == job_of_run(each).partition("_")[0])
    for name, number in zip(early, ("USR2", "TERM"), strict=True):
        cluster.command("scancel", f"--signal={number}", job_of_run(folders[name]))
    cluster.command("scancel", "--signal=TERM", job_of_run(folders["in setup"]))
    cluster.command("scancel", job_of_run(folders["cancelled"]))
    limit_shown = cluster.command("squeue", "-h", "-o", "%l", "-j", job_of_run(folders["limited"])).strip()
    for each in (carrier, folders["limited"]):
        cluster.command("scancel", "--signal=USR2", job_of_run(each))
    for each in (*(folders[name] for name in early), carrier, folders["limited"]):
        wait_until(lambda: restarts(site, each) == 1, lambda: submission_of(each))  # noqa: B023
    told = SimpleNamespace(site=site, settings=settings, folders=folders, limit_shown=limit_shown, array=array)
    told.carrier, told.restarts_of_array = carrier, {each: restarts(site, each) for each in array}
    go.touch()
    limited = folders["limited"]
    wait_until(lambda: (limited / "claim.2").exists() and at_gate(limited, 2), "it to wait at the gate again")
    cluster.command("scancel", "--signal=USR2", job_of_run(limited))
    wait_until(lambda: (limited / "row.json").exists(), "its row")
    (folder / "gate").touch()
    site.wait_for_end()
    return told


def raw_number(site, folder):
    return site.cluster.command("squeue", "-h", "-o", "%A", "-j", job_of_run(folder)).strip()


def a_signal_before_python_is_ready_puts_the_job_back(folder):
    """The interpreter is a script that waits for a file before it starts Python: there is all time for a signal."""
    assert read_row(folder / "row.json")["attempt"] == 1, submission_of(folder)
    assert "back to the queue (exit code 14" in submission_of(folder)


def a_signal_during_setup_puts_the_job_back(folder):
    assert read_row(folder / "row.json")["attempt"] == 2
    assert "back to the queue (exit code 143)" in submission_of(folder)


def the_task_that_bears_its_arrays_number_goes_back_alone(story):
    """In one task of each array SLURM_JOB_ID is the array's own number, which stands for all of its tasks."""
    assert story.restarts_of_array == {folder: int(folder == story.carrier) for folder in story.array}
    attempts = {folder: read_row(folder / "row.json")["attempt"] for folder in story.array}
    assert attempts == {folder: 1 + (folder == story.carrier) for folder in story.array}


def a_job_that_was_cancelled_does_not_come_back(folder):
    assert "back to the queue" not in submission_of(folder)
    assert states.state_of(folder, slurm_queue.still_queued()).name == "killed"


def a_run_that_reaches_its_time_limit_too_often_says_so(story):
    row = read_row(story.folders["limited"] / "row.json")
    assert story.limit_shown == "1:00:00"
    assert row["status"] == "timed_out" and row["epoch"] == 1 and row["attempt"] == 2
    assert "not finished in 2 tasks of 2 minutes" in row["error"]["message"]


def retry_goes_on_where_time_ran_out(story, tmp_path, monkeypatch):
    folder = story.folders["limited"]
    states.retry(folder)
    assert (folder / "checkpoint.pt").exists(), "it only needs more time"
    assert story.site.launch("toy/slow", [4], story.settings).problems == {}
    expected = undisturbed(story.site, tmp_path, monkeypatch, "toy/slow", [4], story.settings)
    assert results(story.site.folder)[folder.name] == expected[folder.name]


def test_a_job_that_slurm_takes_away_and_does_not_put_back_is_submitted_again(site, tmp_path, monkeypatch):
    """Preempted by cancelling, and no requeue is allowed."""
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    (folder,) = site.folders("toy/slow", [0], settings)
    cheap = dataclasses.replace(ONE_GPU, sbatch={**SBATCH, "gpus_per_node": 4, "partition": "cheap"})
    jobs, seen, outcomes = site.jobs("toy/slow", [0], settings), [], []

    def follow():
        outcomes.append(
            slurm.launch(jobs, cheap, site.folder, watch=lambda job, event: seen.append(event), poll_seconds=0.5)
        )

    front = threading.Thread(target=follow, daemon=True)
    front.start()
    wait_until(lambda: at_gate(folder, 2), "the run to begin")
    first, node = job_of_run(folder), read_node(site, folder)
    site.cluster.command("scontrol", "update", f"JobId={first}", "Requeue=0")
    site.cluster.command(
        *("sbatch", "--partition=urgent", f"--nodelist={node}", "--gres=gpu:4", "--output=/dev/null", "--wrap=:")
    )
    wait_until(lambda: job_of_run(folder) != first, lambda: f"{seen} {submission_of(folder)}")
    (tmp_path / "gate").touch()
    front.join(PATIENCE_SECONDS)
    assert outcomes[0].ended == {folder: "done"}, outcomes
    assert any("was taken away by Slurm" in event.get("problem", "") for event in seen)
    assert results(site.folder) == undisturbed(site, tmp_path, monkeypatch, "toy/slow", [0], settings)


def read_node(site, folder):
    return site.cluster.command("squeue", "-h", "-j", job_of_run(folder), "-o", "%N").strip()
