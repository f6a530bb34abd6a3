"""Runs on their way into a real Slurm's queue, and what a user is told of those that are not started."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from itertools import combinations
from pathlib import Path

import pytest
from slurm_site import (
    ONE_GPU,
    ONE_HOUR_LATER,
    PATIENCE_SECONDS,
    Site,
    asking,
    at_gate,
    job_of,
    results,
    row_of,
    running_cluster,
    undisturbed,
    wait_until,
)

from contrastbench.runner import states
from contrastbench.runner.launchers import slurm, slurm_queue

TOY = Path(__file__).parents[1] / "toy" / "benchmarks" / "toy"
ONE_RUN = ("toy/main/Noise8/Plain", [0])
LATER = '[sbatch]\ntime = 60\nadditional_parameters = { begin = "now+1hour" }'


def test_arrays_are_cut_to_the_sites_size_and_each_run_sees_a_device_of_its_own(site):
    """Sixteen runs, three in a task one after another, on a site with MaxArraySize=5."""
    what = ("toy/many", range(16), {"seconds_per_epoch": "0.3", "epochs": "2"})
    folders, packed = site.folders(*what), asking(runs_per_task=3)
    outcome = site.launch(site.jobs(*what), packed)
    assert outcome.problems == {} and set(outcome.ended.values()) == {"done"} and len(outcome.ended) == 16
    arrays = [job_of(folder).partition("_") for folder in folders]
    assert len({array for array, _, _ in arrays}) == 2 and max(int(task) for _, _, task in arrays) == 4
    where = [whereabouts(folder) for folder in folders]
    assert {device for _, device, _, _ in where} <= set("0123") and len({place[:2] for place in where}) > 1
    for (*place, begin, end), (*place_2, begin_2, end_2) in combinations(where, 2):
        assert place != place_2 or end <= begin_2 or end_2 <= begin, "two runs on one device"
    assert site.launch(site.jobs(*what), packed).ended == {}, "the second time there is nothing to do"


def whereabouts(folder):
    """The run's node, the devices that it saw, and when it was at work first and last."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return lines[0]["SLURMD_NODENAME"], lines[0]["CUDA_VISIBLE_DEVICES"], lines[0]["at"], lines[-1]["at"]


def test_what_is_needed_runs_first_and_failures_have_their_words(site, tmp_path, monkeypatch):
    """Two runs at a time on a GPU; the probes wait for the walk as a Slurm dependency."""
    expected = undisturbed(site, tmp_path, monkeypatch, "toy/chain", [0])
    jobs = site.jobs("toy/chain", [0]) + site.jobs("toy/faults", [0])
    assert site.launch(jobs, asking(runs_per_gpu=2, runs_per_task=5)).problems == {}
    assert site.states("toy/chain", [0]) == ["done"] * 3
    assert site.states("toy/faults", [0]) == ["done", "failed", "diverged", "out_of_memory"]
    assert {key: row for key, row in results(site.folder).items() if key in expected} == expected
    scripts = [path.read_text() for path in site.folder.glob(".slurm/*/*_submission.sh")]
    assert sum("--dependency=afterany:" in text for text in scripts) == 1


def test_queued_jobs_run_the_code_they_were_submitted_with_and_reach_no_network(site, tmp_path):
    paper = tmp_path / "own" / "benchmarks" / "pinned"
    shutil.copytree(TOY, paper)
    for path in paper.glob("*.py"):
        path.write_text(path.read_text().replace("benchmarks.toy", "benchmarks.pinned").replace('"toy"', '"pinned"'))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asks = f"import urllib.request\n    try:\n        urllib.request.urlopen('http://127.0.0.1:{server.server_port}/')"
    asks += "\n        reached = 1\n    except OSError:\n        reached = 0\n    "
    text = (
        (paper / "train.py").read_text().replace('return {"test_top1', f'{asks}return {{"reached": reached, "test_top1')
    )
    (paper / "train.py").write_text(text)
    front = [sys.executable, "-m", "contrastbench.cli", "--runs", str(site.folder), "run", "pinned/main/Noise8/Plain"]
    (tmp_path / "soon.toml").write_text(LATER.replace("1hour", "4"))
    process = subprocess.Popen(
        [*front, "--seeds", "1", "--launcher", "slurm", "--profile", str(tmp_path / "soon.toml")],
        env={**os.environ, "PYTHONPATH": f"{paper.parents[1]}:{os.environ['PYTHONPATH']}"},
    )
    wait_until(lambda: list(site.folder.glob("pinned/*/queued.json")) or process.poll() is not None, "a mark")
    (paper / "train.py").write_text("raise SystemExit('edited while queued')\n")
    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    server.shutdown()
    (row,) = (row_of(path.parent) for path in site.folder.glob("pinned/*/row.json"))
    assert row["status"] == "done" and row["metrics"]["reached"] == 0.0
    copies = site.folder / ".snapshots" / row["git"]["snapshot_sha256"][:16]
    assert (copies / "benchmarks" / "pinned" / "train.py").read_text() == text


FULL_AT_TWO = """#!/bin/sh
for script; do :; done
asked=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
[ $(($({squeue} --me --array --noheader | wc -l) + asked + 1)) -le 2 ] && exec {sbatch} "$@"
echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
exit 1
"""


def test_under_a_limit_on_submitted_jobs_the_queue_is_filled_as_room_is_made(site, tmp_path, monkeypatch):
    """An sbatch that says what Slurm says under MaxSubmitJobs: at most two tasks at once."""
    shim, seen = tmp_path / "bin" / "sbatch", []
    shim.parent.mkdir()
    shim.write_text(FULL_AT_TWO.format(sbatch=shutil.which("sbatch"), squeue=shutil.which("squeue")))
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    outcome = site.launch(site.jobs("toy/many", range(5)), ONE_GPU, seen)
    assert outcome.problems == {} and list(outcome.ended.values()) == ["done"] * 5
    assert any("QOSMaxSubmitJobPerUserLimit" in event.get("waits", "") for event in seen)


@pytest.mark.slow
def test_under_slurms_own_limit_on_all_jobs_the_queue_is_filled_as_room_is_made(tmp_path):
    """MaxJobCount: Slurm counts an ended job until it forgets it, which it does once a minute."""
    with running_cluster(nodes=2, gpus=1, max_array_size=5, max_job_count=8, min_job_age=2) as cluster:
        site, seen = Site(cluster, tmp_path / "runs"), []
        outcome = site.launch(site.jobs("toy/many", range(12)), ONE_GPU, seen)
        assert outcome.problems == {} and list(outcome.ended.values()) == ["done"] * 12
        assert any("temporarily unable to accept job" in event.get("waits", "") for event in seen)


def test_two_fronts_that_submit_the_same_plan_queue_each_run_once(site):
    jobs, later = site.jobs("toy/main", [0, 1]), asking(sbatch=ONE_HOUR_LATER)
    fronts = [threading.Thread(target=slurm.Front(jobs, later, site.folder, print).fill) for _ in range(2)]
    for front in fronts:
        front.start()
    for front in fronts:
        front.join()
    assert len(slurm_queue.read_queue()) == len(jobs) == 8


def test_a_front_killed_between_sbatch_and_its_answer_leaves_no_job_that_nobody_knows(site, tmp_path, monkeypatch):
    shim = tmp_path / "bin" / "sbatch"
    shim.parent.mkdir()
    front_pid = "$(ps -o ppid= -p $PPID)"  # between it and sbatch is `timeout`
    shim.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" > /dev/null\nkill -9 {front_pid}\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    command = ("run", ONE_RUN[0], "--seeds", "1")
    assert site.say(*command, profile=LATER)[1] == -9
    monkeypatch.undo()
    assert site.states(*ONE_RUN) == ["queued"]
    (task,) = slurm_queue.read_queue().values()
    site.cluster.command("scontrol", "update", f"JobId={task.job}", "StartTime=now")
    said, code = site.say(*command, profile=LATER)
    assert code == 0 and "0 to start" in said and "1 done" in said, said


def test_the_front_may_leave_and_follow_later_and_a_cancelled_job_says_which_runs_it_ends(site, tmp_path):
    given = ("--seeds", "1", "--set", "epochs=4", "--set", f"gate={tmp_path / 'gate'}")
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    packed = "runs_per_task = 4\n[sbatch]\ntime = 60\ncpus_per_task = 2"
    said, code = site.say("run", "toy/main", *given, "--detach", profile=packed)
    assert code == 0 and "4 runs are in Slurm's queue" in said, said
    folders = site.folders("toy/main", [0], settings)
    wait_until(lambda: at_gate(folders[0]) and at_gate(folders[1]), "two of the four runs to work at the same time")
    follower = site.front("run", "toy/main", *given, profile=packed)
    assert any("0 to start" in line for line in follower.stdout), "it must follow what is at work"
    job = job_of(folders[0])
    said, code = site.say("cancel", "toy/main/Noise8/Plain", *given)
    assert code == 0 and "1 Slurm jobs cancelled, which ends 4 runs" in said, said
    assert said.count("which shared a job with one of those") == 3 and "toy Noise16 Better" in said
    said, _ = follower.communicate(timeout=PATIENCE_SECONDS)
    assert follower.returncode == 1 and "cancelled by `contrastbench cancel`" in said, said
    wait_until(lambda: not site.squeue("%i"), "the job to leave the queue")
    assert "CANCELLED" in site.cluster.command("scontrol", "show", "job", job)
    assert site.states("toy/main", [0], settings) == ["killed", "killed", "new", "new"]


MISLEADING = {
    **{"SBATCH_PARTITION": "nowhere", "SBATCH_EXPORT": "NONE", "SBATCH_ARRAY_INX": "0-3", "SBATCH_MEM_PER_NODE": "1"},
    **{"SLURM_CPUS_PER_TASK": "7", "SLURM_MEM_PER_CPU": "3", "SLURM_NTASKS": "9", "SQUEUE_STATES": "COMPLETED"},
    **{"SQUEUE_FORMAT": "%i", "RANK": "3", "WORLD_SIZE": "9"},
}


def test_submission_works_inside_an_allocation_and_with_any_slurm_variable_set(site, monkeypatch):
    with subprocess.Popen(["salloc", "--quiet", "--ntasks=1", "--mem=100M", "env"], stdout=subprocess.PIPE) as salloc:
        inside = dict(line.decode().strip().split("=", 1) for line in salloc.stdout if line.startswith(b"SLURM"))
    assert "SLURM_JOB_ID" in inside
    for name, value in (inside | MISLEADING).items():
        monkeypatch.setenv(name, value)
    said, code = site.say("run", ONE_RUN[0], "--seeds", "1", profile="[sbatch]\ntime = 60")
    assert code == 0 and "1 done" in said, said


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ('partition = "nowhere"', "sbatch refused: sbatch: error: invalid partition specified: nowhere"),
        ('partition = "short"', "Slurm would never start it with profile mine: PartitionTimeLimit"),
        ('setup = ["cd /nowhere # now"]', "a setup line of the profile failed: cd /nowhere # now"),
        ('container = "/nowhere/python"', "execve(): /nowhere/python: No such file or directory"),
        ('container = "/usr/bin/python3 -S"', "No module named"),
    ],
)
def test_what_cannot_start_ends_the_command_with_slurms_word_or_the_first_cause(site, profile, problem):
    lines = ["[sbatch]", "time = 60", profile]
    profile = "\n".join([profile, *lines[:2]] if profile.startswith("container") else lines)
    said, code = site.say("run", ONE_RUN[0], "--seeds", "1", profile=profile)
    assert code == 1 and problem in said, said
    assert slurm_queue.read_queue() == {}, "else the next command would find it queued, and wait"
    assert site.states(*ONE_RUN) == ["new"]


def test_slurms_reason_is_shown_while_a_run_waits(site):
    seen, held, jobs = [], asking(sbatch={"additional_parameters": {"hold": True}}), site.jobs(*ONE_RUN)
    front = slurm.Front(jobs, held, site.folder, lambda job, event: seen.append(event))
    front.fill()
    wait_until(lambda: site.squeue("%r") == "JobHeldUser")
    front.look()
    assert seen == [{"waits": "JobHeldUser"}] and site.jobs(*ONE_RUN) == []
    assert "1 wait in Slurm's queue: JobHeldUser" in site.say("status", ONE_RUN[0], "--seeds", "1")[0]


def test_other_lines_that_squeue_prints_are_passed_over(site, tmp_path, monkeypatch):
    site.submit(site.jobs(*ONE_RUN), asking(sbatch=ONE_HOUR_LATER))
    shim, before = tmp_path / "squeue", slurm_queue.read_queue()
    shim.write_text(f'#!/bin/sh\necho "Welcome | to | our | new | cluster"\necho\nexec {shutil.which("squeue")} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert slurm_queue.read_queue() == before and len(before) == 1


def test_without_slurm_scripts_are_printed_and_submitting_says_so(tmp_path, monkeypatch):
    site = Site(None, tmp_path / "runs")
    monkeypatch.setattr(slurm_queue.shutil, "which", lambda name: None)
    (text,) = slurm.dry_run(site.jobs("toy/main", [0]), asking(sbatch={"partition": "gpu"}), site.folder)
    for line in ("#SBATCH --partition=gpu", "#SBATCH --array=0-3%4", "#SBATCH --signal=USR2@90", "#SBATCH --time=120"):
        assert line in text.splitlines()
    assert not (site.folder / ".slurm").exists() and not (site.folder / ".snapshots").exists(), "nothing is written"
    with pytest.raises(ValueError, match="no Slurm answers here"):
        site.launch(site.jobs("toy/main", [0]))


def test_a_run_counts_as_queued_while_the_controller_does_not_answer(tmp_path, monkeypatch):
    states.mark_queued(tmp_path, launcher="slurm", place=f"{tmp_path}/1")
    monkeypatch.setattr(slurm_queue, "read_queue", lambda: None)
    for which, state in ((lambda name: name, "queued"), (lambda name: None, "new")):
        monkeypatch.setattr(slurm_queue.shutil, "which", which)
        assert states.state_of(tmp_path, slurm_queue.still_queued()).name == state
