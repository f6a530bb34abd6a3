"""A hundred random faults on a real Slurm: no row lost, none doubled, all equal to those of undisturbed runs."""

import random
import time
from collections import Counter

import pytest
from slurm_site import Site, job_of, kill, results, running_cluster, task_of, undisturbed, wait_until, worker_of

from contrastbench.runner import claims
from contrastbench.runner.launchers import slurm_queue

FAULTS = 100
# Forty runs of a minute: long enough for several faults each.
WHAT = ("toy/slow", range(40), {"epochs": "120", "seconds_per_epoch": "0.5"})
KINDS = ("worker killed", "task killed", "cancelled", "told to go", "preempted", "node lost", "controller killed")


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_a_hundred_faults_lose_and_double_nothing(tmp_path, monkeypatch):
    rng, done = random.Random(4), Counter()
    with running_cluster(nodes=3, gpus=4, max_array_size=11, node_timeout=10) as cluster:
        site = Site(cluster, tmp_path / "runs")
        folders = site.folders(*WHAT)
        while set(site.states(*WHAT)) != {"done"}:  # no run may need more than the same command once more
            site.submit(site.jobs(*WHAT))
            fault = rng.choice(KINDS)
            if done.total() < FAULTS:
                done[fault] += disturb(fault, cluster, folders, rng)
                print(fault, done.total(), Counter(site.states(*WHAT)), flush=True)
            time.sleep(rng.uniform(0.5, 2.5))
            look_after(cluster)
        cluster.command("scancel", "--user=root")  # Slurm holds a preempting job that its node failed to launch
        site.wait_for_end()
        got = results(site.folder)
        attempts = sum(claims.latest(folder).number for folder in folders)
    expected = undisturbed(site, tmp_path, monkeypatch, *WHAT)
    print(f"\n{dict(done)}: {done.total()} faults, {attempts} attempts, {len(expected.keys() - got.keys())} rows lost")
    assert got == expected
    assert done.total() >= FAULTS and len(done) == len(KINDS), done


def disturb(fault, cluster, folders, rng):
    """Does the fault to a run that is at work, or to the cluster; says whether there was anything to disturb."""
    at_work = [folder for folder in folders if worker_of(folder)]
    if not at_work:
        return False
    victim = rng.choice(at_work)
    try:
        if fault == "worker killed":
            kill(worker_of(victim))
        elif fault == "task killed":
            kill(task_of(victim))
        elif fault == "cancelled":
            cluster.command("scancel", job_of(victim))
        elif fault == "told to go":
            cluster.command("scancel", "--signal=USR2", job_of(victim))
        elif fault == "preempted":  # a job of a higher partition takes all GPUs of a node for a moment
            node = cluster.command("squeue", "-h", "-t", "RUNNING", "-p", "main", "-o", "%N").split()[0]
            more = (f"--nodelist={node}", "--gres=gpu:4", "--output=/dev/null", "--wrap=sleep 1")
            cluster.command("sbatch", "--partition=urgent", *more)
        elif fault == "node lost":
            cluster.kill_node(node := rng.choice(cluster.nodes()))
            time.sleep(1)
            cluster.start_node(node)
        else:
            cluster.restart_controller(seconds_down=rng.uniform(0, 2))
            wait_until(lambda: slurm_queue.read_queue() is not None, "the controller to answer")
    except (OSError, TypeError, IndexError, RuntimeError) as too_late:  # the run ended between the look and the fault
        print(fault, "came too late:", too_late)
        return False
    return True


def look_after(cluster):
    """What an operator does: takes nodes back that Slurm drained because a job would not die, and lets go of jobs."""
    for line in cluster.command("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t", check=False).splitlines():
        node, state = line.split()
        if state.startswith(("drain", "drng", "down")):
            cluster.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
    for task in (slurm_queue.read_queue() or {}).values():
        if "launch failed requeued held" in task.reason.replace("_", " "):
            cluster.command("scontrol", "release", task.job, check=False)
