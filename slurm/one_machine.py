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
--node-timeout.
Needs root and Debian's `apt-get install --no-install-recommends slurm-wlm munge`. Nothing under /etc is touched, except
lines in /etc/hosts for the names of the nodes, and of the machine where it cannot resolve its own. Several clusters can
live side by side: each has its own ports, keys and folders.
Partitions: `main` (default), which `urgent` preempts by requeueing after 20 seconds of grace; `cheap`, which `urgent`
preempts by cancelling at once; `short`, whose jobs may take 5 minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from one_machine_files import Options, cgroup_version, write_configuration

__all__ = ["Cluster", "Options", "why_not"]

PATIENCE_SECONDS = 240.0  # for what takes a second on an idle machine
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol")
NODE_MARK = "TEST_CLUSTER_NODE"  # in the environment of a node's daemon, which its steps inherit and its jobs do not
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
COMMAND_SECONDS = 120
DEFAULT = Options()


class Cluster:
    """One test cluster, living in ``folder`` (short: a socket's path may have 100 characters)."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        self.conf = self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}

    def start(self, options: Options = DEFAULT) -> Cluster:
        """Writes the configuration, starts every daemon and returns when all nodes are idle.

        Raises:
            RuntimeError: something is missing or does not come up, or a cluster runs here already; says which.
        """
        if missing := why_not(options):
            raise RuntimeError(missing)
        if self.is_running():
            raise RuntimeError(f"a cluster runs in {self.folder} already; stop it first, or start one elsewhere")
        for name in ("state", "spool", "devices"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        ports = free_ports(options.nodes + 1)
        self._start_munge()
        write_configuration(self.folder, ports, options)
        self.start_controller()
        for node in self.nodes():
            self.start_node(node)
        self.wait_idle()
        return self

    def is_running(self) -> bool:
        return any(process_of(path) for path in self.folder.glob("*.pid"))

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        options = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
        options |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        arguments = [f"--{name}={self.folder / file}" for name, file in options.items()]
        self._run("munged", "--force", *arguments)

    def nodes(self) -> list[str]:
        return list(self._hosts())

    def _hosts(self) -> dict[str, str]:
        """The host name of its own that each node has; empty where it has the machine's."""
        return json.loads((self.folder / "hosts.json").read_text())

    def start_controller(self) -> None:
        self._run("slurmctld")
        wait_for(lambda: "is UP" in self.command("scontrol", "ping", check=False), "the controller does not answer")

    def start_node(self, name: str) -> None:
        host = self._hosts()[name]
        own_name = ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$@"', "sh"] if host else []
        self._run(*own_name, "slurmd", "-N", name, **{NODE_MARK: name})

    def restart_controller(self, *, seconds_down: float = 0.0, number: int = signal.SIGKILL) -> None:
        """Ends slurmctld, without notice unless SIGTERM is given, and starts it again from its saved state."""
        kill_pid_file(self.folder / "slurmctld.pid", number)
        time.sleep(seconds_down)
        self.start_controller()

    def kill_node(self, name: str) -> None:
        """The node's daemon, its steps and all their processes are gone at once, as in a power cut.

        The controller is told that the node is down, as a site's health check would; by itself it needs a minute.
        """
        ours = processes_with(f"SLURM_CONF={self.conf}")
        steps = [pid for pid in ours if f"{NODE_MARK}={name}" in environment_of(pid)]
        jobs = [pid for pid in ours if f"SLURMD_NODENAME={name}" in environment_of(pid)]
        kill_pid_file(self.folder / f"slurmd.{name}.pid")
        for pid in steps + jobs:  # steps first: a step that outlives its job would report the job's death
            kill(pid)
        self.command("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=power cut")

    def idle(self) -> bool:
        answer = self.command("sinfo", "-h", "-N", "-p", "main", "-o", "%T", check=False)
        return answer.split() == ["idle"] * len(self.nodes())

    def wait_idle(self) -> None:
        message = f"the nodes did not become idle (see the logs in {self.folder})"
        wait_for(self.idle, message, lambda: self.command("sinfo", "-N", "-l", check=False))

    def command(self, *arguments: str, check: bool = True) -> str:
        """Runs a Slurm command against this cluster and returns what it printed."""
        try:
            done = subprocess.run(
                arguments, env=self.environment, capture_output=True, text=True, timeout=COMMAND_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"{' '.join(arguments)} got no answer within {COMMAND_SECONDS} s; see {self.folder}/slurmctld.log"
            ) from None
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def _run(self, *arguments: str, **more_environment: str) -> None:
        log = self.folder / "start.log"
        environment = self.environment | more_environment
        with open(log, "a") as file:
            done = subprocess.run(
                arguments, env=environment, stdout=file, stderr=file, cwd=self.folder, timeout=COMMAND_SECONDS
            )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed; {log} ends with: {log.read_text()[-500:]}")

    def stop(self, *, remove: bool = True) -> None:
        """Ends every process of this cluster, jobs included, and removes its folder."""
        kill_pid_file(self.folder / "slurmctld.pid")
        for pid in processes_with(f"SLURM_CONF={self.conf}"):
            if pid not in ancestors():
                kill(pid)
        kill_pid_file(self.folder / "munged.pid")
        self._remove_control_groups()
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_control_groups(self) -> None:
        """Removes the empty control groups that Slurm leaves, if this cluster limits memory: names are alike in all."""
        limits_memory = self.conf.exists() and "task/cgroup" in self.conf.read_text()
        hosts = self.folder / "hosts.json"
        for node in self.nodes() if limits_memory and hosts.exists() else ():
            for folder, _, _ in os.walk(f"/sys/fs/cgroup/memory/slurm_{node}", topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def why_not(options: Options = DEFAULT) -> str:
    """What keeps this machine from running the test cluster; empty where nothing does."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)} missing): apt-get install slurm-wlm munge"
    if options.memory_limits and not cgroup_version():
        return "this machine has no memory control groups that could be written"
    return "" if os.geteuid() == 0 else "the test cluster needs root (its daemons and device files do)"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], bool], message: str, detail: Callable[[], str] = str) -> None:
    """Waits for the condition.

    Raises:
        RuntimeError: it did not come true within ``PATIENCE_SECONDS``; says ``message`` and what ``detail`` returns.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{message} within {PATIENCE_SECONDS:.0f} s {detail()}".strip())
        time.sleep(0.1)


def environment_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def processes_with(variable: str) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if variable in environment_of(pid)]


def ancestors() -> set[int]:
    """This process and all above it: a shell with SLURM_CONF set must survive stopping the cluster."""
    found, pid = set(), os.getpid()
    while pid > 1:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def process_of(pid_file: Path) -> int | None:
    """The process that the file names, if it lives."""
    try:
        pid = int(pid_file.read_text())
        return pid if Path(f"/proc/{pid}/cmdline").read_bytes() else None
    except (OSError, ValueError):
        return None


def kill_pid_file(path: Path, number: int = signal.SIGKILL) -> None:
    """Kills the process that the file names and waits until it is gone."""
    if pid := process_of(path):
        kill(pid, number)
    path.unlink(missing_ok=True)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + PATIENCE_SECONDS  # a controller that is told to end saves its state first
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


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
