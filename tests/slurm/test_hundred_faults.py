"""A hundred random faults on a real Slurm: no row lost, none doubled, all equal to those of undisturbed runs."""

import random
import time
from collections import Counter

import lab
import psutil
import pytest

from contrastbench.runner.launchers import slurm_queue

# Forty runs of a minute: long enough for several faults each.
WHAT = ("toy/slow", range(40), {"epochs": "120", "seconds_per_epoch": "0.5"})


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_a_hundred_faults_lose_and_double_nothing(tmp_path, monkeypatch):
    random.seed(4)
    done = Counter()
    with lab.running_cluster(nodes=3, gpus=4, max_array_size=11, node_timeout=10) as cluster:
        site = lab.Site(cluster, tmp_path / "runs")
        folders = site.folders(*WHAT)
        while set(site.states(*WHAT)) != {"done"}:  # no run may need more than the same command once more
            site.submit(site.jobs(*WHAT))
            fault = random.choice(list(FAULTS))
            if done.total() < 100:
                done[fault] += disturb(fault, cluster, folders)
                print(fault, done.total(), Counter(site.states(*WHAT)), flush=True)
            time.sleep(random.uniform(0.5, 2.5))
            look_after(cluster)
        cluster.command("scancel", "--user=root")  # Slurm holds a preempting job that its node failed to launch
        site.wait_for_end()
    got, expected = lab.results(site.folder), lab.undisturbed(site, tmp_path, monkeypatch, *WHAT)
    print(f"\n{dict(done)}: {done.total()} faults, {len(expected.keys() - got.keys())} of {len(expected)} rows lost")
    assert got == expected
    assert done.total() >= 100 and done.keys() == FAULTS.keys(), done


def disturb(fault, cluster, folders):
    """Does the fault to a run that is at work, or to the cluster; says whether there was anything to disturb."""
    try:
        FAULTS[fault](cluster, random.choice([folder for folder in folders if lab.worker_of(folder)]))
    except (
        AttributeError,
        IndexError,
        RuntimeError,
        psutil.Error,
    ) as too_late:  # none works, or it has just ended
        print(fault, "came too late:", too_late)
        return False
    return True


def lose_a_node(cluster, victim):
    cluster.kill_node(node := random.choice(cluster.nodes()))
    time.sleep(1)
    cluster.start_node(node)


FAULTS = {
    "worker killed": lambda cluster, victim: lab.worker_of(victim).kill(),
    "task killed": lambda cluster, victim: lab.worker_of(victim).parent().kill(),
    "cancelled": lambda cluster, victim: cluster.command("scancel", lab.job_of(victim)),
    "told to go": lambda cluster, victim: cluster.command("scancel", "--signal=USR2", lab.job_of(victim)),
    "preempted": lambda cluster, victim: lab.preempt(cluster, random.choice(cluster.nodes()), gpus=4),
    "node lost": lose_a_node,
    "controller killed": lambda cluster, victim: cluster.restart_controller(seconds_down=random.uniform(0, 2)),
}


def look_after(cluster):
    """What an operator does: takes nodes back that Slurm drained because a job would not die, and lets go of jobs."""
    for line in cluster.command("sinfo", "-h", "-N", "-p", "main", "-o", "%N %t", check=False).splitlines():
        node, state = line.split()
        if state.startswith(("drain", "drng", "down")):
            cluster.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
    for task in (slurm_queue.read_queue() or {}).values():
        if "launch failed requeued held" in task.reason.replace("_", " "):
            cluster.command("scontrol", "release", task.job, check=False)
