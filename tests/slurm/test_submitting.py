"""Runs on their way into a real Slurm's queue, and what a user is told of those that are not started."""

import http.server
import json
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import lab
import pytest

from contrastbench.runner.launchers import slurm, slurm_queue

TOY = Path(__file__).parents[1] / "toy" / "benchmarks" / "toy"
ONE_RUN = ("toy/main/Noise8/Plain", [0])


def on_the_path(monkeypatch, folder, name, text):
    """Puts a command of the test's own before one of Slurm's, whose path is {real} in its text."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + text.replace("{real}", shutil.which(name)))
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_arrays_are_cut_to_the_sites_size_and_each_run_sees_a_device_of_its_own(site):
    """Sixteen runs, three in a task one after another, on a site with MaxArraySize=5."""
    what = ("toy/many", range(16), {"seconds_per_epoch": "0.3", "epochs": "2"})
    folders, packed = site.folders(*what), lab.asking(runs_per_task=3)
    outcome = site.launch(site.jobs(*what), packed)
    assert outcome.problems == {} and list(outcome.ended.values()) == ["done"] * 16
    arrays = [lab.job_of(folder).partition("_") for folder in folders]
    assert len({array for array, _, _ in arrays}) == 2 and max(int(task) for _, _, task in arrays) == 4
    where = [whereabouts(lab.curve_of(folder)) for folder in folders]
    assert {device for _, device, _, _ in where} <= set("0123") and len({place[:2] for place in where}) > 1
    for (*place, begin, end), (*place_2, begin_2, end_2) in combinations(where, 2):
        assert place != place_2 or end <= begin_2 or end_2 <= begin, "two runs on one device"
    assert site.launch(site.jobs(*what), packed).ended == {}, "the second time there is nothing to do"


def whereabouts(lines):
    """The node and the devices that a run's curve tells, and when it was at work first and last."""
    return lines[0]["SLURMD_NODENAME"], lines[0]["CUDA_VISIBLE_DEVICES"], lines[0]["at"], lines[-1]["at"]


def test_what_is_needed_runs_first_and_failures_have_their_words(site, tmp_path, monkeypatch):
    """Two runs at a time on a GPU; the probes wait for the walk as a Slurm dependency."""
    expected = lab.undisturbed(site, tmp_path, monkeypatch, "toy/chain", [0])
    jobs = site.jobs("toy/chain", [0]) + site.jobs("toy/faults", [0])
    assert site.launch(jobs, lab.asking(runs_per_gpu=2, runs_per_task=5)).problems == {}
    assert site.states("toy/chain", [0]) == ["done"] * 3
    assert site.states("toy/faults", [0]) == ["done", "failed", "diverged", "out_of_memory"]
    assert {key: row for key, row in lab.results(site.folder).items() if key in expected} == expected
    scripts = [path.read_text() for path in site.folder.glob(".slurm/*/*_submission.sh")]
    assert sum("--dependency=afterany:" in text for text in scripts) == 1


def test_queued_jobs_run_the_code_they_were_submitted_with_and_reach_no_network(site, tmp_path, monkeypatch):
    paper, said = tmp_path / "own" / "benchmarks" / "pinned", tmp_path / "said"
    shutil.copytree(TOY, paper)
    for path in paper.glob("*.py"):
        path.write_text(path.read_text().replace("benchmarks.toy", "benchmarks.pinned").replace('"toy"', '"pinned"'))
    monkeypatch.setenv("PYTHONPATH", f"{paper.parents[1]}:{os.environ['PYTHONPATH']}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asks = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{server.server_port}/')"
    teardown = json.dumps([f'{sys.executable} -c "{asks}" 2> {said}'])
    soon = f'[sbatch]\ntime = 60\nteardown = {teardown}\nadditional_parameters = {{ begin = "now+4" }}'
    front = site.front("run", "pinned/main/Noise8/Plain", "--seeds", "1", profile=soon)
    lab.wait_until(lambda: list(site.folder.glob("pinned/*/queued.json")) or front.poll() is not None, "a mark")
    text = (paper / "train.py").read_text()
    (paper / "train.py").write_text("raise SystemExit('edited while queued')\n")
    assert front.wait(timeout=lab.PATIENCE_SECONDS) == 0, front.stdout.read()
    (row,) = (lab.row_of(path.parent) for path in site.folder.glob("pinned/*/row.json"))
    copies = site.folder / ".snapshots" / row["git"]["snapshot_sha256"][:16]
    assert row["status"] == "done" and (copies / "benchmarks" / "pinned" / "train.py").read_text() == text
    lab.wait_until(lambda: said.exists() and "Connection refused" in said.read_text(), "the teardown's word")
    server.shutdown()


FULL_AT_TWO = """for script; do :; done
asked=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
[ $(($(squeue --me --array --noheader | wc -l) + asked + 1)) -le 2 ] && exec {real} "$@"
echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
exit 1
"""


def test_under_a_limit_on_submitted_jobs_the_queue_is_filled_as_room_is_made(site, tmp_path, monkeypatch):
    """An sbatch that says what Slurm says under MaxSubmitJobs: at most two tasks at once."""
    on_the_path(monkeypatch, tmp_path / "bin", "sbatch", FULL_AT_TWO)
    outcome = site.launch(site.jobs("toy/many", range(5)), seen=(seen := []))
    assert outcome.problems == {} and list(outcome.ended.values()) == ["done"] * 5
    assert any("QOSMaxSubmitJobPerUserLimit" in event.get("waits", "") for event in seen)


@pytest.mark.slow
def test_under_slurms_own_limit_on_all_jobs_the_queue_is_filled_as_room_is_made(tmp_path):
    """MaxJobCount: Slurm counts an ended job until it forgets it, once a minute; sbatch itself may wait so long."""
    with lab.running_cluster(nodes=2, gpus=1, max_array_size=5, max_job_count=8, min_job_age=2) as cluster:
        site = lab.Site(cluster, tmp_path / "runs")
        outcome = site.launch(site.jobs("toy/many", range(12)))
        assert outcome.problems == {} and list(outcome.ended.values()) == ["done"] * 12


def test_two_fronts_that_submit_the_same_plan_queue_each_run_once(site):
    jobs, later = site.jobs("toy/main", [0, 1]), lab.asking({"additional_parameters": {"begin": "now+1hour"}})
    with ThreadPoolExecutor(2) as fronts:
        list(fronts.map(lambda front: slurm.Front(jobs, later, site.folder, front).fill(), (print, print)))
    assert len(slurm_queue.read_queue()) == len(jobs) == 8


def test_a_front_killed_between_sbatch_and_its_answer_leaves_no_job_that_nobody_knows(site, tmp_path, monkeypatch):
    killing = '{real} "$@" > /dev/null\nkill -9 $(ps -o ppid= -p $PPID)\n'  # between the front and it is `timeout`
    on_the_path(monkeypatch, tmp_path / "bin", "sbatch", killing)
    later = '[sbatch]\ntime = 60\nadditional_parameters = { begin = "now+1hour" }'
    assert site.say("run", ONE_RUN[0], "--seeds", "1", profile=later)[1] == -9
    monkeypatch.undo()
    assert site.states(*ONE_RUN) == ["queued"]
    (task,) = slurm_queue.read_queue().values()
    site.cluster.command("scontrol", "update", f"JobId={task.job}", "StartTime=now")
    said, code = site.say("run", ONE_RUN[0], "--seeds", "1", profile=later)
    assert code == 0 and "0 to start" in said and "1 done" in said, said


def test_the_front_may_leave_and_follow_later_and_a_cancelled_job_says_which_runs_it_ends(site, tmp_path):
    settings = {"epochs": "4", "gate": str(tmp_path / "gate")}
    given = ["--seeds", "1", *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]
    packed = "runs_per_task = 4\n[sbatch]\ntime = 60\ncpus_per_task = 2"
    said, code = site.say("run", "toy/main", *given, "--detach", profile=packed)
    assert code == 0 and "4 runs are in Slurm's queue" in said, said
    first, second, *_ = site.folders("toy/main", [0], settings)
    lab.wait_until(lambda: lab.at_gate(first) and lab.at_gate(second), "two runs to work at the same time")
    follower = site.front("run", "toy/main", *given, profile=packed)
    assert any("0 to start" in line for line in follower.stdout), "it must follow what is at work"
    said, code = site.say("cancel", "toy/main/Noise8/Plain", *given)
    assert code == 0 and "1 Slurm jobs cancelled, which ends 4 runs" in said, said
    assert said.count("which shared a job with one of those") == 3 and "toy Noise16 Better" in said
    said, _ = follower.communicate(timeout=lab.PATIENCE_SECONDS)
    assert follower.returncode == 1 and "cancelled by `contrastbench cancel`" in said, said
    site.wait_for_end()
    assert site.states("toy/main", [0], settings) == ["killed", "killed", "new", "new"]


MISLEADING = ["SBATCH_PARTITION=nowhere", "SBATCH_EXPORT=NONE", "SBATCH_ARRAY_INX=0-3", "SLURM_NTASKS=9", "RANK=3"]
MISLEADING += ["SLURM_CPUS_PER_TASK=7", "SQUEUE_STATES=COMPLETED", "SQUEUE_FORMAT=%i", "WORLD_SIZE=9"]


def test_submission_works_inside_an_allocation_and_with_any_slurm_variable_set(site):
    inside = ["salloc", "--quiet", "--ntasks=1", "--mem=100M", "env", *MISLEADING]
    said, code = site.say("run", ONE_RUN[0], "--seeds", "1", profile="[sbatch]\ntime = 60", inside=inside)
    assert code == 0 and "1 done" in said, said


CANNOT_START = {
    '[sbatch]\ntime = 60\npartition = "nowhere"': "sbatch refused: sbatch: error: invalid partition specified: nowhere",
    '[sbatch]\ntime = 60\npartition = "short"': "Slurm would never start it with profile mine: PartitionTimeLimit",
    '[sbatch]\ntime = 60\nsetup = ["cd /nowhere # now"]': "setup line of the profile failed: cd /nowhere # now",
    'container = "/nowhere/python"\n[sbatch]\ntime = 60': "execve(): /nowhere/python: No such file or directory",
    'container = "/usr/bin/python3 -S"\n[sbatch]\ntime = 60': "No module named",
}


@pytest.mark.parametrize(("profile", "problem"), CANNOT_START.items())
def test_what_cannot_start_ends_the_command_with_slurms_word_or_the_first_cause(site, profile, problem):
    said, code = site.say("run", ONE_RUN[0], "--seeds", "1", profile=profile)
    assert code == 1 and problem in said, said
    assert slurm_queue.read_queue() == {}, "else the next command would find it queued, and wait"
    assert site.states(*ONE_RUN) == ["new"]


def test_slurms_reason_is_shown_while_a_run_waits_whatever_else_squeue_prints(site, tmp_path, monkeypatch):
    on_the_path(monkeypatch, tmp_path / "bin", "squeue", 'echo "Welcome | to | our | new | cluster"\n{real} "$@"\n')
    seen, held = [], lab.asking({"additional_parameters": {"hold": True}})
    front = slurm.Front(site.jobs(*ONE_RUN), held, site.folder, lambda job, event: seen.append(event))
    front.fill()
    lab.wait_until(lambda: "JobHeldUser" in site.squeue("%r"))
    front.look()
    assert seen == [{"waits": "JobHeldUser"}]
    assert "1 wait in Slurm's queue: JobHeldUser" in site.say("status", ONE_RUN[0], "--seeds", "1")[0]


@pytest.mark.slow
def test_a_loss_of_ones_own_is_computed_as_it_was_when_its_job_was_queued(site, tmp_path, monkeypatch):
    """``contrastbench try`` on the cluster; the file and what it imports are gone before the first job starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTRASTBENCH_RESULTS", str(tmp_path / "results"))
    (tmp_path / "scores.py").write_text(
        "from torch.nn.functional import normalize\n\ndef cosines(a, b):\n"
        "    return normalize(a, dim=1, eps=1e-20) @ normalize(b, dim=1, eps=1e-20).T\n"
    )
    (tmp_path / "my_loss.py").write_text(
        "import torch\nfrom scores import cosines\n\ndef mine(z_a, z_b, *, temperature=0.5):\n"
        "    where = torch.arange(len(z_a), device=z_a.device)\n"
        "    return torch.nn.functional.cross_entropy(cosines(z_a, z_b) / temperature, where)\n"
    )
    arguments = ("try", "my_loss.py:mine", "--on", "graphs", "--scale", "smoke", "--seeds", "1")
    site.cluster.command("scontrol", "update", "PartitionName=main", "State=DOWN")
    front = site.front(*arguments, profile="[sbatch]\ntime = 60")
    lab.wait_until(lambda: "[0-1" in site.squeue("%i"), lambda: site.squeue("%i %T %r"))
    (tmp_path / "my_loss.py").unlink()
    (tmp_path / "scores.py").unlink()
    site.cluster.command("scontrol", "update", "PartitionName=main", "State=UP")
    told = front.communicate(timeout=lab.PATIENCE_SECONDS)[0]
    assert front.returncode == 0, told
    rows = [json.loads(path.read_text()) for path in site.folder.glob("loss_arena/*/row.json")]
    assert [row["status"] for row in rows] == ["done"] * 2 and all(row["job"] for row in rows), told
    assert any(row["method"].startswith("yours: mine ") for row in rows) and "yours: mine" in told
