"""A hundred random faults on a real Slurm: no row lost, none doubled, all equal to those of undisturbed runs."""

import random
import time
from collections import Counter

import pytest
from slurm_site import (
    Site,
    all_done,
    job_of_run,
    kill,
    results,
    running_cluster,
    task_of,
    undisturbed,
    wait_until,
    worker_of,
)

from contrastbench.runner import claims
from contrastbench.runner.launchers import slurm_queue

RUNS = 40
FAULTS = 100
SETTINGS = {"epochs": "120", "seconds_per_epoch": "0.5"}  # a minute a run: long enough for several faults each
KINDS = ("worker killed", "task killed", "cancelled", "told to go", "preempted", "node lost", "controller killed")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_faults_lose_and_double_nothing(tmp_path, monkeypatch):
    rng, done = random.Random(4), Counter()
    with running_cluster(nodes=3, gpus=4, max_array_size=11, node_timeout=10) as cluster:
        site = Site(cluster, tmp_path / "runs")
        folders = site.folders("toy/slow", range(RUNS), SETTINGS)
        while sum(done.values()) < FAULTS and not all_done(folders):
            site.submit("toy/slow", range(RUNS), SETTINGS)  # the front command, again and again
            fault = rng.choice(KINDS)
            done[fault] += disturb(fault, cluster, folders, rng)
            print(
                fault,
                done[fault],
                sum(done.values()),
                sum(state == "done" for state in site.states("toy/slow", range(RUNS), SETTINGS)),
                round(time.monotonic() % 10000),
                flush=True,
            )
            time.sleep(rng.uniform(0.5, 2.5))
            revive(cluster)
        while not all_done(folders):  # no run may need more than the same command once more
            site.submit("toy/slow", range(RUNS), SETTINGS)
            time.sleep(2)
            revive(cluster)
        cluster.command("scancel", "--user=root")  # Slurm holds a preempting job that its node failed to launch
        site.wait_for_end()
        got = results(site.folder)
        attempts = sum(claims.latest(folder).number for folder in folders)
    expected = undisturbed(site, tmp_path, monkeypatch, "toy/slow", range(RUNS), SETTINGS)
    lost = sum(key not in got for key in expected)
    print(f"\n{dict(done)}: {sum(done.values())} faults, {attempts} attempts, {lost} of {RUNS} rows lost")
    assert got == expected
    assert sum(done.values()) >= FAULTS and len(done) == len(KINDS), done


def disturb(fault, cluster, folders, rng):
    """Does the fault to a run that is at work, or to the cluster; says whether there was anything to disturb."""
    at_work = [folder for folder in folders if worker_of(folder)]
    victim = rng.choice(at_work) if at_work else None
    if victim is None:
        return False
    try:
        if fault == "worker killed":
            kill(worker_of(victim))
        elif fault == "task killed":
            kill(task_of(victim))
        elif fault == "cancelled":
            cluster.command("scancel", job_of_run(victim))
        elif fault == "told to go":
            cluster.command("scancel", "--signal=USR2", job_of_run(victim))
        elif fault == "preempted":
            preempt(cluster, folders)
        elif fault == "node lost":
            lose_a_node(cluster, rng.choice(cluster.nodes()))
        else:
            cluster.restart_controller(seconds_down=rng.uniform(0, 2))
            wait_until(lambda: slurm_queue.read_queue() is not None, "the controller to answer")
    except (OSError, TypeError, RuntimeError) as too_late:  # the run ended between the look and the fault
        print(fault, "came too late:", too_late)
        return False
    return True


def preempt(cluster, folders):
    """A job of a higher partition takes all GPUs of a node for a moment."""
    node = cluster.command("squeue", "-h", "-t", "RUNNING", "-p", "main", "-o", "%N").split()[0]
    cluster.command(
        *("sbatch", "--partition=urgent", f"--nodelist={node}", "--gres=gpu:4", "--output=/dev/null", "--wrap=sleep 1")
    )


def lose_a_node(cluster, node):
    cluster.kill_node(node)
    time.sleep(1)
    cluster.start_node(node)


def revive(cluster):
    """What an operator does: nodes that Slurm drained because a job would not die are taken back."""
    for line in cluster.command("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t", check=False).splitlines():
        node, state = line.split()
        if state.startswith(("drain", "drng", "down")):
            cluster.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
