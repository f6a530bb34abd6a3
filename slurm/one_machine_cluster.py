"""A test cluster: its daemons are started, disturbed and stopped here."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from one_machine_files import Options, cgroup_version, write_configuration, write_slurmdbd_conf
from one_machine_processes import (
    ancestors,
    environment_of,
    free_ports,
    kill,
    kill_pid_file,
    process_of,
    processes_with,
    wait_for,
)

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
        write_configuration(self.folder, ports, options)
        if options.accounting:
            self._start_accounting(ports[1])
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
        wait_for(run_socket.exists, "mariadbd did not start (see mariadbd.log)")
        write_slurmdbd_conf(self.folder, port)
        self._more["MYSQL_UNIX_PORT"] = str(run_socket)
        self._run("slurmdbd")
        registers = ("sacctmgr", "--immediate", "add", "cluster", "test")
        wait_for(lambda: self._accepts(*registers), "slurmdbd did not answer (see slurmdbd.log)")

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
            done = subprocess.run(
                arguments, env=environment, stdout=file, stderr=file, cwd=self.folder, timeout=COMMAND_SECONDS
            )
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
    if options.accounting and not all(shutil.which(name, path=PATH) for name in ("slurmdbd", "mariadbd")):
        return "accounting needs apt-get install slurmdbd mariadb-server"
    if options.memory_limits and not cgroup_version():
        return "this machine has no memory control groups that could be written"
    return "" if os.geteuid() == 0 else "the test cluster needs root (its daemons and device files do)"
