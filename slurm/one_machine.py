#!/usr/bin/env python3
"""A real Slurm on one machine, for tests: controller, nodes and pretended GPUs, all in one folder.

    eval "$(sudo python slurm/one_machine.py start /tmp/cluster --nodes 2 --gpus 2)"    # sets SLURM_CONF
    sbatch --gres=gpu:1 --wrap 'echo $CUDA_VISIBLE_DEVICES'
    sudo python slurm/one_machine.py kill-node /tmp/cluster n1      # a node that loses its power
    sudo python slurm/one_machine.py start-node /tmp/cluster n1
    sudo python slurm/one_machine.py restart-controller /tmp/cluster
    sudo python slurm/one_machine.py stop /tmp/cluster

Needs root and Debian's `apt-get install --no-install-recommends slurm-wlm munge`; with --accounting also
`slurmdbd mariadb-server`. Nothing under /etc is touched, except one line in /etc/hosts where the machine cannot
resolve its own name. Several clusters can live side by side: each has its own ports, keys and folders.
Partitions: `main` (default), which `urgent` preempts by requeueing after 20 seconds of grace.
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
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol")
CPUS = 16  # per node; pretended, so that the test machine's own number does not matter
GRACE_SECONDS = 20
NODE_MARK = "TEST_CLUSTER_NODE"  # in the environment of a node's daemon, which its steps inherit and its jobs do not
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
GresTypes=gpu
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MaxArraySize={max_array_size}
KillWait=5
MinJobAge=30
SlurmdTimeout=10
SlurmctldTimeout=20
InactiveLimit=0
MpiDefault=none
RebootProgram=/bin/true
{accounting}
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus}
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_{port}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


class Cluster:
    """One test cluster, living in ``folder`` (short: a socket's path may have 100 characters)."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        self.conf = self.folder / "slurm.conf"
        self._more = {"PATH": PATH, "SLURM_CONF": str(self.conf)}

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._more}

    def start(self, *, nodes: int = 2, gpus: int = 2, max_array_size: int = 11, accounting: bool = False) -> Cluster:
        """Writes the configuration, starts every daemon and returns when all nodes are idle.

        Raises:
            RuntimeError: something is missing or does not come up; the message says what.
        """
        missing = why_not()
        if missing:
            raise RuntimeError(missing)
        make_host_resolvable()
        for name in ("state", "spool", "devices"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        ports = free_ports(nodes + 2)
        self._start_munge()
        self._write_conf(ports, nodes, gpus, max_array_size, accounting)
        if accounting:
            self._start_accounting(ports[1])
        self.start_controller()
        for node in self.nodes():
            self.start_node(node)
        self.wait_idle()
        return self

    def _write_conf(self, ports: list[int], nodes: int, gpus: int, max_array_size: int, accounting: bool) -> None:
        text = SLURM_CONF.format(
            folder=self.folder,
            host=socket.gethostname().split(".")[0],
            controller_port=ports[0],
            nodes=f"n[1-{nodes}]" if nodes > 1 else "n1",
            node_ports=f"[{','.join(map(str, ports[2:]))}]" if nodes > 1 else ports[2],
            max_array_size=max_array_size,
            accounting=ACCOUNTING.format(port=ports[1], folder=self.folder) if accounting else "",
            cpus=CPUS,
            gpus=gpus,
            grace=GRACE_SECONDS,
        )
        self.conf.write_text(text)
        (self.folder / "nodes.json").write_text(json.dumps([f"n{index + 1}" for index in range(nodes)]))
        for index in range(gpus):
            device = self.folder / "devices" / f"gpu{index}"
            if not device.exists():  # a character device: with a plain file Slurm sets no CUDA_VISIBLE_DEVICES
                subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
        devices = f"{self.folder}/devices/gpu" + (f"[0-{gpus - 1}]" if gpus > 1 else "0")
        (self.folder / "gres.conf").write_text(f"Name=gpu File={devices}\n" if gpus else "")

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        options = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
        options |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        arguments = [f"--{name}={self.folder / file}" for name, file in options.items()]
        self._run("munged", "--force", *arguments)

    def _start_accounting(self, port: int) -> None:
        """A MariaDB of the cluster's own, and slurmdbd on top."""
        data = self.folder / "database"
        run_socket = self.folder / "database.socket"
        self._run("mariadb-install-db", f"--datadir={data}", "--user=root", "--auth-root-authentication-method=socket")
        with open(self.folder / "mariadbd.log", "w") as log:
            database = subprocess.Popen(
                ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={run_socket}", "--user=root"]
                + ["--skip-networking", "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900"],
                stdout=log, stderr=log, env=self.environment, start_new_session=True,
            )  # fmt: skip
        (self.folder / "mariadbd.pid").write_text(str(database.pid))
        wait_for(run_socket.exists, 20, "mariadbd did not start; see mariadbd.log")
        conf = self.folder / "slurmdbd.conf"
        conf.write_text(SLURMDBD_CONF.format(folder=self.folder, port=port))
        conf.chmod(0o600)
        self._more["MYSQL_UNIX_PORT"] = str(run_socket)
        self._run("slurmdbd")
        registers = ("sacctmgr", "--immediate", "add", "cluster", "test")
        wait_for(lambda: self._accepts(*registers), 40, "slurmdbd does not answer; see slurmdbd.log")

    def nodes(self) -> list[str]:
        return json.loads((self.folder / "nodes.json").read_text())

    def start_controller(self) -> None:
        self._run("slurmctld")

    def start_node(self, name: str) -> None:
        self._run("slurmd", "-N", name, **{NODE_MARK: name})

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

    def wait_idle(self, seconds: float = 40.0) -> None:
        wait_for(self.idle, seconds, f"the nodes did not become idle within {seconds:.0f} s; see the logs here", self)

    def command(self, *arguments: str, check: bool = True) -> str:
        """Runs a Slurm command against this cluster and returns what it printed."""
        try:
            done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            raise RuntimeError(
                f"{' '.join(arguments)} got no answer within 60 s; see {self.folder}/slurmctld.log"
            ) from None
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def _accepts(self, *arguments: str) -> bool:
        try:
            self.command(*arguments)
        except RuntimeError:
            return False
        return True

    def _run(self, *arguments: str, **more_environment: str) -> None:
        log = self.folder / "start.log"
        environment = self.environment | more_environment
        with open(log, "a") as file:
            done = subprocess.run(arguments, env=environment, stdout=file, stderr=file, cwd=self.folder, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed; {log} ends with: {log.read_text()[-500:]}")

    def stop(self, *, remove: bool = True) -> None:
        """Ends every process of this cluster, jobs included, and removes its folder."""
        for name in ("slurmctld", "slurmdbd"):
            kill_pid_file(self.folder / f"{name}.pid")
        for pid in processes_with(f"SLURM_CONF={self.conf}"):
            if pid not in ancestors():
                kill(pid)
        for name in ("mariadbd", "munged"):
            kill_pid_file(self.folder / f"{name}.pid")
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)


def why_not() -> str:
    """What keeps this machine from running the test cluster; empty where nothing does."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)} missing): apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "the test cluster needs root (its daemons and device files do)"


def make_host_resolvable() -> None:
    host = socket.gethostname().split(".")[0]
    try:
        socket.gethostbyname(host)
    except OSError:
        with open("/etc/hosts", "a") as file:
            file.write(f"127.0.0.1 {host}\n")


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition, seconds: float, message: str, cluster: Cluster | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            detail = f" {cluster.folder}: {cluster.command('sinfo', '-N', '-l', check=False)}" if cluster else ""
            raise RuntimeError(message + detail)
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


def kill_pid_file(path: Path, number: int = signal.SIGKILL) -> None:
    """Kills the process that the file names and waits until it is gone."""
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return
    kill(pid, number)
    path.unlink(missing_ok=True)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description="A real Slurm on one machine, for tests.")
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("start", help="start a cluster and print the line that makes a shell use it")
    start.add_argument("folder")
    start.add_argument("--nodes", type=int, default=2)
    start.add_argument("--gpus", type=int, default=2, help="pretended GPUs per node")
    start.add_argument("--max-array-size", type=int, default=11)
    start.add_argument("--accounting", action="store_true", help="with slurmdbd and MariaDB")
    for name in ("stop", "restart-controller"):
        actions.add_parser(name).add_argument("folder")
    for name in ("kill-node", "start-node"):
        action = actions.add_parser(name)
        action.add_argument("folder")
        action.add_argument("node")
    given = parser.parse_args()
    cluster = Cluster(given.folder)
    if given.action == "start":
        options = {name: getattr(given, name) for name in ("nodes", "gpus", "max_array_size", "accounting")}
        cluster.start(**options)
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
