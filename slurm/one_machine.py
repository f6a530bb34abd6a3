#!/usr/bin/env python3
"""A real Slurm on one machine, for tests: controller, nodes and pretended GPUs, all in one folder.

    eval "$(sudo python slurm/one_machine.py start /tmp/cluster --nodes 2 --gpus 2)"    # sets SLURM_CONF
    sbatch --gres=gpu:1 --wrap 'echo $CUDA_VISIBLE_DEVICES'
    sudo python slurm/one_machine.py kill-node /tmp/cluster n1      # a node that loses its power
    sudo python slurm/one_machine.py start-node /tmp/cluster n1
    sudo python slurm/one_machine.py restart-controller /tmp/cluster
    sudo python slurm/one_machine.py stop /tmp/cluster

Options of `start`: --hostnames (each node has a host name of its own), --memory-limits (jobs are held to the memory
that they ask for, by control groups), --gpu-type a100, --max-array-size, --max-job-count, --min-job-age,
--node-timeout, --accounting.
Needs root and Debian's `apt-get install --no-install-recommends slurm-wlm munge`; with --accounting also
`slurmdbd mariadb-server`. Nothing under /etc is touched, except lines in /etc/hosts for the names of the nodes, and of
the machine where it cannot resolve its own. Several clusters can live side by side: each has its own ports, keys and
folders.
Partitions: `main` (default), which `urgent` preempts by requeueing after 20 seconds of grace; `cheap`, which `urgent`
preempts by cancelling at once; `short`, whose jobs may take 5 minutes. Mails go to mails.log in the folder.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields

from one_machine_cluster import Cluster, Options, why_not

__all__ = ["Cluster", "Options", "why_not"]


def main() -> None:
    parser = argparse.ArgumentParser(description="A real Slurm on one machine, for tests.")
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="start a cluster and print the line that makes a shell use it")
    start.add_argument("folder")
    for spec in fields(Options):
        name = "--" + spec.name.replace("_", "-")
        if isinstance(spec.default, bool):
            start.add_argument(name, action="store_true")
        else:
            start.add_argument(name, type=type(spec.default), default=spec.default)
    for name in ("stop", "restart-controller"):
        actions.add_parser(name).add_argument("folder")
    for name in ("kill-node", "start-node"):
        action = actions.add_parser(name)
        action.add_argument("folder")
        action.add_argument("node")
    given = parser.parse_args()
    cluster = Cluster(given.folder)
    if given.action == "start":
        cluster.start(Options(**{spec.name: getattr(given, spec.name) for spec in fields(Options)}))
        print(f"export SLURM_CONF={cluster.conf}")
    elif given.action in ("kill-node", "start-node"):
        getattr(cluster, given.action.replace("-", "_"))(given.node)
    else:
        getattr(cluster, given.action.replace("-", "_"))()


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"one_machine: {error}")
