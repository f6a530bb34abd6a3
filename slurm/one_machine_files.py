"""The files of a test cluster: slurm.conf and its neighbours, as text filled from ``Options``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

CPUS = 16  # per node; pretended, so that the test machine's own number does not matter
GRACE_SECONDS = 20

# No daemon's patience may end on a slow machine: Slurm would call a node lost or a job's start failed, and requeue.
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
MailProg=/bin/true
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
MinJobAge={min_job_age}
SlurmdTimeout={node_timeout}
SlurmctldTimeout=300
MessageTimeout=30
TCPTimeout=60
BatchStartTimeout={node_timeout}
UnkillableStepTimeout=600
InactiveLimit=0
MpiDefault=none
RebootProgram=/bin/true
NodeName={nodes} NodeHostname={hosts} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory=64000 Gres={gres}
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime={grace}
PartitionName=cheap Nodes={nodes} MaxTime=INFINITE PriorityTier=1 PreemptMode=CANCEL
PartitionName=short Nodes={nodes} MaxTime=5 PriorityTier=1
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
CGROUP_CONF = """CgroupMountpoint=/sys/fs/cgroup
CgroupPlugin=cgroup/{version}
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""


@dataclass(frozen=True)
class Options:
    """How a cluster is configured."""

    nodes: int = 2
    gpus: int = 2  # pretended, per node
    gpu_type: str = ""
    max_array_size: int = 11
    max_job_count: int = 10_000
    min_job_age: int = 300  # seconds for which an ended job is still known, and counts for max_job_count
    node_timeout: int = 300  # seconds without an answer after which a node is lost; a job that ended while the
    # controller was down is missed after about seven times as long
    hostnames: bool = False  # each node sees a host name of its own
    memory_limits: bool = False  # control groups hold jobs to the memory that they ask for


def write_configuration(folder: Path, ports: list[int], options: Options) -> None:
    """Writes everything that the daemons read into ``folder``.

    Args:
        ports: of the controller, and one for each node.
    """
    host = socket.gethostname().split(".")[0]
    names = [f"n{index + 1}" for index in range(options.nodes)]
    hosts = {name: f"{name}-host" if options.hostnames else host for name in names}
    for each in {host, *names, *hosts.values()}:  # processes of one run meet at the name of a node
        make_resolvable(each)
    several = options.nodes > 1
    text = SLURM_CONF.format(
        folder=folder,
        host=host,
        controller_port=ports[0],
        nodes=f"n[1-{options.nodes}]" if several else "n1",
        hosts=",".join(hosts.values()) if options.hostnames else host,
        node_ports=f"[{','.join(map(str, ports[1:]))}]" if several else ports[1],
        max_array_size=options.max_array_size,
        max_job_count=options.max_job_count,
        min_job_age=options.min_job_age,
        node_timeout=options.node_timeout,
        task_plugin="task/cgroup" if options.memory_limits else "task/none",
        cpus=CPUS,
        gres=":".join(filter(None, ["gpu", options.gpu_type, str(options.gpus)])),
        grace=GRACE_SECONDS,
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "hosts.json").write_text(json.dumps(hosts if options.hostnames else dict.fromkeys(names, "")))
    (folder / "cgroup.conf").write_text(CGROUP_CONF.format(version=cgroup_version()))
    _write_devices(folder, options)


def make_resolvable(host: str) -> None:
    try:
        socket.gethostbyname(host)
    except OSError:
        with open("/etc/hosts", "a") as file:
            file.write(f"127.0.0.1 {host}\n")


def _write_devices(folder: Path, options: Options) -> None:
    """Character devices for the pretended GPUs: with plain files Slurm sets no CUDA_VISIBLE_DEVICES."""
    for index in range(options.gpus):
        device = folder / "devices" / f"gpu{index}"
        if not device.exists():
            subprocess.run(["mknod", str(device), "c", "1", "3"], check=True)
    files = f"{folder}/devices/gpu" + (f"[0-{options.gpus - 1}]" if options.gpus > 1 else "0")
    kind = f"Type={options.gpu_type} " if options.gpu_type else ""
    (folder / "gres.conf").write_text(f"Name=gpu {kind}File={files}\n" if options.gpus else "")


def cgroup_version() -> str:
    """``v1`` or ``v2``, whichever has a memory controller that can be written here; empty where none has."""
    top = Path("/sys/fs/cgroup")
    if os.access(top / "memory", os.W_OK) and (top / "memory" / "memory.limit_in_bytes").exists():
        return "v1"
    controllers = top / "cgroup.controllers"
    return "v2" if controllers.exists() and "memory" in controllers.read_text() and os.access(top, os.W_OK) else ""
