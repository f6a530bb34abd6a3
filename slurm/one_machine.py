#!/usr/bin/env python3
"""A real Slurm on one machine, for tests: controller, nodes and pretended GPUs, all in one folder.

    eval "$(sudo python slurm/one_machine.py start /tmp/cluster --nodes 2 --gpus 2)"    # sets SLURM_CONF
    sbatch --gres=gpu:1 --wrap 'echo $CUDA_VISIBLE_DEVICES'
    sudo python slurm/one_machine.py kill-node /tmp/cluster n1      # a node that loses its power
    sudo python slurm/one_machine.py start-node /tmp/cluster n1
    sudo python slurm/one_machine.py restart-controller /tmp/cluster
    sudo python slurm/one_machine.py stop /tmp/cluster

Options of `start`: --hostnames (each node has a host name of its own), --memory-limits (jobs are held to the memory
that they ask for, by control groups), --gpu-type a100, --max-array-size, --max-job-count, --accounting.
Needs root and Debian's `apt-get install --no-install-recommends slurm-wlm munge`; with --accounting also
`slurmdbd mariadb-server`. Nothing under /etc is touched, except one line in /etc/hosts where the machine cannot
resolve its own name. Several clusters can live side by side: each has its own ports, keys and folders.
Partitions: `main` (default), which `urgent` preempts by requeueing after 20 seconds of grace; `cheap`, which `urgent`
preempts by cancelling at once; `short`, whose jobs may take 5 minutes. Mails go to mails.log in the folder.
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
from dataclasses import dataclass, fields
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
TaskPlugin={task_plugin}
MailProg={folder}/mail
MaxJobCount={max_job_count}
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
NodeName={nodes} NodeHostname={hosts} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory=64000 Gres={gres}
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime={grace}
PartitionName=cheap Nodes={nodes} MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL
PartitionName=short Nodes={nodes} MaxTime=5 PriorityTier=1
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
CGROUP_CONF = """CgroupMountpoint=/sys/fs/cgroup
CgroupPlugin=cgroup/{version}
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
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


@dataclass(frozen=True)
class Options:
    """How a cluster is configured."""

    nodes: int = 2
    gpus: int = 2  # pretended, per node
    gpu_type: str = ""
    max_array_size: int = 11
    max_job_count: int = 10_000
    accounting: bool = False  # with slurmdbd and MariaDB
    hostnames: bool = False  # each node sees a host name of its own
    memory_limits: bool = False  # control groups hold jobs to the memory that they ask for


DEFAULT = Options()


class Cluster:
    """One test cluster, living in ``folder`` (short: a socket's path may have 100 characters)."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        self.conf = self.folder / "slurm.conf"
        self._more = {"PATH": PATH, "SLURM_CONF": str(self.conf)}

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self._more}

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
        ports = free_ports(options.nodes + 2)
        self._start_munge()
        self._write_conf(ports, options)
        if options.accounting:
            self._start_accounting(ports[1])
        self.start_controller()
        for node in self.nodes():
            self.start_node(node)
        self.wait_idle()
        return self

    def is_running(self) -> bool:
        return any(process_of(path) for path in self.folder.glob("*.pid"))

    def _write_conf(self, ports: list[int], options: Options) -> None:
        host = socket.gethostname().split(".")[0]
        names = [f"n{index + 1}" for index in range(options.nodes)]
        hosts = {name: f"{name}-host" if options.hostnames else host for name in names}
        for each in {host, *hosts.values()}:
            make_resolvable(each)
        several = options.nodes > 1
        text = SLURM_CONF.format(
            folder=self.folder,
            host=host,
            controller_port=ports[0],
            nodes=f"n[1-{options.nodes}]" if several else "n1",
            hosts=",".join(hosts.values()) if options.hostnames else host,
            node_ports=f"[{','.join(map(str, ports[2:]))}]" if several else ports[2],
            max_array_size=options.max_array_size,
            max_job_count=options.max_job_count,
            task_plugin="task/cgroup" if options.memory_limits else "task/none",
            accounting=ACCOUNTING.format(port=ports[1], folder=self.folder) if options.accounting else "",
            cpus=CPUS,
            gres=":".join(filter(None, ["gpu", options.gpu_type, str(options.gpus)])),
            grace=GRACE_SECONDS,
        )
        self.conf.write_text(text)
        (self.folder / "hosts.json").write_text(json.dumps(hosts if options.hostnames else dict.fromkeys(names, "")))
        (self.folder / "cgroup.conf").write_text(CGROUP_CONF.format(version=cgroup_version()))
        mail = self.folder / "mail"
        mail.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/mails.log\n')
        mail.chmod(0o755)
        self._write_devices(options)

    def _write_devices(self, options: Options) -> None:
        """Character devices for the pretended GPUs: with plain files Slurm sets no CUDA_VISIBLE_DEVICES."""
        for index in range(options.gpus):
            device = self.folder / "devices" / f"gpu{index}"
            if not device.exists():
                subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
        files = f"{self.folder}/devices/gpu" + (f"[0-{options.gpus - 1}]" if options.gpus > 1 else "0")
        kind = f"Type={options.gpu_type} " if options.gpu_type else ""
        (self.folder / "gres.conf").write_text(f"Name=gpu {kind}File={files}\n" if options.gpus else "")

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
        return list(self._hosts())

    def _hosts(self) -> dict[str, str]:
        """The host name of its own that each node has; empty where it has the machine's."""
        return json.loads((self.folder / "hosts.json").read_text())

    def start_controller(self) -> None:
        self._run("slurmctld")

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
        self._remove_control_groups()
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_control_groups(self) -> None:
        """Removes the empty control groups that Slurm leaves behind."""
        hosts = self.folder / "hosts.json"
        for node in self.nodes() if hosts.exists() else ():
            for folder, _, _ in os.walk(f"/sys/fs/cgroup/memory/slurm_{node}", topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def why_not(options: Options = DEFAULT) -> str:
    """What keeps this machine from running the test cluster; empty where nothing does."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)} missing): apt-get install slurm-wlm munge"
    if options.accounting and not all(shutil.which(name, path=PATH) for name in ("slurmdbd", "mariadbd")):
        return "accounting needs apt-get install slurmdbd mariadb-server"
    if options.memory_limits and not cgroup_version():
        return "this machine has no memory control groups that could be written"
    return "" if os.geteuid() == 0 else "the test cluster needs root (its daemons and device files do)"


def cgroup_version() -> str:
    """``v1`` or ``v2``, whichever has a memory controller that can be written here; empty where none has."""
    top = Path("/sys/fs/cgroup")
    if os.access(top / "memory", os.W_OK) and (top / "memory" / "memory.limit_in_bytes").exists():
        return "v1"
    controllers = top / "cgroup.controllers"
    return "v2" if controllers.exists() and "memory" in controllers.read_text() and os.access(top, os.W_OK) else ""


def make_resolvable(host: str) -> None:
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


def wait_for(condition: Callable[[], bool], seconds: float, message: str, cluster: Cluster | None = None) -> None:
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
